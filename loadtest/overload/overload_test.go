package overload

import (
	"context"
	"flag"
	"net/http"
	"net/url"
	"runtime"
	"testing"
	"time"

	"muster/geo"
	"muster/loadtest/attack"
	"muster/loadtest/audit"
	"muster/loadtest/installation"
	"muster/loadtest/people"
	"muster/loadtest/processes"
	"muster/loadtest/profile"
	"muster/loadtest/result"
	"muster/loadtest/world"
)

var (
	full   = flag.Bool("overload.full", false, "the whole of it, for its figures; otherwise a small one, for its verdict")
	delay  = flag.Duration("overload.delay", 400*time.Millisecond, "to Redis and back")
	folder = flag.String("overload.report", "", "folder for overload.json and overload.md")
)

func TestMain(m *testing.M) { installation.Main(m) }

// warm is how long people come before anything is measured.
const warm = 4 * time.Second

// shape is how long and how much.
type shape struct {
	ramp               time.Duration
	most               float64 // people a second at the ramp's end
	calm, surge, after time.Duration
	times              []float64
	sites, places      int
	leastGoodput       float64 // of the verdict
	normalWithin       time.Duration
	think              time.Duration
	auditOf            int
}

func chosen() shape {
	if *full {
		return shape{ramp: 30 * time.Second, most: 600, calm: 5 * time.Second, surge: 15 * time.Second, after: 12 * time.Second, times: []float64{1, 2, 5, 10},
			sites: 60, places: 400_000, leastGoodput: 0.9, normalWithin: 10 * time.Second, think: 100 * time.Millisecond, auditOf: 2000}
	}
	return shape{ramp: 9 * time.Second, most: 500, calm: 2 * time.Second, surge: 7 * time.Second, after: 4 * time.Second, times: []float64{3},
		sites: 30, places: 100_000, leastGoodput: 0.01, // somebody books: how many is for the full form
		think: 100 * time.Millisecond, auditOf: 200}
}

// TestOverload is `make overload`, and in small one of the tests.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	runtime.LockOSThread() // what it starts ends with this thread
	defer runtime.UnlockOSThread()
	in := installation.Start(t, installation.Options{
		Servers: 1, Shards: 1, Redis: installation.RedisSingle, Ledger: installation.LedgerOwn, HoldSeconds: 300, Flags: []string{"--log-level", "warn"},
	})
	s := chosen()
	c := open(t, in, s)
	// Sites are read into Redis when somebody first asks for them, which would take seconds over the long way.
	c.send(t, warm, profile.Point{At: 0, Rate: 150}, profile.Point{At: warm, Rate: 150})
	in.Servers[0].Redis.Latency(*delay/2, 0)
	rep := newReport(*delay)
	ramp := c.send(t, s.ramp, profile.Point{At: 0, Rate: 10}, profile.Point{At: s.ramp, Rate: s.most})
	if rep.Peak = peak(ramp.Windows); rep.Peak == 0 {
		t.Fatal("nobody booked")
	}
	calm := c.send(t, s.calm, profile.Point{At: 0, Rate: rep.Peak / 2}, profile.Point{At: s.calm, Rate: rep.Peak / 2})
	rep.Calm = ms(calm.Latency(result.Confirm).Percentile(99))
	for _, times := range s.times {
		l := c.surge(t, s, times, rep)
		rep.Levels = append(rep.Levels, l)
		t.Logf("%g×: %+v", times, l)
	}
	in.Heal()
	rep.Audit = c.audit(t, in)
	t.Log("\n" + rep.markdown())
	if *folder != "" {
		rep.write(t, *folder)
	}
	verdict(t, s, rep)
}

// verdict judges counts always, and figures of time only where they were asked for.
func verdict(t *testing.T, s shape, rep *report) {
	t.Helper()
	for _, l := range rep.Levels {
		switch {
		case l.Unpaced > 0:
			t.Errorf("%g×: %d were refused without Retry-After", l.Times, l.Unpaced)
		case l.ConfirmsRefused > 0:
			t.Errorf("%g×: %d confirms of granted holds were refused", l.Times, l.ConfirmsRefused)
		case l.Goodput < s.leastGoodput:
			t.Errorf("%g×: %.0f %% of the peak was booked, want %.0f", l.Times, 100*l.Goodput, 100*s.leastGoodput)
		case s.normalWithin > 0 && (l.Normal < 0 || l.Normal > s.normalWithin.Seconds()):
			t.Errorf("%g×: normal again after %.0f s, want %v (below 0: never)", l.Times, l.Normal, s.normalWithin)
		}
	}
}

// crowd sends people to an installation.
type crowd struct {
	target    *url.URL
	postcodes *geo.Postcodes
	found     *world.World
	think     time.Duration
	runs      uint64
	evidence  []*audit.Evidence
	auditOf   int
}

// open publishes places for everybody.
func open(t *testing.T, in *installation.Installation, s shape) *crowd {
	t.Helper()
	target, err := url.Parse(in.Servers[0].Base)
	if err != nil {
		t.Fatal(err)
	}
	postcodes, err := geo.EmbeddedPostcodes()
	if err != nil {
		t.Fatal(err)
	}
	publisher := world.Publisher{Base: target.String(), Token: "dev", Client: &http.Client{Timeout: 2 * time.Minute}}
	found, err := publisher.Prepare(t.Context(), world.Plan{Places: s.places, Sites: s.sites, Seed: 1, First: time.Now().AddDate(0, 0, 2)})
	if err != nil {
		t.Fatal(err)
	}
	return &crowd{target: target, postcodes: postcodes, found: found, think: s.think, auditOf: s.auditOf}
}

// send sends people along a curve, each run other ones, and waits until the last of them has left.
func (c *crowd) send(t *testing.T, length time.Duration, points ...profile.Point) *result.Result {
	t.Helper()
	c.runs++
	curve, err := profile.NewCurve(points...)
	if err != nil {
		t.Fatal(err)
	}
	mix := profile.Mix{profile.Book: 1}
	who, err := people.NewCrowd(people.Options{Seed: c.runs, Postcodes: c.postcodes, Youngest: 76, Oldest: 79, Mix: mix, Think: c.think, Today: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	r, evidence, err := attack.Run(t.Context(), attack.Config{
		Target: c.target, Engine: attack.Lean, Profile: profile.Profile{Name: "overload", Curve: curve, Mix: mix, Rates: true}, Crowd: who,
		Services: c.found.Services, From: c.found.From, To: c.found.To, Seed: c.runs, MaxWorkers: 16_384, Think: c.think, Tries: 1, Grace: 12 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Totals.Wrong > 0 {
		t.Errorf("%d answers were wrong: %v", r.Totals.Wrong, r.Wrong)
	}
	c.evidence = append(c.evidence, evidence)
	t.Logf("%v: %d people, %d requests, %d booked, limited %v", length, r.Totals.Planned, r.Totals.Requests, r.Totals.Booked, r.Generator.Limited)
	return r
}

// surge sends so many times the knee's people between two quiet times.
func (c *crowd) surge(t *testing.T, s shape, times float64, rep *report) level {
	t.Helper()
	quiet, loud := rep.Peak/2, rep.Peak*times
	p := phases{s.calm, s.calm + s.surge}
	end := p.ends + s.after
	r := c.send(t, end, profile.Point{At: 0, Rate: quiet}, profile.Point{At: p.begins, Rate: quiet}, profile.Point{At: p.begins, Rate: loud},
		profile.Point{At: p.ends, Rate: loud}, profile.Point{At: p.ends, Rate: quiet}, profile.Point{At: end, Rate: quiet})
	return judgeSurge(r, times, loud, rep.Peak, rep.Calm, p)
}

// audit looks bookings up that people were told of, and has the installation compare inventory and ledger. Messages may be under
// way for a while.
func (c *crowd) audit(t *testing.T, in *installation.Installation) string {
	t.Helper()
	api := &audit.API{Base: c.target.String(), Token: "dev", Client: &http.Client{Timeout: time.Minute}}
	for _, e := range c.evidence {
		found, err := audit.Run(t.Context(), e, audit.Options{API: api, Most: c.auditOf, Seed: 1})
		switch {
		case err != nil:
			t.Errorf("the audit could not look: %v", err)
		case found.Violations() > 0:
			t.Errorf("people were told otherwise: %v", found.Examples)
		}
	}
	if err := processes.Await(t.Context(), time.Minute, func(ctx context.Context) error {
		_, err := in.Audit(ctx)
		return err
	}); err != nil {
		t.Errorf("inventory and ledger differ: %v", err)
		return "they differ"
	}
	return "nothing lost, nothing sold twice"
}
