package waitingroom

import (
	"testing"
	"time"
)

// crowded is a room in which 100,000 people wait, and some of their tickets.
func crowded(t testing.TB) (*Rooms, []string) {
	w := &world{now: begin, shelf: new(shelf), seals: testSeals(), free: 50_000}
	r, err := New(Options{Documents: w.shelf, Seals: w.seals, Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	step := func() {
		if err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Put(t.Context(), service, Settings{Mode: On, OpenAt: begin.Add(time.Second), MostPerSecond: 5}); err != nil {
		t.Fatal(err)
	}
	area, _ := AreaOf("LS1")
	tickets := make([]string, 100_000)
	for i := range tickets {
		if i == len(tickets)/2 {
			w.now = w.now.Add(2 * time.Second)
			step()
		}
		if i > len(tickets)/2 && i%100 == 0 {
			w.now = w.now.Add(50 * time.Millisecond)
		}
		if tickets[i], _, err = r.Join(service, area); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		w.now = w.now.Add(time.Second)
		step()
	}
	return r, tickets
}

func TestLookAllocatesNothing(t *testing.T) {
	r, tickets := crowded(t)
	i := 0
	allocated := testing.AllocsPerRun(1000, func() {
		i += 77
		if _, err := r.Look([]byte(tickets[i%len(tickets)])); err != nil {
			t.Fatal(err)
		}
	})
	if allocated >= 1 && !raceDetector { // one for the conversion of the text would be the test's own; the compiler avoids it
		t.Errorf("a look allocates %v times", allocated)
	}
}

// BenchmarkLook is what one poll costs within the room; cores/100000 is what 100,000 people who poll when they are told to cost.
func BenchmarkLook(b *testing.B) {
	r, tickets := crowded(b)
	texts := make([][]byte, len(tickets))
	rate := 0.0
	for i, ticket := range tickets {
		texts[i] = []byte(ticket)
		s, err := r.Look(texts[i])
		if err != nil {
			b.Fatal(err)
		}
		if s.Phase == Waiting {
			rate += 1 / s.Poll.Seconds()
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := r.Look(texts[i%len(texts)]); err != nil {
			b.Fatal(err)
		}
		i += 77
	}
	b.ReportMetric(rate, "polls/s")
	b.ReportMetric(rate*b.Elapsed().Seconds()/float64(b.N), "cores/100000")
}
