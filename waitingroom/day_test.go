package waitingroom

import (
	"container/list"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"muster/allocator"
)

// A simulated day: people come before and after the opening, wait, poll when they are told to, give up; those who are called
// look for a place, hold it, confirm or leave. The engine does so many things a second, gets slow when more is asked, and
// refuses when much more is. Rooms, tickets, passes and the door are the real ones; time is virtual.
type day struct {
	*world
	chance  *rand.Rand
	servers []*Rooms
	doors   []*Door
	people  []visitor
	due     map[int][]int // second → people who do something then
	second  int
	opens   int // second
	places  int

	capacity float64 // holds and confirms a second
	backlog  float64 // things that are not done yet
	asks     float64
	last     float64       // things that were asked in the last second
	elapsed  time.Duration // within the second, by the engine
	nextHold int
	ends     map[string]int // hold → second
	seen     *list.List     // what searches show is some seconds old

	entered, turnedAway, booked, abandoned, failed, served, polls int
	slowest                                                       time.Duration
	nearly, filled                                                int // seconds in which 95 % of the places, and the last, were booked
	errors                                                        []float64
	within, asked                                                 int
}

type visitor struct {
	ticket, pass, hold string
	leaves             int // second in which they give up; 0: never
	step               int
	told               [2]time.Duration // an estimate, and when it was told
	toldAt             int
	outlook            Outlook
}

const (
	polling = iota
	holding
	confirming
	gone
)

// engine is what the doors of a day lead to.
type dayEngine struct{ *day }

// work takes a piece of work, and tells how it went.
func (d *day) work() error {
	d.asks++
	if d.backlog > 8*d.capacity {
		d.failed++
		return allocator.Refuse(allocator.CodeOverloaded, "too much")
	}
	d.backlog++
	d.served++
	busy := min(0.98, d.last/d.capacity) // the busier, the slower; and what is too much waits
	took := time.Duration((0.02/(1-busy) + max(0, d.backlog/d.capacity-1)) * float64(time.Second))
	d.elapsed, d.slowest = took, max(d.slowest, took)
	return nil
}

func (e dayEngine) Hold(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
	if err := e.work(); err != nil {
		return allocator.Hold{}, err
	}
	if e.free == 0 {
		return allocator.Hold{}, allocator.Refuse(allocator.CodeSlotFull, "full")
	}
	e.free--
	e.nextHold++
	token := fmt.Sprint("h", e.nextHold)
	e.ends[token] = e.second + 300
	return allocator.Hold{Token: token, ExpiresAt: e.now.Add(5 * time.Minute)}, nil
}

func (e dayEngine) Confirm(_ context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error) {
	if err := e.work(); err != nil {
		return nil, err
	}
	delete(e.ends, req.Token)
	if e.booked++; e.booked == e.places*19/20 {
		e.nearly = e.second
	}
	e.filled = e.second
	return make([]allocator.BookingView, 1), nil
}

func (e dayEngine) Release(context.Context, string) error { return nil }
func (e dayEngine) Extend(context.Context, string) (allocator.Hold, error) {
	return allocator.Hold{}, nil
}

func newDay(t *testing.T, people, places, early int, capacity float64) *day {
	d := &day{
		world: newWorld(t), chance: rand.New(rand.NewPCG(1, 2)), due: make(map[int][]int), capacity: capacity,
		ends: make(map[string]int), seen: list.New(), opens: early, places: places,
	}
	d.world.free = places
	for i, ahead := range []time.Duration{0, 120 * time.Millisecond, -80 * time.Millisecond} {
		r, err := New(Options{
			Documents: d.shelf, Seals: d.seals, Now: func() time.Time { return d.now.Add(ahead + d.elapsed) },
			Free: func(context.Context, allocator.ServiceCode) (int, error) { return d.shown(), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		d.step(r)
		if i == 0 {
			d.put(r, Settings{Mode: On, OpenAt: begin.Add(time.Duration(d.opens) * time.Second), StartPerSecond: int(capacity / 5)})
		}
		d.servers = append(d.servers, r)
		d.doors = append(d.doors, r.Door(dayEngine{d}))
	}
	d.pass(6, d.servers...)
	d.people = make([]visitor, people)
	for i := range d.people {
		at := 10 + d.chance.IntN(d.opens-10) // seven of ten in the hour before
		if i%10 >= 7 {
			at = d.opens + int(d.chance.ExpFloat64()*400)
		}
		if i%5 < 3 { // and 60 % give up
			d.people[i].leaves = max(at, d.opens) + d.chance.IntN(1800)
		}
		d.at(at, i)
	}
	d.second = 6
	return d
}

func (d *day) at(second, who int) {
	second = max(second, d.second+1)
	d.due[second] = append(d.due[second], who)
}

// shown is how many places searches show: three seconds old.
func (d *day) shown() int {
	if first := d.seen.Front(); first != nil {
		return first.Value.(int)
	}
	return d.free
}

// run lets the day go by, until nobody has anything left to do.
func (d *day) run() {
	for d.booked < d.places && len(d.due) > 0 && d.second < 6*3600 {
		d.second++
		d.now = d.now.Add(time.Second)
		d.elapsed = 0
		d.last, d.asks = d.asks, 0
		d.backlog = max(0, d.backlog-d.capacity)
		d.seen.PushBack(d.free)
		if d.seen.Len() > 3 {
			d.seen.Remove(d.seen.Front())
		}
		for token, ends := range d.ends {
			if ends <= d.second {
				delete(d.ends, token)
				d.free++
			}
		}
		for _, who := range d.due[d.second] {
			d.act(who)
			d.elapsed = 0
		}
		delete(d.due, d.second)
		d.step(d.servers...)
	}
}

func (d *day) act(who int) {
	p, server := &d.people[who], d.chance.IntN(len(d.servers))
	if p.step < holding && p.leaves != 0 && d.second >= p.leaves {
		p.step = gone
		return
	}
	switch p.step {
	case polling:
		d.poll(who, p, server)
	case holding:
		d.hold(who, p, server)
	case confirming:
		if d.ends[p.hold] == 0 {
			return
		}
		if _, err := d.doors[server].Confirm(d.t.Context(), allocator.ConfirmRequest{Token: p.hold}); err != nil {
			d.at(d.second+2, who)
		}
	}
}

func (d *day) poll(who int, p *visitor, server int) {
	if p.ticket == "" {
		ticket, s, err := d.servers[server].Join(service, Area{})
		if err != nil {
			d.t.Fatal(err)
		}
		p.ticket = ticket
		d.at(d.second+int(s.Poll.Seconds()+0.5), who)
		return
	}
	d.polls++
	s := d.look(d.servers[server], p.ticket)
	switch s.Phase {
	case Called:
		if p.toldAt > 0 {
			d.judge(p)
		}
		d.enter(who, p, server)
		return
	case Waiting:
		if p.toldAt == 0 && s.Wait[1] > 0 && s.Position > 200 {
			p.told, p.toldAt, p.outlook = s.Wait, d.second, s.Outlook
		}
	case Lapsed:
		d.t.Fatalf("a patient visitor lapsed")
	}
	d.at(d.second+int(s.Poll.Seconds()+0.5), who)
}

func (d *day) enter(who int, p *visitor, server int) {
	pass, _, err := d.servers[server].Enter([]byte(p.ticket))
	if err != nil {
		d.t.Fatal(err)
	}
	d.entered++
	p.pass, p.step = pass, holding
	d.at(d.second+10+d.chance.IntN(60), who)
}

// judge compares an estimate with what came of it.
func (d *day) judge(p *visitor) {
	took := time.Duration(d.second-p.toldAt) * time.Second
	d.asked++
	if took >= p.told[0]-5*time.Second && took <= p.told[1]+5*time.Second {
		d.within++
	}
	middle := math.Sqrt(p.told[0].Seconds() * p.told[1].Seconds())
	d.errors = append(d.errors, math.Abs(took.Seconds()-middle)/max(30, took.Seconds()))
}

func (d *day) hold(who int, p *visitor, server int) {
	if d.chance.IntN(100) < 5 { // finds nothing that suits
		return
	}
	h, err := d.doors[server].Hold(d.t.Context(), allocator.HoldRequest{
		Pass: p.pass, Claims: []allocator.ClaimRequest{{Service: service}}, IdempotencyKey: p.ticket,
	})
	switch allocator.CodeOf(err) {
	case allocator.CodeSlotFull:
		d.turnedAway++
		p.step = gone
		return
	case allocator.CodeOverloaded:
		d.at(d.second+2, who)
		return
	}
	if err != nil {
		d.t.Fatal(err)
	}
	p.hold, p.step = h.Token, confirming
	if d.chance.IntN(100) < 5 {
		d.abandoned++
		return
	}
	d.at(d.second+20+d.chance.IntN(100), who)
}

// TestDay: all places are filled, soon, without overload, though most of those who were called never come.
func TestDay(t *testing.T) {
	people, places, early, capacity := 100_000, 30_000, 3600, 100.0
	if testing.Short() || raceDetector {
		people, places, early, capacity = 10_000, 3000, 600, 20
	}
	d := newDay(t, people, places, early, capacity)
	d.run()
	slices.Sort(d.errors)
	called := make(map[Outlook][2]int)
	for i := range d.people {
		if p := &d.people[i]; p.toldAt > 0 && p.leaves == 0 {
			n := called[p.outlook]
			if p.step == polling {
				n[1]++
			} else {
				n[0]++
			}
			called[p.outlook] = n
		}
	}
	ideal := float64(places) / (capacity / 2)
	t.Logf("%d people, of whom 60 %% give up, and %d places: %d entered, %d booked, %d let a hold lapse, %d entered in vain",
		people, places, d.entered, d.booked, d.abandoned, d.turnedAway)
	t.Logf("19 of 20 places were booked %d s after the opening, the last one after %d s; an engine that knew all takes %.0f s",
		d.nearly-d.opens, d.filled-d.opens, ideal)
	t.Logf("%d holds and confirms, %d refused, the slowest took %v; %d polls, %.0f a second; %d writes of the document",
		d.served, d.failed, d.slowest.Round(time.Millisecond), d.polls, float64(d.polls)/float64(d.second), d.shelf.writes)
	t.Logf("of %d estimates %.0f %% held; their geometric middle was wrong by %.0f %% (median), %.0f %% (90th percentile)",
		d.asked, 100*float64(d.within)/float64(d.asked), 100*d.errors[len(d.errors)/2], 100*d.errors[len(d.errors)*9/10])
	t.Logf("of those who stayed, and were told likely %v were called and not called, uncertain %v, unlikely %v", called[Likely], called[Uncertain], called[Unlikely])
	if d.booked != places {
		t.Errorf("%d of %d places were booked", d.booked, places)
	}
	if float64(d.nearly-d.opens) > 2.5*ideal {
		t.Error("that took too long")
	}
	if d.failed*100 > d.served || d.slowest > 5*time.Second {
		t.Error("the engine was overloaded")
	}
	if d.turnedAway*15 > d.entered {
		t.Error("too many were let in for nothing")
	}
	if d.within*3 < 2*d.asked || d.errors[len(d.errors)/2] > 0.75 {
		t.Error("the estimates are worth nothing")
	}
	if n := called[Likely]; n[1]*10 > n[0] {
		t.Error("people were told that they will find a place, and were not called")
	}
}
