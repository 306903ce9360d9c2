package bench

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// A plan's instants are as far apart as its rate says, and what is due and not begun is counted.
func TestSchedule(t *testing.T) {
	start := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	s := &schedule{start: start, rate: 400}
	for i := range 5 {
		if got, want := s.next(), start.Add(time.Duration(i)*2500*time.Microsecond); got != want {
			t.Errorf("flow %d is planned at %v, want %v", i, got, want)
		}
	}
	for after, want := range map[time.Duration]int64{0: 0, 10 * time.Millisecond: 0, 13 * time.Millisecond: 1, time.Second: 396} {
		if got := s.missed(start.Add(after)); got != want {
			t.Errorf("%d are missed after %v, want %d", got, after, want)
		}
	}
}

// fake answers holds and confirms as the function says.
func fake(t *testing.T, answer func(path, body string) (status int, reply string)) *load {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(x *fasthttp.RequestCtx) {
		status, reply := answer(string(x.Path()), string(x.PostBody()))
		x.SetStatusCode(status)
		x.SetBodyString(reply)
	}}
	go server.Serve(listener)
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	l := &load{address: listener.Addr().String(), clients: 4, perRequest: 3, confirms: true, persons: new(atomic.Int64),
		told: new(acknowledged), keys: "k", choose: func() place { return place{"A", "2026-12-01T10:00:00Z"} }}
	l.measuring.Store(true)
	return l
}

// Flows are counted by what became of them; a person of a crowd who is refused was answered.
func TestLoadCounts(t *testing.T) {
	var held, booked atomic.Int64
	l := fake(t, func(path, body string) (int, string) {
		switch {
		case path == "/v1/holds" && held.Add(1) > 12:
			return 409, `{"code":"SLOT_FULL"}`
		case path == "/v1/holds":
			return 201, `{"holdId":"h-1"}`
		}
		switch n := booked.Add(1); n {
		case 1:
			return 503, "busy"
		case 2:
			return 410, "gone"
		default:
			return 201, fmt.Sprintf(`{"bookings":[{"reference":"R%d"}]}`, n)
		}
	})
	s := new(crowd)
	s.left.Store(40)
	l.run(t.Context(), s.work)
	if s.booked.Load() != 10 || s.refused.Load() != 28 || l.failed.Load() != 2 || l.flows.Load() != 38 {
		t.Errorf("%d booked, %d refused, %d failed, %d counted", s.booked.Load(), s.refused.Load(), l.failed.Load(), l.flows.Load())
	}
	if l.told.count() != 10 || l.told.unknown != 1 {
		t.Errorf("%d acknowledged, %d unknown", l.told.count(), l.told.unknown)
	}
	if l.holds.Count() != 12 || l.confirmed.Count() != 10 || l.both.Count() != 38 {
		t.Errorf("%d, %d and %d times", l.holds.Count(), l.confirmed.Count(), l.both.Count())
	}
}

// A batch's items are counted one by one, whichever fail.
func TestBatchCounts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := fake(t, func(path, body string) (int, string) {
		if n := strings.Count(body, `"start"`) + strings.Count(body, `"nhsNumber"`); n < 2 {
			t.Errorf("%d items: %s", n, body)
		}
		if path == "/v1/holds:batch" {
			return 200, `{"results":[{"status":201,"hold":{"holdId":"h1"}},{"status":409,"problem":{"status":409}},{"status":201,"hold":{"holdId":"h2"}}]}`
		}
		cancel()
		return 200, `{"results":[{"status":201,"bookings":[{"reference":"R1"}]},{"status":503,"problem":{"status":503}}]}`
	})
	l.clients = 1
	l.run(ctx, batches)
	if l.flows.Load() != 1 || l.failed.Load() != 2 || l.told.count() != 1 || l.told.unknown != 1 || l.persons.Load() < 5 {
		t.Errorf("%d flows, %d failed, %d acknowledged, %d unknown", l.flows.Load(), l.failed.Load(), l.told.count(), l.told.unknown)
	}
	if !strings.Contains(l.firstFailure, `"status":409`) {
		t.Errorf("the first failure is told as %s", l.firstFailure)
	}
}

// Searches know their right answers.
func TestQuestions(t *testing.T) {
	w, err := newWorld(Options{Sites: 300, Slots: 2, Capacity: 1, HotCapacity: 1, Repetitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	questions, err := w.ask("127.0.0.1:1")
	if err != nil || len(questions) < 100 {
		t.Fatalf("%d questions: %v", len(questions), err)
	}
	q := &questions[0]
	reply := func(metres ...int) []byte {
		var text []byte
		for _, m := range metres {
			text = fmt.Appendf(text, `{"siteId":"A","distanceMetres":%d,"days":[]},`, m)
		}
		return text
	}
	right := q.metres[:]
	for name, body := range map[string][]byte{
		"few": reply(right[:9]...), "many": reply(append(right[:10:10], 99_000)...), "empty": nil,
		"far": reply(append([]int{right[0] + 700}, right[1:]...)...), "odd": []byte(`"distanceMetres":x}`),
	} {
		if q.check(body) == nil {
			t.Errorf("an answer with %s sites passes", name)
		}
	}
	if err := q.check(reply(right...)); err != nil {
		t.Error(err)
	}
}

// Each question is asked once before it counts.
func TestAskAll(t *testing.T) {
	var asked sync.Map
	l := fake(t, func(path, _ string) (int, string) {
		if _, again := asked.LoadOrStore(path, true); again {
			t.Errorf("%s was asked twice", path)
		}
		return 200, ""
	})
	l.askAll()
	for i := range 100 {
		l.questions = append(l.questions, question{request: fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)})
	}
	l.askAll()
	for i := range 100 {
		if _, ok := asked.Load(fmt.Sprintf("/%d", i)); !ok {
			t.Errorf("question %d was not asked", i)
		}
	}
}

// Sites beyond the real ones have ids and places of their own, and every slot has a number.
func TestWorld(t *testing.T) {
	w, err := newWorld(Options{Sites: 4_000, Slots: 3, Capacity: 7, HotCapacity: 9, Repetitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.byID) != 4_004 || len(w.rows()) != 4_000*3+4 || len(w.numbered()) != len(w.rows()) {
		t.Fatalf("%d sites, %d slots", len(w.byID), len(w.rows()))
	}
	for i, row := range w.rows() {
		slot := w.numbered()[i]
		if string(slot.Site) != row.Site || w.capacity(slot) != row.Capacity {
			t.Fatalf("slot %d is %+v and %v with %d places", i+1, row, slot, w.capacity(slot))
		}
		if i > 20 {
			break
		}
	}
	for _, wrong := range []allocator.SlotID{
		{Site: "nobody", Start: w.starts[0].minute, Length: slotMinutes}, {Site: w.sites[0].ID, Start: w.starts[0].minute + 1, Length: slotMinutes},
		{Site: w.sites[0].ID, Start: w.starts[0].minute, Length: 9}, {Site: w.hot[0].ID, Start: w.starts[1].minute, Length: slotMinutes},
	} {
		if n := w.capacity(wrong); n != 0 {
			t.Errorf("%v has %d places", wrong, n)
		}
	}
}

// Every form of the report has every engine and ratio, and the pictures are XML.
func TestForms(t *testing.T) {
	r := newReport(Options{Commit: "abc", Command: "go test", PerRequest: 32, Clients: 512})
	for i := range 3 {
		r.Turns = append(r.Turns,
			Turn{Engine: Ours, Workload: Spread, Repetition: i, Counts: true, FlowsPerSec: 9_000, TimedFrom: "send", Flow: Latency{1, 20, 300}},
			Turn{Engine: "a<b", Workload: Spread, Repetition: i, Counts: true, FlowsPerSec: 4_000, TimedFrom: "send"},
			Turn{Engine: Ours, Workload: Hot, Repetition: i, Counts: i > 0, Why: "three lost", FlowsPerSec: 7_777})
	}
	r.summarize()
	for name, text := range map[string]string{"table": r.Table(), "markdown": r.Markdown()} {
		for _, want := range []string{"abc", "go test", "a<b", "9000", "DOES NOT COUNT", "three lost"} {
			if !strings.Contains(text, want) {
				t.Errorf("the %s does not tell %q:\n%s", name, want, text)
			}
		}
	}
	for name, text := range map[string]string{"flows": r.FlowsPicture(), "latency": r.LatencyPicture()} {
		decoder := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
		}
		if !strings.Contains(text, "a&lt;b") || strings.Contains(text, "7777") {
			t.Errorf("the picture of %s lacks an engine, or shows what does not count", name)
		}
	}
}

// Cores follow from what was measured to cost how much, and only where all of it was.
func TestSizing(t *testing.T) {
	r := newReport(Options{})
	if r.sizing() != nil {
		t.Error("a country was sized by nothing")
	}
	for w, micros := range map[Workload]float64{Spread: 600, Search: 60, Storm: 30} {
		r.Turns = append(r.Turns, Turn{Engine: Ours, Workload: w, Counts: true, CPU: map[string]float64{cpuServer: micros, cpuRedis: 6}})
	}
	r.summarize()
	// (333 × 600 + 232,334 × 60) µs at 60 % of a core; 22,500 × (60 + 30); 286 × 600 + 5,722 × 60.
	for i, want := range [][2]string{{"23.6", "2.3"}, {"3.4", "0.5"}, {"0.9", "0.1"}} {
		if row := r.sizing()[i]; row[1] != want[0] || row[2] != want[1] || row[3] != "0.0" {
			t.Errorf("%v, want %v", row, want)
		}
	}
	if !strings.Contains(r.Markdown(), "| 23.6 |") {
		t.Error("the report does not tell sizes")
	}
}
