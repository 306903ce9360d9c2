package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// TestBatchRunsTogether: all items of a full batch are with the engine at the same moment, so that it can gather them.
func TestBatchRunsTogether(t *testing.T) {
	engine := &fake{}
	var inside atomic.Int64
	all := make(chan struct{})
	engine.hold = func(ctx context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
		if inside.Add(1) == maxBatchItems {
			close(all)
		}
		select {
		case <-all:
			return allocator.Hold{Token: "h1." + string(r.Claims[0].Site)}, nil
		case <-ctx.Done():
			return allocator.Hold{}, ctx.Err()
		}
	}
	w := serve(t, Options{Admission: Admission{Hold: Gate{Deadline: time.Minute}}}, engine)
	items := make([]string, maxBatchItems)
	for i := range items {
		items[i] = holdWith("siteId", fmt.Sprintf(`"S%d"`, i))
	}
	for i, r := range w.call("POST", atHolds, holdsOf(items...)).items(maxBatchItems) {
		if !bytes.Contains(r.Hold, fmt.Appendf(nil, `"h1.S%d"`, i)) {
			t.Errorf("result %d is %s", i, r.Hold)
		}
	}
}

// TestBatchFitsOnePlace: the place that lets a batch in does not stand in the way of its items, and items of one key come
// one after the other, in the order of the body.
func TestBatchFitsOnePlace(t *testing.T) {
	for _, places := range []int{1, 64} {
		engine := &fake{}
		var mu sync.Mutex
		var order []string
		var inside atomic.Int64
		engine.hold = func(_ context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
			if n := inside.Add(1); n > int64(min(places, 2)) {
				t.Errorf("%d at once of two keys in %d places", n, places)
			}
			defer inside.Add(-1)
			runtime.Gosched()
			mu.Lock()
			defer mu.Unlock()
			if r.IdempotencyKey == "a" {
				order = append(order, string(r.Claims[0].Site))
			}
			return allocator.Hold{Token: "h1.t"}, nil
		}
		w := serve(t, Options{Admission: Admission{Hold: Gate{Concurrency: places, Queue: 64, Wait: 10 * time.Second}}}, engine)
		var items, want []string
		for i := range 32 {
			site := fmt.Sprintf("S%d", i)
			want = append(want, site)
			items = append(items, with("idempotencyKey", "a", holdWith("siteId", `"`+site+`"`)), with("idempotencyKey", "b", goodHold))
		}
		for i, r := range w.call("POST", atHolds, holdsOf(items...)).items(64) {
			if r.Status != 201 {
				t.Errorf("item %d: %+v", i, r.Problem)
			}
		}
		if !slices.Equal(order, want) {
			t.Errorf("items of one key came as %v", order)
		}
	}
}

// TestBatchPanic: a panic costs one item.
func TestBatchPanic(t *testing.T) {
	engine := &fake{}
	engine.hold = func(_ context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
		if r.IdempotencyKey == "bad" {
			panic("internals")
		}
		return allocator.Hold{Token: "h1.t"}, nil
	}
	w := serve(t, Options{}, engine)
	bad, good := with("idempotencyKey", "bad", goodHold), with("idempotencyKey", "good", goodHold)
	a := w.call("POST", atHolds, holdsOf(good, bad, good), "X-Request-Id", "panic-request")
	got := a.items(3)
	if got[0].Status != 201 || got[1].Problem.Code != allocator.CodeInternal || got[2].Status != 201 || bytes.Contains(a.body, []byte("internals")) {
		t.Errorf("%s", a.body)
	}
	if log := w.logs.String(); !strings.Contains(log, "TestBatchPanic") || strings.Contains(log, "internals") || !strings.Contains(log, `"requestId":"panic-request"`) {
		t.Errorf("log %s", log)
	}
	if left := w.server.house.gate.States()[classHold].Running; left != 0 {
		t.Errorf("%d places were not given back", left)
	}
}

// direct gives a batch to its handler without a network, for tests with a virtual clock.
func direct(s *Server, body string) ([]itemView, error) {
	rows := routes()
	row := rows[slices.IndexFunc(rows, func(r route) bool { return r.operation == "batchHolds" })]
	x := &exchange{server: s, http: &fasthttp.RequestCtx{}, route: &row, id: "direct", started: time.Now(), body: body}
	r, err := row.handle(s, context.Background(), x)
	if err != nil {
		return nil, err
	}
	return r.body.(*resultsView).Results, nil
}

func statuses(items []itemView) string {
	var all []int
	for _, i := range items {
		all = append(all, i.Status)
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// TestBatchAdmission: items count, not requests: of a batch as many run and wait as of single requests, in its gate only.
func TestBatchAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &fake{}
		release := make(chan struct{})
		var inside atomic.Int64
		engine.hold = func(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
			inside.Add(1)
			<-release
			return allocator.Hold{Token: "h1.t"}, nil
		}
		s, err := New(Options{Admission: Admission{Hold: Gate{Concurrency: 3, Queue: 2, Wait: time.Minute}}}, engine)
		if err != nil {
			t.Fatal(err)
		}
		first, second := make(chan []itemView, 1), make(chan []itemView, 1)
		ask := func(into chan<- []itemView) {
			items, err := direct(s, holdsOf(slices.Repeat([]string{goodHold}, 4)...))
			if err != nil {
				t.Error(err)
			}
			into <- items
		}
		go ask(first)
		synctest.Wait()
		go ask(second)
		synctest.Wait()
		if n := inside.Load(); n != 3 {
			t.Errorf("%d items are with the engine, want 3", n)
		}
		close(release)
		if got := statuses(<-first); got != "[201 201 201 201]" {
			t.Error(got)
		}
		all := <-second
		if got := statuses(all); got != "[201 503 503 503]" {
			t.Error(got)
		}
		for _, i := range all {
			if i.Status == 503 && (i.Problem.Code != allocator.CodeOverloaded || i.RetryAfter < 1) {
				t.Errorf("%+v", i)
			}
		}
		if left := s.house.gate.States()[classHold].Running; left != 0 {
			t.Errorf("%d places were not given back", left)
		}
	})
}

// TestBatchDeadlines: an item that the engine leaves waiting costs its own time only, and items of one key share theirs.
func TestBatchDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &fake{}
		var asked atomic.Int64
		engine.hold = func(ctx context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
			if r.IdempotencyKey == "" {
				return allocator.Hold{Token: "h1.t"}, nil
			}
			asked.Add(1)
			<-ctx.Done()
			return allocator.Hold{}, ctx.Err()
		}
		s, err := New(Options{Admission: Admission{Hold: Gate{Deadline: 5 * time.Second}}}, engine)
		if err != nil {
			t.Fatal(err)
		}
		slow := with("idempotencyKey", "slow", goodHold)
		began := time.Now()
		got, err := direct(s, holdsOf(slow, goodHold, slow, with("idempotencyKey", "other", goodHold)))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
		var codes []allocator.Code
		for _, i := range got {
			if i.Problem == nil {
				codes = append(codes, "")
			} else {
				codes = append(codes, i.Problem.Code)
			}
		}
		want := []allocator.Code{allocator.CodeOutcomeUnknown, "", allocator.CodeOverloaded, allocator.CodeOutcomeUnknown}
		if !slices.Equal(codes, want) || asked.Load() != 2 {
			t.Errorf("%v, want %v; the engine was asked %d times", codes, want, asked.Load())
		}
	})
}

// FuzzBatch: no body makes a batch panic; it is refused as a whole, or every item of it is answered, and the engine gets
// exactly those that the single route would take.
func FuzzBatch(f *testing.F) {
	for _, s := range append(jsonSeeds, holdsOf(goodHold, `{}`, with("idempotencyKey", "k", goodHold)), holdsOf(`{"a":1,"a":2}`, goodHold), `{"holds":[[]]}`,
		`{"holds":[{"claims":[`+goodHold+`]}]}`, `{"holds":[1],"holds":[2]}`) {
		f.Add([]byte(s))
	}
	engine := &fake{}
	var asked atomic.Int64
	engine.hold = func(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
		asked.Add(1)
		return allocator.Hold{Token: "h1.t"}, nil
	}
	s, err := New(Options{}, engine)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		asked.Store(0)
		results, err := direct(s, string(data))
		if err != nil {
			if e := refusalOf(err); e.Code != allocator.CodeInvalid || len(e.Faults) == 0 || asked.Load() > 0 {
				t.Fatalf("%q: %v, and the engine was asked %d times", data, err, asked.Load())
			}
			return
		}
		var body struct{ Holds []json.RawMessage }
		if err := json.Unmarshal(data, &body); err != nil || len(body.Holds) != len(results) {
			t.Fatalf("%d results for %q", len(results), data)
		}
		good := int64(0)
		for i, r := range results {
			d, o := decodeBody(body.Holds[i])
			decodeClaims(o, "idempotencyKey")
			o.idempotencyKey("idempotencyKey")
			switch alone := d.fail(); {
			case alone == nil && r.Status == 201:
				good++
			case alone == nil || r.Status != 400 || len(r.Problem.Errors) == 0:
				t.Fatalf("%s alone: %v; in a batch: %+v", body.Holds[i], alone, r)
			}
		}
		if asked.Load() != good {
			t.Fatalf("%d holds were made and %d told", asked.Load(), good)
		}
	})
}
