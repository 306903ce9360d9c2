package allocator_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/faults"
)

var (
	simulationSeeds = flag.Int("simulation.seeds", 40, "how many seeds to simulate")
	simulationSeed  = flag.Uint64("simulation.seed", 0, "the one seed to simulate")
)

// TestSimulation lets citizens, publishers and operators work on three servers for minutes of virtual time while calls are
// lost before and after their effect, delayed, repeated and delivered long after; servers crash; shards lose their memory;
// ledger and inventory go away for a while. Then everything heals, and a minute later every promise is checked.
//
// The choices follow from the seed; how goroutines interleave does not, so a seed that fails may need a few runs.
func TestSimulation(t *testing.T) {
	first, n := uint64(1), uint64(*simulationSeeds)
	if *simulationSeed != 0 {
		first, n = *simulationSeed, 1
	}
	var total sync.Map
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				s := &simulation{world: w, random: rand.New(rand.NewPCG(seed, 1)), acknowledged: make(map[string]*acknowledged)}
				s.run()
				w.events.Range(func(event, n any) bool {
					c, _ := total.LoadOrStore(event, new(atomic.Int64))
					c.(*atomic.Int64).Add(int64(n.(*counter).get()))
					return true
				})
			})
		})
	}
	if *simulationSeed == 0 && n >= 40 && !t.Failed() {
		for _, event := range []string{
			"hold_lost", "reseat", "place_taken", "pin_settled", "pin_freed", "rebuild", "place_repaired", "epoch_opened",
			"confirm_without_inventory", "ledger_retry", "outcome_unknown", "confirm_refused_HOLD_REVOKED",
		} {
			if _, ok := total.Load(event); !ok {
				t.Errorf("no seed reached %s: the simulation has become too gentle", event)
			}
		}
	}
	total.Range(func(event, n any) bool { t.Logf("%s: %d", event, n.(*atomic.Int64).Load()); return true })
}

type simulation struct {
	*world
	mu           sync.Mutex
	random       *rand.Rand
	storm        atomic.Bool // faults happen
	redisDown    atomic.Bool
	ledgerDown   atomic.Bool
	servers      []*server
	acknowledged map[string]*acknowledged // by reference
	people       int
}

// server is a running allocator, and whether it has crashed.
type server struct {
	a    *allocator.Allocator
	dead atomic.Bool
	gone chan struct{}
}

// acknowledged is what a client was told of a booking.
type acknowledged struct {
	view     allocator.BookingView
	mayHave  bool // its end was asked for: it may or may not be live
	mustHave bool // its end was acknowledged
	person   int
}

func (s *simulation) intn(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

func (s *simulation) chance(percent int) bool { return s.intn(100) < percent }

var mutating = map[string]bool{"Record": true, "Void": true, "Publish": true, "Transition": true, "OpenEpoch": true}

// planOf makes the plan of one server's calls.
func (s *simulation) planOf(sv *server, ledger bool) faults.Planner {
	return func(method string) faults.Plan {
		p := faults.Plan{Delay: time.Duration(s.intn(3000)) * time.Microsecond}
		if sv.dead.Load() {
			return faults.Plan{Before: allocator.ErrUnavailable}
		}
		if ledger && s.ledgerDown.Load() || !ledger && s.redisDown.Load() {
			p.Before = allocator.ErrUnavailable
			return p
		}
		if !s.storm.Load() {
			return p
		}
		lost := allocator.ErrUnavailable
		if ledger && mutating[method] {
			lost = allocator.ErrOutcomeUnknown
		}
		switch s.intn(40) {
		case 0, 1:
			p.Before = allocator.ErrUnavailable
		case 2, 3:
			p.After = lost
		case 4, 5:
			p.Twice = true
		case 6:
			p.After, p.Late = lost, time.Duration(s.intn(20_000))*time.Millisecond
		case 7:
			p.Delay = time.Duration(s.intn(2_000)) * time.Millisecond
		}
		return p
	}
}

func (s *simulation) newServer() *server {
	sv := &server{gone: make(chan struct{})}
	config := s.config()
	config.Inventory = faults.Inventory{Inventory: s.inventory, Plan: s.planOf(sv, false)}
	config.Ledger = faults.Ledger{Ledger: s.ledger, Plan: s.planOf(sv, true)}
	config.Limits = allocator.Limits{HoldLength: 20 * time.Second, Grace: time.Second, KeyLifetime: 2 * time.Minute}
	var err error
	if sv.a, err = allocator.New(config); err != nil {
		s.t.Fatal(err)
	}
	for sv.a.Start(context.Background()) != nil {
		time.Sleep(100 * time.Millisecond)
	}
	return sv
}

func (s *simulation) server() *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.servers[s.random.IntN(len(s.servers))]
}

// crash kills a server in the middle of whatever it does, and starts another in its place.
func (s *simulation) crash(i int) {
	s.mu.Lock()
	old := s.servers[i]
	s.mu.Unlock()
	old.dead.Store(true)
	fresh := s.newServer()
	s.mu.Lock()
	s.servers[i] = fresh
	s.mu.Unlock()
	go func() { // what a dead server still does reaches nobody; its goroutines end so that the bubble can
		_ = old.a.Stop(context.Background())
		close(old.gone)
	}()
	<-old.gone
}

var simulatedSites = []allocator.SiteID{"S1", "S2", "S3"}

// pools are overlapping sets of services: the seating rule has work to do.
func (s *simulation) sessions() []allocator.Session {
	all := []allocator.Session{
		session(1+s.intn(2), "RSV", "FLU"), session(1+s.intn(2), "FLU", "COVID"), session(1+s.intn(2), "COVID", "RSV"), session(1+s.intn(3), "RSV"),
	}
	n := 1 + s.intn(len(all))
	return all[:n]
}

func (s *simulation) run() {
	for range 3 {
		s.servers = append(s.servers, s.newServer())
	}
	for _, site := range simulatedSites {
		s.publish(s.servers[0].a, site, s.sessions()...)
	}
	s.storm.Store(true)
	var work, trouble sync.WaitGroup
	stop := make(chan struct{})
	trouble.Go(func() { s.trouble(stop) })
	for range 12 {
		work.Go(func() {
			for range 12 {
				s.citizen()
				time.Sleep(time.Duration(s.intn(6000)) * time.Millisecond)
			}
		})
	}
	work.Wait()
	close(stop)
	trouble.Wait()
	s.storm.Store(false)
	s.redisDown.Store(false)
	s.ledgerDown.Store(false)
	time.Sleep(60*time.Second + 21*time.Second) // the promise, after the last hold has lapsed
	s.checkAll()
	for _, sv := range s.servers {
		if err := sv.a.Stop(context.Background()); err != nil {
			s.t.Error(err)
		}
	}
	synctest.Wait()
}

// trouble breaks things and mends them.
func (s *simulation) trouble(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(500+s.intn(6000)) * time.Millisecond):
		}
		switch s.intn(7) {
		case 0, 1:
			s.inventory.Lose(s.intn(2))
		case 2:
			s.crash(s.intn(3))
		case 3:
			s.redisDown.Store(true)
			time.Sleep(time.Duration(s.intn(8000)) * time.Millisecond)
			s.redisDown.Store(false)
		case 4:
			s.ledgerDown.Store(true)
			time.Sleep(time.Duration(s.intn(8000)) * time.Millisecond)
			s.ledgerDown.Store(false)
		default:
			s.republish()
		}
	}
}

// republish changes a day's capacity, perhaps below what is booked.
func (s *simulation) republish() {
	site := simulatedSites[s.intn(3)]
	sessions := s.sessions()
	for i := range sessions {
		sessions[i].From, sessions[i].Until, sessions[i].SlotLength = 9*60, 9*60+30, 10
	}
	_, _ = s.server().a.PublishDay(context.Background(), allocator.PublishRequest{Site: site, Date: s.day, Day: allocator.Day{Sessions: sessions}})
}

// insistently repeats a request, on any server, until its answer is definite, as the contract tells clients to.
func insistently[T any](s *simulation, request func(a *allocator.Allocator) (T, error)) (T, error) {
	for {
		value, err := request(s.server().a)
		switch allocator.CodeOf(err) {
		case allocator.CodeOutcomeUnknown, allocator.CodeLedgerUnavailable, allocator.CodeUnavailable, allocator.CodeOverloaded, allocator.CodeInProgress:
			time.Sleep(time.Duration(100+s.intn(900)) * time.Millisecond)
			continue
		}
		return value, err
	}
}

// citizen walks one way through the protocol.
func (s *simulation) citizen() {
	s.mu.Lock()
	s.people++
	me := s.people
	s.mu.Unlock()
	var claims []allocator.ClaimRequest
	for range 1 + s.intn(2)*s.intn(3) {
		service := []allocator.ServiceCode{"RSV", "FLU", "COVID"}[s.intn(3)]
		claims = append(claims, s.claim(simulatedSites[s.intn(3)], service, s.intn(3)))
	}
	key := fmt.Sprint("key ", me)
	h, err := insistently(s, func(a *allocator.Allocator) (allocator.Hold, error) { return s.hold(a, key, claims...) })
	if err != nil {
		s.expect(err, allocator.CodeSlotFull, allocator.CodeSlotUnknown, allocator.CodeHoldExpired, allocator.CodeSessionClosed)
		return
	}
	switch {
	case s.chance(10):
		return // abandoned
	case s.chance(10):
		_, err := insistently(s, func(a *allocator.Allocator) (bool, error) { return true, a.Release(context.Background(), h.Token) })
		s.expect(err)
		return
	case s.chance(15):
		_, err := insistently(s, func(a *allocator.Allocator) (allocator.Hold, error) { return a.Extend(context.Background(), h.Token) })
		s.expect(err, allocator.CodeHoldExpired, allocator.CodeHoldLost)
	}
	time.Sleep(time.Duration(s.intn(12)*s.intn(3)) * time.Second)
	people := make([]allocator.Person, len(claims))
	for i := range people {
		people[i] = person(1000*me + i)
	}
	if s.chance(15) {
		for i := range people {
			people[i] = person(1000*(1+s.intn(me)) + i) // somebody who may have a booking
		}
	}
	s.confirmAndGoOn(me, h, people)
}

// confirmAndGoOn confirms, perhaps twice at once, and perhaps ends the booking later.
func (s *simulation) confirmAndGoOn(me int, h allocator.Hold, people []allocator.Person) {
	confirm := func() ([]allocator.BookingView, error) {
		return insistently(s, func(a *allocator.Allocator) ([]allocator.BookingView, error) { return s.confirm(a, h.Token, people...) })
	}
	var other []allocator.BookingView
	var otherErr error
	var twin sync.WaitGroup
	doubled := s.chance(25)
	if doubled {
		twin.Go(func() { other, otherErr = confirm() })
	}
	views, err := confirm()
	twin.Wait()
	if doubled && (err == nil) != (otherErr == nil) {
		s.t.Errorf("one confirm says %v, its twin %v", err, otherErr)
	}
	if err != nil {
		s.expect(err, allocator.CodeHoldExpired, allocator.CodeHoldReleased, allocator.CodeHoldRevoked, allocator.CodeHoldLost,
			allocator.CodeSlotFull, allocator.CodeAlreadyBooked)
		_, again := confirm()
		if allocator.CodeOf(again) != allocator.CodeOf(err) && !(allocator.CodeOf(err) == allocator.CodeAlreadyBooked) {
			s.t.Errorf("a refused confirm said %v, and then %v", err, again)
		}
		return
	}
	for i := range views {
		if doubled && other[i].Reference != views[i].Reference {
			s.t.Errorf("twins got %s and %s", views[i].Reference, other[i].Reference)
		}
		s.mu.Lock()
		s.acknowledged[views[i].Reference] = &acknowledged{view: views[i], person: me}
		s.mu.Unlock()
	}
	if s.chance(30) {
		s.cancel(views[s.intn(len(views))])
	}
}

func (s *simulation) cancel(v allocator.BookingView) {
	s.mu.Lock()
	known := s.acknowledged[v.Reference]
	known.mayHave = true
	s.mu.Unlock()
	access := allocator.BookingAccess{Reference: v.Reference, ManageToken: v.ManageToken}
	cancelled, err := insistently(s, func(a *allocator.Allocator) (allocator.BookingView, error) {
		return a.Cancel(context.Background(), access, "", allocator.Caller{})
	})
	if err != nil || cancelled.Status != allocator.StatusCancelled {
		s.t.Errorf("cancelling %s: %v, %v", v.Reference, cancelled.Status, err)
		return
	}
	s.mu.Lock()
	known.mustHave = true
	s.mu.Unlock()
}

// expect allows no error but some codes.
func (s *simulation) expect(err error, codes ...allocator.Code) {
	if err != nil && !slices.Contains(codes, allocator.CodeOf(err)) {
		s.t.Errorf("unexpected: %v", err)
	}
}

// checkAll checks the promises after the storm.
func (s *simulation) checkAll() {
	s.sameAsLedger(s.servers[0].a) // P5, P1 by place, uniqueness of persons
	ctx := context.Background()
	for reference, known := range s.acknowledged { // P2
		key, _ := allocator.ParseReference(reference)
		rows, err := s.ledger.Bookings(ctx, []allocator.BookingKey{key})
		switch {
		case err != nil || len(rows) == 0 || rows[0].Status == allocator.StatusVoid:
			s.t.Errorf("acknowledged booking %s is lost: %v, %v", reference, rows, err)
		case !known.mayHave && !rows[0].Status.Live():
			s.t.Errorf("acknowledged booking %s is %s", reference, rows[0].Status)
		case known.mustHave && rows[0].Status.Live():
			s.t.Errorf("cancelled booking %s is live again", reference)
		}
	}
	s.checkEvents()
}

// checkEvents: every transition has exactly one event (P12), and no place was ever granted beyond what the rule allows:
// replayed in order, each booking joined the live ones under the day's document of that moment (P1).
func (s *simulation) checkEvents() {
	ctx := context.Background()
	seen := make(map[string]bool)
	booked := make(map[allocator.BookingKey]int)
	after := ""
	for {
		events, next, err := s.ledger.Events(ctx, after, 1000)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range events {
			id := fmt.Sprint(e.Booking, e.Site, e.Date, e.Version, e.Revision)
			if seen[id] {
				s.t.Errorf("two events for one transition: %+v", e)
			}
			seen[id] = true
			if e.Type == allocator.EventBooked {
				booked[e.Booking]++
			}
		}
		if len(events) == 0 {
			break
		}
		after = next
	}
	for reference := range s.acknowledged {
		key, _ := allocator.ParseReference(reference)
		if booked[key] != 1 {
			s.t.Errorf("booking %s has %d events of its birth", reference, booked[key])
		}
	}
}
