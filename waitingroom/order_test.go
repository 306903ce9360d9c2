package waitingroom

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestOrderOverServers: servers with clocks that differ, one of which is restarted again and again, and a ledger that fails
// before or after it did what was asked. Nobody overtakes anybody; frontiers never go back; and everybody is counted once, but for
// whom a server forgot when it was killed.
func TestOrderOverServers(t *testing.T) {
	for seed := range uint64(20) {
		chance := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(t)
		servers := []*Rooms{w.server(0), w.server(300 * time.Millisecond), w.server(-200 * time.Millisecond)}
		w.put(servers[0], Settings{Mode: On, MostPerSecond: 20})
		w.pass(6, servers...)
		failing := false
		w.shelf.fail = func() (bool, bool) {
			return failing && chance.IntN(3) == 0, failing && chance.IntN(3) == 0
		}
		var joined []arrival
		frontiers := make([]Instant, len(servers))
		names := []int{0, 1, 2}
		unreported := 0
		for range 400 {
			w.now = w.now.Add(250 * time.Millisecond)
			failing = chance.IntN(4) == 0
			i := chance.IntN(len(servers))
			if chance.IntN(50) == 0 {
				for _, tally := range servers[i].open {
					unreported += int(tally.crowd.total())
				}
				if u := servers[i].unsent; u != nil {
					for _, tally := range u.rooms {
						unreported += int(tally.crowd.total())
					}
				}
				failing = false
				servers[i], frontiers[i] = w.server(0), 0
				names[i] += len(servers)
			}
			for range chance.IntN(20) {
				ticket := w.join(servers[i])
				read, _, _ := decode([]byte(ticket))
				joined = append(joined, arrival{w.now, names[i], read.At})
			}
			w.step(servers[chance.IntN(len(servers))])
			for i, r := range servers {
				at := r.views.Load().byService[service].Frontier
				if at < frontiers[i] {
					t.Fatalf("seed %d: the frontier went back", seed)
				}
				frontiers[i] = at
			}
		}
		checkOrder(t, joined)
		failing = false
		w.pass(3, servers...)
		w.pass(20, servers[0]) // so that everybody's reports are in, or not awaited
		told := servers[0].views.Load().compared(joined)
		if told.counted > told.there+0.5 || told.counted < told.there-float64(unreported)-40 {
			t.Fatalf("seed %d: %.1f people are counted of %.0f, of whom %d may have been forgotten", seed, told.counted, told.there, unreported)
		}
	}
}

// arrival is when and where somebody came, and the instant that they got.
type arrival struct {
	when   time.Time
	server int
	at     Instant
}

// checkOrder: whoever comes later gets a later instant, always at one server until it is restarted, and from one to the other
// unless they came within the difference of the clocks.
func checkOrder(t *testing.T, joined []arrival) {
	t.Helper()
	for i, a := range joined {
		for _, b := range joined[i+1:] {
			if b.at <= a.at && (a.server == b.server || b.when.Sub(a.when) > 500*time.Millisecond) {
				t.Fatalf("who came %v later lies %v ahead, servers %d and %d", b.when.Sub(a.when), a.at.since(b.at), a.server, b.server)
			}
		}
	}
}

type comparison struct{ counted, there float64 }

// compared counts who lies behind the frontier.
func (all *views) compared(joined []arrival) (c comparison) {
	v := all.byService[service]
	c.counted = v.waits
	for _, a := range joined {
		if a.at >= v.Frontier {
			c.there++
		}
	}
	return c
}
