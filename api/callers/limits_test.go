package callers

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// visitorAt is somebody new at an address.
func visitorAt(address string) Caller { return Caller{Address: address, Visitor: NewVisitor(noon)} }

// held says whether a caller gets a hold of one place.
func held(l *Limits, now time.Time, c Caller) bool {
	d := l.Hold(now, c, 1)
	return !d.Refused
}

// TestAnAddressIsAllowedWhatItRedeems: an address that nobody vouches for has so many holds, one more each two minutes, and
// two more for each person that is booked, with one more of them out at once.
func TestAnAddressIsAllowedWhatItRedeems(t *testing.T) {
	l := limits(t, Options{AddressHolds: 4, ProofBits: -1})
	take := func(now time.Time) (n int) {
		for held(l, now, visitorAt("a")) {
			n++
		}
		return n
	}
	if n := take(noon); n != 4 {
		t.Errorf("%d holds, want 4", n)
	}
	if n := take(noon.Add(4 * time.Minute)); n != 2 {
		t.Errorf("%d more after 4 minutes, want 2", n)
	}
	now := noon.Add(5 * time.Minute)
	for i := range 3 {
		l.Booked(now, visitorAt("a"), []string{fmt.Sprint(i)})
	}
	if n := take(now); n != 4+3 { // the debt of 4 is gone, and 3 vouch
		t.Errorf("%d more after three were booked, want 7", n)
	}
	if l.Booked(now, visitorAt("a"), []string{"1"}) {
		t.Error("who is booked twice an hour is counted twice")
	}
	if take(now) != 0 || !held(l, now, visitorAt("b")) {
		t.Error("the addresses share an allowance")
	}
}

// TestACarrierSurvives: people who mostly book what they hold are never asked for more than they have, however many come from
// one address; those who let three of four lapse soon are.
func TestACarrierSurvives(t *testing.T) {
	for _, c := range []struct {
		redeemed    float64
		most, least int // refused of 5000
	}{{0.8, 0, 0}, {0.25, 5000, 500}} {
		l := limits(t, Options{AddressHolds: 64, ProofBits: -1})
		rng, now, refused := rand.New(rand.NewPCG(1, 2)), noon, 0
		type due struct {
			at time.Time
			c  Caller
			i  int
		}
		var waiting []due
		for i := range 5000 {
			now = now.Add(time.Second) // and a confirm a minute later
			for len(waiting) > 0 && !waiting[0].at.After(now) {
				l.Booked(now, waiting[0].c, []string{fmt.Sprint(waiting[0].i)})
				waiting = waiting[1:]
			}
			v := visitorAt("carrier")
			if !held(l, now, v) {
				refused++
			} else if rng.Float64() < c.redeemed {
				waiting = append(waiting, due{now.Add(time.Minute), v, i})
			}
		}
		if refused > c.most || refused < c.least {
			t.Errorf("of 5000 of whom %.0f %% book, %d were refused, want %d to %d", 100*c.redeemed, refused, c.least, c.most)
		}
	}
}

// TestSquattingForADay: whoever takes all that they are given, from so many addresses, as somebody new each time and without proofs,
// has few places at once.
func TestSquattingForADay(t *testing.T) {
	const lasts, step, day = 5 * time.Minute, time.Minute, 24 * time.Hour
	for addresses, most := range map[int]struct{ first, mean float64 }{1: {18, 2.6}, 200: {700, 400}} {
		l := limits(t, Options{SquatFrom: 400})
		ended := make([]int, int((day+lasts)/step)+2) // holds by the step in which they lapse
		live, sum, first := 0, 0, 0
		for i := range int(day / step) {
			now := noon.Add(time.Duration(i) * step)
			live -= ended[i]
			for a := range addresses {
				for held(l, now, visitorAt(fmt.Sprint(a))) {
					live++
					ended[i+int(lasts/step)]++
				}
			}
			first, sum = max(first, live), sum+live
		}
		mean := float64(sum) / float64(day/step)
		if float64(first) > most.first || mean > most.mean {
			t.Errorf("%d addresses: at most %d places, %.1f on average, want %v", addresses, first, mean, most)
		}
		t.Logf("%d addresses: at most %d places, %.1f on average", addresses, first, mean)
	}
}

// TestAbandonedHoldsCoolDown: the pause before a visitor's next hold doubles with each one that lapses, and is gone with a
// booking.
func TestAbandonedHoldsCoolDown(t *testing.T) {
	l := limits(t, Options{AddressHolds: 1000})
	c, now := visitorAt("a"), noon
	var pauses []time.Duration
	for range 9 {
		began := now
		for !held(l, now, c) {
			now = now.Add(time.Second)
		}
		pauses = append(pauses, now.Sub(began))
	}
	last := pauses[len(pauses)-1]
	if pauses[0] != 0 || pauses[1] != 0 || pauses[5] < 2*pauses[4]*9/10 || last < 5*time.Minute || last > 15*time.Minute {
		t.Errorf("pauses %v", pauses)
	}
	for i := range 5 {
		l.Booked(now, c, []string{fmt.Sprint(i)})
	}
	now = now.Add(13 * time.Minute)
	for i := range 3 {
		if !held(l, now, c) {
			t.Errorf("hold %d after bookings is refused", i)
		}
	}
}

// TestProofsOpenAnAddress: through with its allowance an address is asked for proofs, whose price rises with its debt, and each
// visitor needs one.
func TestProofsOpenAnAddress(t *testing.T) {
	l := limits(t, Options{AddressHolds: 2, ProofBits: 5})
	held(l, noon, visitorAt("a"))
	held(l, noon, visitorAt("a"))
	last := 0
	for i := range 40 {
		c := visitorAt("a")
		d := l.Hold(noon, c, 1)
		if !d.Refused || d.Challenge == "" || d.Bits < last || d.Limit != "address" {
			t.Fatalf("visitor %d: %+v after a price of %d", i, d, last)
		}
		last = d.Bits
		c.Proof = Solve(d.Challenge, d.Bits)
		if d = l.Hold(noon, c, 1); d.Refused || !d.Changed {
			t.Fatalf("visitor %d is refused with a proof: %+v", i, d)
		}
		c.Proof = ""
		if d = l.Hold(noon, c, 1); d.Refused || d.Changed {
			t.Fatalf("visitor %d needs a second proof: %+v", i, d)
		}
	}
	if last != 5+6 { // the debt is 80 of 2 in the end
		t.Errorf("the last price was %d bits", last)
	}
	if got := l.Counts(noon).Proofs; got["asked"] != 40 || got["accepted"] != 40 || got["rejected"] != 0 {
		t.Errorf("counted %v", got)
	}
}

// TestHoardedChallengesAreWorthLittle: a proof for a price that has risen much since is not taken.
func TestHoardedChallengesAreWorthLittle(t *testing.T) {
	l := limits(t, Options{AddressHolds: 1, ProofBits: 4})
	held(l, noon, visitorAt("a"))
	hoard := make([]Caller, 64)
	for i := range hoard {
		hoard[i] = visitorAt("a")
		d := l.Hold(noon, hoard[i], 1)
		hoard[i].Proof = Solve(d.Challenge, d.Bits)
	}
	taken := 0
	for _, c := range hoard {
		if held(l, noon, c) {
			taken++
		}
	}
	if taken < 4 || taken > 16 {
		t.Errorf("%d of 64 cheap proofs were taken", taken)
	}
}

// TestStrainAsksEverybody: when the server is busy, or nobody redeems what was held, proofs are asked of all but those who were
// booked, and cost more.
func TestStrainAsksEverybody(t *testing.T) {
	load := 0.0
	l := limits(t, Options{ProofBits: 5, Load: func() float64 { return load }, SquatFrom: 100})
	if !held(l, noon, visitorAt("a")) {
		t.Fatal("refused while all is quiet")
	}
	load = 0.69
	if !held(l, noon, visitorAt("b")) {
		t.Fatal("refused below the threshold")
	}
	load = 1
	c := visitorAt("c")
	if d := l.Hold(noon, c, 1); !d.Refused || d.Bits != 5+strainBits {
		t.Errorf("a busy server: %+v", d)
	}
	l.Booked(noon, c, []string{"p"})
	if !held(l, noon, c) {
		t.Error("who was booked is asked all the same")
	}
	if d := l.Hold(noon, Caller{Client: "desk"}, 1); d.Refused {
		t.Error("staff are asked for a proof")
	}
	if d := l.Search(noon, visitorAt("d")); d.Refused {
		t.Error("searches are asked for a proof")
	}
	load = 0
	for i := range 150 {
		held(l, noon, visitorAt(fmt.Sprint(i)))
	}
	if d := l.Hold(noon, visitorAt("new"), 1); !d.Refused || d.Bits != 5+strainBits {
		t.Errorf("150 places that nobody redeems: %+v", d)
	}
	for i := range 120 {
		l.Booked(noon, visitorAt(fmt.Sprint(i)), []string{fmt.Sprint("person", i)})
	}
	if !held(l, noon, visitorAt("new")) {
		t.Error("still asked after most was redeemed")
	}
}

// TestOneLiveHold: a visitor's next hold of a service takes the place of the one before, and is then no debt.
func TestOneLiveHold(t *testing.T) {
	l := limits(t, Options{AddressHolds: 2, ProofBits: -1})
	c := visitorAt("a")
	hold := func(token string, services ...string) []Held {
		t.Helper()
		if !held(l, noon, c) {
			t.Fatalf("%s is refused", token)
		}
		return l.Granted(c, Held{Token: token, Services: services, Places: 1, Expires: noon.Add(time.Minute)})
	}
	if old := hold("1", "flu"); old != nil {
		t.Errorf("the first one takes the place of %v", old)
	}
	old := hold("2", "covid", "flu")
	if len(old) != 1 || old[0].Token != "1" {
		t.Fatalf("takes the place of %v", old)
	}
	l.Released(noon, c, old[0])
	old = hold("3", "rsv")
	if len(old) != 0 {
		t.Errorf("another service: %v", old)
	}
	if held(l, noon, visitorAt("a")) {
		t.Error("three holds of which one was replaced are two")
	}
	if _, ok := l.Ended(visitorAt("a"), "3"); ok {
		t.Error("another visitor's hold is known")
	}
	h, ok := l.Ended(c, "3")
	_, again := l.Ended(c, "3")
	if !ok || again {
		t.Error("a hold ends once")
	}
	l.Released(noon.Add(2*time.Minute), c, h) // lapsed: not given back
	if got := l.addresses[ToHold].Debt("a", noon); got != 2 {
		t.Errorf("the address owes %d", got)
	}
	if n := l.Counts(noon).Replaced; n != 1 {
		t.Errorf("%d were replaced", n)
	}
}

// TestLiveIsBounded: visitors beyond the bound push out those who held longest ago.
func TestLiveIsBounded(t *testing.T) {
	l := newLive()
	id := func(i int) (id [12]byte) { copy(id[:], fmt.Sprint(i)); return id }
	for i := range maxLive + 10 {
		l.swap(id(i), Held{Token: "t", Services: []string{"s"}})
	}
	if len(l.byID) != maxLive || l.recent.Len() != maxLive {
		t.Errorf("%d visitors are known", len(l.byID))
	}
	if _, ok := l.remove(id(9), "t"); ok {
		t.Error("the oldest is still known")
	}
	if _, ok := l.remove(id(10), "t"); !ok {
		t.Error("the next is not known")
	}
	for i := range 3 * maxLiveEach {
		l.swap(id(50), Held{Token: fmt.Sprint(i), Services: []string{fmt.Sprint(i)}})
	}
	if n := len(l.byID[id(50)].Value.(*theirs).holds); n != maxLiveEach {
		t.Errorf("one visitor has %d", n)
	}
}

// TestOtherLimits: searches by visitor and address, clients by themselves, people by their confirms, places by their number.
func TestOtherLimits(t *testing.T) {
	l := limits(t, Options{AddressSearches: 100, AddressHolds: 10, ProofBits: 4})
	count := func(most int, try func() bool) (n int) {
		for n < most && try() {
			n++
		}
		return n
	}
	c := visitorAt("a")
	if n := count(1000, func() bool { return !l.Search(noon, c).Refused }); n != visitorSearches.Burst {
		t.Errorf("%d searches of one visitor", n)
	}
	if n := count(1000, func() bool { return !l.Search(noon, visitorAt("a")).Refused }); n != 100-visitorSearches.Burst {
		t.Errorf("%d searches of others at the address", n)
	}
	d := l.Search(noon, visitorAt("a"))
	if d.Challenge == "" {
		t.Error("no proof helps")
	}
	if n := count(5000, func() bool { return !l.Hold(noon, Caller{Client: "x"}, 1).Refused }); n != clientHolds.Burst {
		t.Errorf("%d holds of a client", n)
	}
	if n := count(100, func() bool { return !l.Confirm(noon, []string{"p"}).Refused }); n != 100 {
		t.Errorf("%d confirms of one person who is not booked", n)
	}
	if n := count(100, func() bool {
		l.AlreadyBooked(noon, []string{"p"})
		return !l.Confirm(noon, []string{"q", "p"}).Refused
	}); n != personConfirms.Burst-1 {
		t.Errorf("%d confirms of one person who is", n)
	}
	if n := count(100, func() bool { return !l.Hold(noon, Caller{Address: "batch"}, 5).Refused }); n != 2 {
		t.Errorf("%d holds of five places each", n)
	}
	if _, err := New(Options{ProofBits: maxProofBits + 1}); err == nil {
		t.Error("proofs that nobody can make are an option")
	}
	if _, err := New(Options{AddressHolds: -1}); err == nil {
		t.Error("allowances below 1 are an option")
	}
}

// TestUndo: a hold that was not granted costs nothing.
func TestUndo(t *testing.T) {
	l := limits(t, Options{AddressHolds: 2, ProofBits: -1})
	c := visitorAt("a")
	for range 50 {
		d := l.Hold(noon, c, 2)
		if d.Refused {
			t.Fatal("refused for holds that were not granted")
		}
		d.Undo()
	}
	if l.Counts(noon).Load["squatting"] != 0 || l.pulse.granted != l.pulse.redeemed {
		t.Error("holds that were not granted are out")
	}
}

func BenchmarkHold(b *testing.B) {
	l := limits(b, Options{})
	c := Caller{Address: "192.0.2.1/32", Visitor: NewVisitor(noon)}
	for b.Loop() {
		d := l.Hold(noon, c, 1)
		d.Undo()
	}
}
