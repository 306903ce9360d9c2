package allocator_test

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"muster/allocator"
)

// A dry run tells what the plan then does, for random plans, bookings and days edited by hand; what stays by hand and what
// is made is what a model says; and as days pass, new ones come within reach.
func TestDryRunIsWhatThePlanDoes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		g := &planGame{world: w, rng: rand.New(rand.NewPCG(3, 9)), a: w.serve(), made: make(map[allocator.Date][]allocator.Session), hand: make(map[allocator.Date][]allocator.Session)}
		for range 60 {
			g.editByHand()
			g.bookSome()
			time.Sleep(time.Second) // what was just confirmed would pass for a hold
			g.put()
			g.look()
			if g.rng.IntN(3) == 0 {
				w.ahead.Add(int32(1 + g.rng.IntN(3)))
				time.Sleep(2 * time.Minute)
				g.reach()
				g.look()
			}
		}
		if g.days < 300 || g.unsupported == 0 || g.cancelled == 0 || g.kept == 0 {
			t.Errorf("%d days changed, %d bookings unsupported, %d cancelled, %d days kept: too little to tell", g.days, g.unsupported, g.cancelled, g.kept)
		}
		time.Sleep(7 * time.Minute)
		w.day = w.today() + 1
		w.sameAsLedger(g.a)
	})
}

// planGame is a model of a site's days: what was made of each last, and what stands in for the plan's by hand.
type planGame struct {
	*world
	rng        *rand.Rand
	a          *allocator.Allocator
	last, plan *allocator.Plan // nil: none was put
	made, hand map[allocator.Date][]allocator.Session
	through    allocator.Date
	people     int

	days, unsupported, cancelled, kept int
}

func (g *planGame) session(capacity int) allocator.Session {
	from := allocator.TimeOfDay(540 + 10*g.rng.IntN(3))
	return allocator.Session{ID: "m", From: from, Until: 600, SlotLength: 10, Capacity: capacity, Services: []allocator.ServiceCode{"RSV"}}
}

// editByHand publishes or closes some days; now and then just as the plan has them, which gives them back.
func (g *planGame) editByHand() {
	for range g.rng.IntN(4) {
		date := g.today() + allocator.Date(1+g.rng.IntN(110))
		var sessions []allocator.Session
		switch g.rng.IntN(4) {
		case 0:
			sessions = says(g.plan, date)
		case 1, 2:
			sessions = []allocator.Session{g.session(1 + g.rng.IntN(3))}
		}
		if _, err := g.a.PublishDay(context.Background(), allocator.PublishRequest{Site: "S1", Date: date, Day: allocator.Day{Sessions: sessions}}); err != nil {
			g.t.Fatal(err)
		}
	}
}

func (g *planGame) bookSome() {
	for range 8 {
		date := g.today() + allocator.Date(1+g.rng.IntN(90))
		claim := allocator.ClaimRequest{Site: "S1", Service: "RSV", Start: date.At(allocator.TimeOfDay(540+10*g.rng.IntN(6)), g.zone)}
		if h, err := g.world.hold(g.a, "", claim); err == nil && g.rng.IntN(5) > 0 {
			g.people++
			if _, err := g.confirm(g.a, h.Token, person(g.people)); err != nil {
				g.t.Fatal(err)
			}
		}
	}
}

// another plan differs from the last in one thing or two.
func (g *planGame) another() (p allocator.Plan) {
	today := g.today()
	if g.rng.IntN(4) > 0 {
		p.Series = []allocator.Series{{
			ID: "a", From: today - 10, Until: today + 20 + allocator.Date(g.rng.IntN(200)), EveryWeeks: 1 + g.rng.IntN(2),
			Weekdays: []time.Weekday{1, 2, 4, 6}[:1+g.rng.IntN(4)], Sessions: allocator.Sessions{g.session(1 + g.rng.IntN(4))},
		}}
		for range g.rng.IntN(4) {
			from := today + allocator.Date(g.rng.IntN(100))
			p.Closures = append(p.Closures, allocator.Closure{From: from, Until: from + allocator.Date(g.rng.IntN(20))})
		}
	}
	return p
}

// put puts a plan, first as a dry run, and follows it in the model.
func (g *planGame) put() {
	t, ctx := g.t, context.Background()
	g.last = g.plan
	if g.plan == nil || g.rng.IntN(5) > 0 {
		next := g.another()
		g.plan = &next
	}
	r := allocator.PlanRequest{Site: "S1", DryRun: true, Cancel: g.rng.IntN(4) == 0, Replace: g.rng.IntN(6) == 0, Plan: *g.plan}
	told, err := g.a.PutPlan(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	before := g.contents()
	r.DryRun = false
	done, err := g.a.PutPlan(ctx, r)
	if err != nil || !reflect.DeepEqual(done, told) {
		t.Fatalf("%+v: %v\ntold %+v\ndone %+v", r, err, told, done)
	}
	if again, err := g.a.PutPlan(ctx, r); err != nil || again.Revision != done.Revision || len(again.Days) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	for _, day := range done.Days {
		g.days++
		g.unsupported += len(day.Reply.NewlyUnsupported)
		g.cancelled += len(day.Reply.Cancelled)
	}
	g.follow(before, r.Replace)
}

func (g *planGame) contents() map[allocator.Date][]allocator.Session {
	days, err := g.ledger.Days(context.Background(), allocator.DayRevision{Site: "S1"}, g.today(), 500)
	if err != nil {
		g.t.Fatal(err)
	}
	contents := make(map[allocator.Date][]allocator.Session)
	for _, d := range days {
		contents[d.Date] = d.Sessions
	}
	return contents
}

func (g *planGame) closed(date allocator.Date) bool {
	return slices.ContainsFunc(g.plan.Closures, func(c allocator.Closure) bool { return c.From <= date && date <= c.Until })
}

// says is what a plan says of a date but for what was done by hand.
func says(p *allocator.Plan, date allocator.Date) []allocator.Session {
	if p == nil {
		return nil
	}
	return (&allocator.SitePlan{Plan: *p}).On(date)
}

func (g *planGame) follow(before map[allocator.Date][]allocator.Session, replace bool) {
	today := g.today()
	g.through = today + 91
	for date := today; date <= today+366; date++ {
		content, exists := before[date]
		made, known := g.made[date]
		if !known {
			made = says(g.last, date)
		}
		switch {
		case !exists || g.last != nil && sameShape(content, made):
		case !g.closed(date) && sameShape(content, says(g.plan, date)):
			delete(g.hand, date)
		default:
			g.hand[date] = content
		}
		if replace {
			delete(g.hand, date)
		}
		if date > g.through && !exists {
			continue
		}
		g.made[date] = says(g.plan, date)
		if sessions, ok := g.hand[date]; ok && !g.closed(date) {
			g.made[date] = sessions
			g.kept++
		}
	}
}

// reach follows the days that came within reach meanwhile.
func (g *planGame) reach() {
	for date := g.through + 1; date <= g.today()+91; date++ {
		if _, known := g.made[date]; !known {
			g.made[date] = says(g.plan, date)
		}
		g.through = date
	}
}

// look compares the days with the model.
func (g *planGame) look() {
	contents := g.contents()
	for date := g.today(); date <= g.through; date++ {
		if !sameShape(contents[date], g.made[date]) {
			g.t.Fatalf("%s (today %s) is %v, want %v\n%+v", date, g.today(), contents[date], g.made[date], *g.plan)
		}
	}
}
