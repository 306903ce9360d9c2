package webhooks

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	var total time.Duration
	for failures := 1; failures <= len(retries); failures++ {
		wait, over := pause(failures, &failure{}, 0)
		most, _ := pause(failures, &failure{}, 1)
		if over || most <= wait || most > wait*6/5 {
			t.Errorf("after %d failures: %v to %v, over: %v", failures, wait, most, over)
		}
		total += wait
	}
	if want := 75*time.Hour + 35*time.Minute + 5*time.Second; total != want {
		t.Errorf("the last attempt comes after %v, want %v", total, want)
	}
	if _, over := pause(len(retries)+1, &failure{}, 0); !over {
		t.Error("the schedule has no end")
	}
	if _, over := pause(1, &failure{gone: true}, 0); !over {
		t.Error("410 is tried again")
	}
	for asked, want := range map[time.Duration]time.Duration{time.Second: 5 * time.Second, time.Minute: time.Minute, 99 * time.Hour: 24 * time.Hour} {
		if wait, _ := pause(1, &failure{retryAfter: asked}, 0); wait != want {
			t.Errorf("Retry-After %v: waits %v, want %v", asked, wait, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "0": 0, "120": 2 * time.Minute, "99999999999999": 24 * time.Hour,
		now.Add(time.Hour).Format(http.TimeFormat): time.Hour, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// batchOf makes messages with the numbers as their cursors.
func batchOf(seen []int, numbers ...int) *batch {
	b := &batch{end: "9"}
	for _, s := range seen {
		b.seen = append(b.seen, fmt.Sprint(s))
	}
	for _, n := range numbers {
		before := slices.IndexFunc(seen, func(s int) bool { return s > n })
		if before < 0 {
			before = len(seen)
		}
		b.messages = append(b.messages, message{cursor: fmt.Sprint(n), before: fmt.Sprint(n - 1), seen: before})
	}
	return b
}

// What was delivered before a message that was not is passed; what was delivered after it is kept in mind.
func TestAdvance(t *testing.T) {
	now := time.Unix(1_790_000_000, 0).UTC()
	failed := &failure{problem: "no"}
	for name, c := range map[string]struct {
		before    Progress
		batch     *batch
		delivered []bool
		failure   *failure
		want      Progress
	}{
		"all of it": {
			Progress{Cursor: "0", Ahead: []string{"2"}, Failures: 3, FailingSince: now, Problem: "no"}, batchOf([]int{2}, 1, 3), []bool{true, true}, nil,
			Progress{Cursor: "9", LastDelivered: now},
		},
		"the first fails": {
			Progress{Cursor: "0"}, batchOf(nil, 1, 2, 3), []bool{false, true, false}, failed,
			Progress{Cursor: "0", Ahead: []string{"2"}, Failures: 1, FailingSince: now, NextAttempt: now.Add(5 * time.Second), Problem: "no", LastDelivered: now},
		},
		"it fails again": {
			Progress{Cursor: "0", Ahead: []string{"2"}, Failures: 1, FailingSince: now.Add(-time.Hour)}, batchOf(nil, 1), []bool{false}, failed,
			Progress{Cursor: "0", Ahead: []string{"2"}, Failures: 2, FailingSince: now.Add(-time.Hour), NextAttempt: now.Add(5 * time.Minute), Problem: "no"},
		},
		"another fails": {
			Progress{Cursor: "0", Ahead: []string{"2", "4"}, Failures: 5}, batchOf([]int{2, 4}, 1, 3, 5), []bool{true, false, true}, failed,
			Progress{Cursor: "2", Ahead: []string{"4", "5"}, Failures: 1, FailingSince: now, NextAttempt: now.Add(5 * time.Second), Problem: "no", LastDelivered: now},
		},
		"the server ends": {
			Progress{Cursor: "0"}, batchOf(nil, 1, 2), []bool{true, false}, nil,
			Progress{Cursor: "1", LastDelivered: now},
		},
	} {
		w := Webhook{Progress: c.before}
		w.advance(c.batch, c.delivered, c.failure, now, 0)
		if got, want := fmt.Sprintf("%+v", w.Progress), fmt.Sprintf("%+v", c.want); got != want || w.Disabled != "" {
			t.Errorf("%s:\n got %s %s\nwant %s", name, got, w.Disabled, want)
		}
	}
}
