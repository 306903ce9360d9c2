package simulation

import (
	"context"
	"math/rand/v2"

	"muster/allocator"
)

var services = []allocator.ServiceCode{"RSV", "FLU", "COVID"}

// sessions are overlapping sets of services, of small capacity: the seating rule has work to do.
func (w *world) sessions(r *rand.Rand) []allocator.Session {
	sets := [][]allocator.ServiceCode{{"RSV", "FLU"}, {"FLU", "COVID"}, {"COVID", "RSV"}, {"RSV"}, {"RSV", "FLU", "COVID"}}
	var sessions []allocator.Session
	for range 1 + r.IntN(3) {
		sessions = append(sessions, allocator.Session{
			From: 9 * 60, Until: allocator.TimeOfDay(9*60 + 10*w.mix.slots), SlotLength: 10, Capacity: 1 + r.IntN(w.mix.capacity),
			Services: sets[r.IntN(len(sets))],
		})
	}
	return sessions
}

// noting keeps every version of a day that the ledger takes.
type noting struct {
	allocator.Ledger
	w *world
}

func (w *world) publishing() allocator.Ledger { return noting{w.ledger, w} }

// Publish implements allocator.Ledger.
func (n noting) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	results, err := n.Ledger.Publish(ctx, changes)
	for i := range results {
		if r := &results[i]; r.Outcome == allocator.Published && !changes[i].DryRun && r.Revision != r.Previous.Revision {
			day := changes[i].Day
			day.Revision = r.Revision
			n.w.mu.Lock()
			n.w.days = append(n.w.days, day)
			n.w.mu.Unlock()
		}
	}
	return results, err
}

// newPublisher changes a day, perhaps to less than is booked.
func (w *world) newPublisher() {
	w.people++
	c := &citizen{world: w, number: w.people, random: rand.New(rand.NewPCG(w.seed, uint64(w.people)))}
	r := allocator.PublishRequest{
		Site: c.sites[c.random.IntN(len(c.sites))], Date: w.day, DryRun: c.chance(10), Cancel: c.chance(15),
		Day: allocator.Day{Sessions: w.sessions(c.random)},
	}
	for i := range r.Day.Sessions {
		r.Day.Sessions[i].Stopped, r.Day.Sessions[i].Invited = c.chance(10), c.chance(5)
	}
	if c.chance(5) {
		r.Day.Sessions = nil
	}
	w.troubled("capacity changed")
	w.work(func() {
		_, _ = insist(c, func(a *allocator.Allocator) (allocator.PublishReply, error) {
			return a.PublishDay(context.Background(), r)
		})
	})
}
