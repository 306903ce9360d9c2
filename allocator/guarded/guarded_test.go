package guarded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/admission"
	"muster/allocator"
)

// deadLedger fails as long as it has an error.
type deadLedger struct {
	allocator.Ledger
	err   error
	calls int
}

func (l *deadLedger) Record(context.Context, []allocator.Recording) ([]allocator.RecordResult, error) {
	l.calls++
	return make([]allocator.RecordResult, 1), l.err
}

func (l *deadLedger) Now(context.Context) (time.Time, error) {
	l.calls++
	return time.Now(), l.err
}

// deadNodes is an inventory whose shards are on one node each, of which some are dead.
type deadNodes struct {
	allocator.Inventory
	dead  map[int]error
	calls map[int]int
}

func (d *deadNodes) Hold(_ context.Context, shard int, _ int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	d.calls[shard]++
	return make([]allocator.HoldResult, len(items)), d.dead[shard]
}

func newGuard(t *testing.T) (*Guard, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	g, err := New(registry)
	if err != nil {
		t.Fatal(err)
	}
	return g, registry
}

// record makes a call every tenth of a second for a while, and answers the last one's error.
func record(ledger allocator.Ledger, during time.Duration) (err error) {
	for began := time.Now(); time.Since(began) < during; time.Sleep(100 * time.Millisecond) {
		_, err = ledger.Record(context.Background(), nil)
	}
	return err
}

// TestDeadLedger: it is not called any more once it has failed for a while; every caller hears the code and when to come back; a
// trial now and then finds out that it is back.
func TestDeadLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, registry := newGuard(t)
		below := &deadLedger{err: fmt.Errorf("refused: %w", allocator.ErrUnavailable)}
		ledger := g.Ledger(below)
		if err := record(ledger, time.Second); err != below.err {
			t.Fatalf("a short failure is handed on as it is, not as %v", err)
		}
		_ = record(ledger, 5*time.Second)
		_, _ = ledger.Record(context.Background(), nil) // perhaps a trial, after which the next call is refused in any case
		_, err := ledger.Record(context.Background(), nil)
		var refusal *allocator.Error
		if !errors.As(err, &refusal) || refusal.Code != allocator.CodeLedgerUnavailable || refusal.RetryAfter < time.Second || !errors.Is(err, allocator.ErrUnavailable) {
			t.Fatalf("%v", err)
		}
		before := below.calls
		if _ = record(ledger, 20*time.Second); below.calls-before > 8 {
			t.Errorf("a dead ledger was called %d times in 20 s, and not tried now and then", below.calls-before)
		}
		if shown := metrics(t, registry); !strings.Contains(shown, `port:ledger} 2`) {
			t.Errorf("open is not told: %s", shown)
		}
		below.err = nil
		if err := record(ledger, 10*time.Second); err != nil {
			t.Errorf("it is back, and calls still fail: %v", err)
		}
		if shown := metrics(t, registry); !strings.Contains(shown, `port:ledger} 0`) {
			t.Errorf("closed is not told: %s", shown)
		}
	})
}

// TestUnknownOutcomesStayUnknown: what was called hands its own error on, since only it says whether something happened.
func TestUnknownOutcomesStayUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGuard(t)
		ledger := g.Ledger(&deadLedger{err: allocator.ErrOutcomeUnknown})
		for range 5 {
			if _, err := ledger.Record(context.Background(), nil); err != allocator.ErrOutcomeUnknown {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
	})
}

// TestNodesAreApart: a dead node's breaker leaves the others alone.
func TestNodesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGuard(t)
		below := &deadNodes{dead: map[int]error{1: allocator.ErrUnavailable}, calls: make(map[int]int)}
		inventory := g.Inventory(below, func(shard int) string { return fmt.Sprintf("node-%d", shard) })
		for range 100 {
			for shard := range 2 {
				_, err := inventory.Hold(context.Background(), shard, 1, make([]allocator.HoldItem, 1))
				if dead := shard == 1; dead != errors.Is(err, allocator.ErrUnavailable) {
					t.Fatalf("shard %d: %v", shard, err)
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		if below.calls[0] != 100 || below.calls[1] > 40 {
			t.Errorf("calls %v: all of the first node and few of the second are right", below.calls)
		}
	})
}

// TestOutcomes: answers of any kind show that somebody is there, and callers that give up say nothing.
func TestOutcomes(t *testing.T) {
	gone := fmt.Errorf("%w (%w)", allocator.ErrUnavailable, context.DeadlineExceeded)
	for _, c := range []struct {
		err  error
		took time.Duration
		want admission.Outcome
	}{
		{nil, 0, admission.Answered}, {allocator.ErrIncarnationLost, 0, admission.Answered}, {allocator.ErrSchema, 0, admission.Answered},
		{allocator.Refuse(allocator.CodeSlotFull, "full"), 0, admission.Answered},
		{allocator.ErrUnavailable, 0, admission.Failed}, {allocator.ErrOutcomeUnknown, 0, admission.Failed},
		{gone, 10 * time.Millisecond, admission.Silent}, {gone, 2 * time.Second, admission.Failed},
		{context.Canceled, time.Hour, admission.Silent},
	} {
		if got := outcome(c.err, c.took); got != c.want {
			t.Errorf("%v after %v: %d, want %d", c.err, c.took, got, c.want)
		}
	}
}

// metrics are the samples of a registry as text.
func metrics(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "port" && family.GetName() == "muster_breaker_state" {
					fmt.Fprintf(&text, "{port:%s} %v\n", l.GetValue(), m.GetGauge().GetValue())
				}
			}
		}
	}
	return text.String()
}
