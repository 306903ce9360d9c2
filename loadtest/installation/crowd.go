package installation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
)

// CrowdOptions shape a workload. Zero fields have defaults; negative chances mean never.
type CrowdOptions struct {
	Seed       uint64
	Citizens   int           // at once; default 12
	Publishers int           // sites whose capacity changes meanwhile; default 2; negative: none
	Think      time.Duration // mean time between two turns of a citizen; default 30 ms
	Publish    time.Duration // mean time between two changes of a site's capacity; default 700 ms
	Twins      float64       // chance that a request is sent twice at once; default 0.05
	Echoes     float64       // chance that a request that was answered is sent again later; default 0.05
	Patience   time.Duration // how long an operation is repeated in search of a definite answer; default 60 s
}

func (o CrowdOptions) withDefaults() CrowdOptions {
	if o.Citizens == 0 {
		o.Citizens = 12
	}
	if o.Publishers == 0 {
		o.Publishers = 2
	}
	for field, value := range map[*time.Duration]time.Duration{
		&o.Think: 30 * time.Millisecond, &o.Publish: 700 * time.Millisecond, &o.Patience: patience,
	} {
		if *field == 0 {
			*field = value
		}
	}
	for _, field := range []*float64{&o.Twins, &o.Echoes} {
		if *field == 0 {
			*field = 0.05
		}
	}
	return o
}

// Crowd is everybody who uses an installation, and the history of what they were told. What each of them wants next
// follows from the seed; what they get does not. Safe for concurrent use.
type Crowd struct {
	options CrowdOptions
	world   *World
	bases   []string
	client  *http.Client
	began   time.Time
	holds   time.Duration // advertised life of a hold
	echoes  sync.WaitGroup
	serial  atomic.Int64 // names holds and new people

	mu         sync.Mutex
	history    []checkers.Op
	complaints []checkers.Violation
	silences   map[string]int // what made requests be repeated
	live       []booking      // that somebody may want to change
	working    sync.WaitGroup
	stopping   context.CancelFunc
}

// booking is one that was acknowledged.
type booking struct {
	reference, manage string
	claim             checkers.Claim
}

// NewCrowd makes the users of a world; Begin lets them in.
func (in *Installation) NewCrowd(w *World, o CrowdOptions) *Crowd {
	c := &Crowd{
		options: o.withDefaults(), world: w, client: httpClient(), began: time.Now(), silences: make(map[string]int),
		holds: time.Duration(in.Options.HoldSeconds) * time.Second,
	}
	for _, s := range in.Servers {
		c.bases = append(c.bases, s.Base)
	}
	return c
}

// Begin lets everybody in. End must be called.
func (c *Crowd) Begin() {
	open, stop := context.WithCancel(context.Background())
	c.stopping = stop
	for i := range c.options.Citizens {
		rng := rand.New(rand.NewPCG(c.options.Seed, uint64(i)))
		one := &citizen{caller: caller{crowd: c, rng: rng}}
		c.working.Go(func() { c.work(open, c.options.Think, rng, one.turn) })
	}
	for i := range max(0, min(c.options.Publishers, len(c.world.Sites))) {
		rng := rand.New(rand.NewPCG(c.options.Seed, 1<<32+uint64(i)))
		one := &publisher{caller: caller{crowd: c, rng: rng}, world: c.world, site: c.world.Sites[i], revision: c.world.revision(c.world.Sites[i])}
		c.working.Go(func() { c.work(open, c.options.Publish, rng, one.change) })
	}
}

// work takes turns until open ends. A turn that began is brought to its end, within the crowd's patience.
func (c *Crowd) work(open context.Context, mean time.Duration, rng *rand.Rand, turn func(context.Context)) {
	for open.Err() == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(open), c.options.Patience)
		turn(ctx)
		cancel()
		pause(open, time.Duration(rng.Int64N(2*int64(mean)+1)))
	}
}

// End lets nobody begin anything new and waits until everybody has a definite answer or has lost patience.
func (c *Crowd) End() {
	c.stopping()
	c.working.Wait()
	c.echoes.Wait()
	c.client.CloseIdleConnections()
}

// revision is the newest known one of a site's day.
func (w *World) revision(site allocator.SiteID) (revision int64) {
	for _, day := range w.Days() {
		if day.Site == site {
			revision = max(revision, day.Revision)
		}
	}
	return revision
}

// now is nanoseconds on the crowd's clock, which begins as the wall clock and then runs evenly.
func (c *Crowd) now() int64 { return c.began.UnixNano() + time.Since(c.began).Nanoseconds() }

// record adds an operation to the history, called when it began and answered now.
func (c *Crowd) record(op checkers.Op, a answer) {
	op.Return, op.Code = c.now(), a.code
	if !a.definite() {
		op.Return, op.Code = checkers.Never, ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history = append(c.history, op)
}

// complain notes a promise that a client saw broken.
func (c *Crowd) complain(promise, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complaints = append(c.complaints, checkers.Violation{Promise: promise, Text: fmt.Sprintf(format, args...)})
}

// countRepeat notes why a request is sent again.
func (c *Crowd) countRepeat(a answer) {
	why := string(a.code)
	if a.err != nil {
		why = "silence"
	}
	if a.code == allocator.CodeInternal {
		c.complain("P11", "an answer was INTERNAL: %s", a.body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silences[why]++
}

// compareTwins notes a confirm that was answered with two different sets of bookings (P6).
func (c *Crowd) compareTwins(r request, all []answer) {
	var first []string
	for _, a := range all {
		if !a.ok() {
			continue
		}
		var got struct {
			Bookings []struct{ Reference, ManageToken string }
		}
		if a.decode(&got) != nil || len(got.Bookings) == 0 {
			continue
		}
		var references []string
		for _, b := range got.Bookings {
			references = append(references, b.Reference+b.ManageToken)
		}
		if first != nil && !slices.Equal(first, references) {
			c.complain("P6", "%s was answered with %v and with %v", r.path, first, references)
		}
		first = references
	}
}

// History is every operation so far, in order of their ends.
func (c *Crowd) History() []checkers.Op {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.history)
}

// Complaints are the promises that clients saw broken, without any look behind the API.
func (c *Crowd) Complaints() []checkers.Violation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.complaints)
}

// Repeats is how many requests were sent again, by reason: "silence", or the code of a 429, 503 or 409.
func (c *Crowd) Repeats() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := make(map[string]int)
	for why, n := range c.silences {
		sum[why] = n
	}
	return sum
}

// Unanswered counts operations without a definite answer.
func (c *Crowd) Unanswered() (n int) {
	for _, op := range c.History() {
		if op.Return == checkers.Never {
			n++
		}
	}
	return n
}

// keep makes bookings known to whoever wants to change one.
func (c *Crowd) keep(bookings ...booking) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = append(c.live, bookings...)
}

// take gives somebody a booking that nobody else has; false where there is none.
func (c *Crowd) take(rng *rand.Rand) (booking, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.live) == 0 {
		return booking{}, false
	}
	i := rng.IntN(len(c.live))
	b := c.live[i]
	c.live[i] = c.live[len(c.live)-1]
	c.live = c.live[:len(c.live)-1]
	return b, true
}

// persons gives the key of everybody in the history: the installation's secret is known.
func (c *Crowd) persons() map[string]allocator.PersonKey {
	secret := allocator.NewSecret([]byte(Secret))
	keys := make(map[string]allocator.PersonKey)
	for _, op := range c.History() {
		for _, claim := range op.Claims {
			if _, known := keys[claim.Person]; !known && claim.Person != "" {
				keys[claim.Person] = secret.Person(claim.Person)
			}
		}
	}
	return keys
}
