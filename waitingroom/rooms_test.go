package waitingroom

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muster/allocator"
)

func TestNoRoomNoLine(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	ticket, s, err := r.Join(service, Area{})
	if ticket != "" || s.Phase != Open || err != nil {
		t.Errorf("%q, %+v, %v", ticket, s, err)
	}
	w.pass(60, r)
	if w.shelf.writes != 0 {
		t.Errorf("%d writes while there is no room", w.shelf.writes)
	}
	if _, ok := r.Public(service); ok {
		t.Error("a room that was not made is shown")
	}
}

// First come, first called; and who is alone is called within seconds.
func TestLineMovesInOrder(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	w.put(r, Settings{Mode: On, MostPerSecond: 10})
	var line []string
	for range 500 {
		w.now = w.now.Add(time.Millisecond)
		line = append(line, w.join(r))
	}
	if s := w.phase(r, line[0], Waiting); s.Position > 1 {
		t.Errorf("the first is told %d", s.Position)
	}
	last, seconds := 0, 0
	for ; last < len(line) && seconds < 120; seconds++ {
		w.pass(1, r)
		called := 0
		for i, ticket := range line {
			s := w.look(r, ticket)
			if s.Phase == Called && called == i {
				called++
			} else if s.Phase == Called {
				t.Fatalf("number %d was called before number %d", i, called)
			}
			if ahead := i - called; s.Phase == Waiting && (s.Position < ahead-2 || s.Position > ahead+3) {
				t.Fatalf("number %d is told position %d; %d are ahead", i, s.Position, ahead)
			}
		}
		if called < last {
			t.Fatalf("%d were called, and %d before", called, last)
		}
		last = called
		for _, ticket := range line[:called] {
			if _, _, err := r.Enter([]byte(ticket)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seconds < 45 || seconds > 75 {
		t.Errorf("500 people at 10 a second took %d s", seconds)
	}
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	opens := begin.Add(time.Hour)
	for _, s := range []Settings{
		{}, {Mode: "sometimes"}, {Mode: ByLoad, OpenAt: opens}, {Mode: On, OpenAt: begin}, {Mode: On, OpenAt: opens, LotteryFrom: opens},
		{Mode: On, LotteryFrom: begin}, {Mode: On, Beacon: "dice"}, {Mode: On, OpenAt: opens, BeaconValue: "6"},
		{Mode: On, OpenAt: opens, Beacon: "dice", BeaconValue: "6"}, {Mode: On, MostPerSecond: -1},
		{Mode: On, OpenAt: opens, Beacon: strings.Repeat("x", 201)},
	} {
		if _, err := r.Put(t.Context(), service, s); allocator.CodeOf(err) != allocator.CodeInvalid || err == nil {
			t.Errorf("%+v was taken: %v", s, err)
		}
	}
}

// Who comes before the opening is drawn, by a seed that was fixed and is told only afterwards.
func TestDrawBeforeOpening(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	s := Settings{Mode: On, OpenAt: begin.Add(10 * time.Minute), LotteryFrom: begin.Add(time.Minute), Beacon: "the winning numbers of 1 December", MostPerSecond: 1000}
	before := w.put(r, s)
	if before.Seed != "" || len(before.Commitment) != 64 {
		t.Fatalf("before the draw: %+v", before)
	}
	_, _, err := r.Join(service, Area{})
	refusedWith(t, err, allocator.CodeWaitingRoom)
	w.pass(61, r)
	early := make([]string, 200)
	for i := range early {
		early[i] = w.join(r)
		w.phase(r, early[i], Drawing)
	}
	w.pass(9*60, r)
	late := w.join(r)
	w.pass(30, r)
	w.phase(r, early[0], Drawing)
	w.phase(r, late, Waiting)
	if p, _ := r.Public(service); p.Seed != "" {
		t.Error("the seed is told before the beacon is known")
	}
	moved := s
	moved.OpenAt = s.OpenAt.Add(time.Hour)
	if _, err := r.Put(t.Context(), service, moved); err == nil {
		t.Error("the opening was moved while people wait")
	}
	s.BeaconValue = "3 14 15 92 65"
	public := w.put(r, s)
	if public.Commitment != before.Commitment || public.Seed == "" || public.ID != before.ID {
		t.Fatalf("after the draw: %+v, before: %+v", public, before)
	}
	again := s
	again.BeaconValue = "1 2 3 4 5"
	if _, err := r.Put(t.Context(), service, again); err == nil {
		t.Error("the beacon was given twice")
	}
	checkDraw(t, r, w, public, early)
	w.pass(30, r)
	for _, ticket := range append(early, late) {
		w.phase(r, ticket, Called)
	}
}

// checkDraw follows the documentation to find out who is first, and compares.
func checkDraw(t *testing.T, r *Rooms, w *world, public Public, tickets []string) {
	t.Helper()
	v := r.views.Load().byService[service]
	for _, text := range tickets {
		rank, err := CheckDraw(public.Commitment, public.Seed, public.BeaconValue, text)
		if err != nil {
			t.Fatal(err)
		}
		ticket, _, _ := decode([]byte(text))
		at, ok := v.placeOf(&ticket)
		if want := drawnAt(v.Crowd.Opens, rank); !ok || at != want {
			t.Fatalf("drawn at %d, want %d", at, want)
		}
	}
	if _, err := CheckDraw(public.Commitment, public.Commitment, public.BeaconValue, tickets[0]); err == nil {
		t.Error("another seed than the promised one was taken")
	}
}

// A ledger that does not answer stops the line, and loses nobody's place.
func TestLedgerAway(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	w.put(r, Settings{Mode: On, MostPerSecond: 5})
	first := w.join(r)
	w.pass(5, r)
	w.phase(r, first, Called)
	w.shelf.fail = func() (bool, bool) { return true, true }
	second := w.join(r)
	w.pass(60, r)
	w.phase(r, first, Called)
	if s := w.phase(r, second, Waiting); s.Position != 1 {
		t.Errorf("position %d", s.Position)
	}
	w.shelf.fail = nil
	w.pass(5, r)
	w.phase(r, second, Called)
}

// Polls change nothing: not what the servers share, and not one's own place.
func TestPollingWinsNothing(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	w.free = 0 // nobody is called
	w.put(r, Settings{Mode: On})
	tickets := []string{w.join(r), w.join(r), w.join(r)}
	w.pass(5, r)
	before := w.shelf.room(t)
	for range 10_000 {
		if s := w.look(r, tickets[1]); s.Position != 2 {
			t.Fatalf("position %d", s.Position)
		}
	}
	w.pass(5, r)
	after := w.shelf.room(t)
	if after.Frontier != before.Frontier || after.waiting() != before.waiting() {
		t.Error("polls moved the line")
	}
}

func TestCallsLapse(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	w.put(r, Settings{Mode: On})
	ticket := w.join(r)
	w.pass(5, r)
	w.phase(r, ticket, Called)
	w.pass(int(CallLife.Seconds())-60, r)
	w.phase(r, ticket, Called)
	w.pass(180, r)
	w.phase(r, ticket, Lapsed)
	_, _, err := r.Enter([]byte(ticket))
	refusedWith(t, err, allocator.CodeTicketUnknown)
}

// Tickets end with their opening, and with their day.
func TestTicketsEnd(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	w.free = 0
	w.put(r, Settings{Mode: On})
	ticket := w.join(r)
	w.pass(3, r)
	w.now = w.now.Add(TicketLife)
	w.pass(3, r)
	w.phase(r, ticket, Lapsed)
	w.put(r, Settings{Mode: Off})
	w.phase(r, ticket, Open)
	w.put(r, Settings{Mode: On, OpenAt: w.now.Add(time.Hour)})
	_, err := r.Look([]byte(ticket))
	refusedWith(t, err, allocator.CodeTicketUnknown)
}

// A room that opens by load does so when the engine refuses, and closes when nobody has waited for a while.
func TestOpensByLoad(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	w.put(r, Settings{Mode: ByLoad})
	w.pass(30, r)
	if p, _ := r.Public(service); p.Active {
		t.Fatal("it is in force without load")
	}
	for range 100 {
		r.answered(time.Millisecond, allocator.CodeOverloaded)
	}
	w.pass(6, r)
	ticket := w.join(r)
	w.phase(r, ticket, Waiting)
	w.pass(30, r)
	w.phase(r, ticket, Called)
	w.pass(int(calming.Seconds())+10, r)
	w.phase(r, ticket, Open)
	for range 100 {
		r.Shed(false)
	}
	w.pass(6, r)
	w.phase(r, ticket, Lapsed) // the second line is another one
}

// What is near is told, and no longer than it is true.
func TestNear(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	w.near = map[string]int{"LS1": 3, "TR1": 0}
	w.free = 0
	w.put(r, Settings{Mode: On})
	leeds, _ := AreaOf("LS1")
	nowhere, _ := AreaOf("ZZ1")
	var tickets []string
	for _, a := range []Area{leeds, nowhere} {
		ticket, s, err := r.Join(service, a)
		if err != nil || s.Near != -1 {
			t.Fatalf("%+v, %v", s, err)
		}
		tickets = append(tickets, ticket)
	}
	w.pass(2, r)
	if s := w.look(r, tickets[0]); s.Near != 3 || s.Outlook != SoldOut {
		t.Errorf("%+v", s)
	}
	if s := w.look(r, tickets[1]); s.Near != -1 {
		t.Errorf("%+v", s)
	}
	w.near["LS1"] = 0
	w.pass(20, r)
	if s := w.look(r, tickets[0]); s.Near != 0 {
		t.Errorf("%+v", s)
	}
}

// The outlook is no better than the numbers.
func TestOutlook(t *testing.T) {
	v := &view{free: 100, per: 2} // every second one books
	for ahead, want := range map[float64]Outlook{0: Likely, 150: Likely, 170: Uncertain, 230: Uncertain, 250: Unlikely} {
		if got := v.outlook(ahead); got != want {
			t.Errorf("%v ahead: %s, want %s", ahead, got, want)
		}
	}
	v.free = 0
	if got := v.outlook(0); got != SoldOut {
		t.Error(got)
	}
	v.free = -1
	if got := v.outlook(0); got != Unknown {
		t.Error(got)
	}
}

// Run takes a step each second until its context ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := new(shelf)
		r, err := New(Options{Documents: shelf, Seals: testSeals()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		synctest.Wait()
		if _, err := r.Put(ctx, service, Settings{Mode: On}); err != nil {
			t.Fatal(err)
		}
		ticket, _, err := r.Join(service, Area{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // of the bubble's clock
		if s, err := r.Look([]byte(ticket)); err != nil || s.Phase != Called {
			t.Errorf("%+v, %v", s, err)
		}
		cancel()
		<-done
	})
}

// A document that no server wrote stops the rooms, and is not overwritten.
func TestForeignDocument(t *testing.T) {
	w := newWorld(t)
	r := w.server(0)
	w.put(r, Settings{Mode: On})
	w.shelf.kept[documentName] = []byte("not JSON")
	w.now = w.now.Add(time.Second)
	if err := r.Step(t.Context()); err == nil || !bytes.Equal(w.shelf.kept[documentName], []byte("not JSON")) {
		t.Error(err)
	}
}
