package abuse

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// addressHolds is the default of --address-holds.
const addressHolds = 16

// address is the i-th of one of many networks.
func address(network, i int) string { return fmt.Sprintf("10.%d.%d.%d", network, i/256, i%256) }

// squatOneAddress: somebody asks for places as fast as they can, as somebody new each time.
func squatOneAddress(s *scene) row {
	const tried = 2000
	var got atomic.Int64
	each(tried, func(int) {
		if token, _ := (&caller{s: s, address: address(1, 1)}).hold(); token != "" {
			got.Add(1)
		}
	})
	return row{Attack: "squatting from one address, a new visitor each time", Tried: tried, Won: got.Load(), Most: addressHolds, Of: "places held"}
}

// squatInBatches: the same in batches of 128.
func squatInBatches(s *scene) row {
	const batches, items = 20, 128
	var got int64
	c := &caller{s: s, address: address(1, 2)}
	for range batches {
		var claims []any
		for range items {
			claims = append(claims, s.claim(s.serial.Add(1)))
		}
		got += int64(strings.Count(string(c.call(http.MethodPost, "/v1/holds:batch", map[string]any{"holds": claims}).body), `"status":201`))
	}
	return row{Attack: "the same in batches", Tried: batches * items, Won: got, Most: addressHolds, Of: "places held"}
}

// squatWithProofs: somebody answers every challenge. Each place beyond the allowance costs a proof, at a rising price.
func squatWithProofs(s *scene) row {
	const tried = 120
	var mu sync.Mutex
	var got, hashes int64
	first, last := 0, 0
	each(tried, func(int) {
		c := &caller{s: s, address: address(1, 3), works: true}
		token, _ := c.hold()
		mu.Lock()
		defer mu.Unlock()
		if token != "" {
			got++
		}
		for _, bits := range c.paid {
			hashes += 1 << bits
			if first == 0 {
				first = bits
			}
			last = max(last, bits)
		}
	})
	if last <= first {
		s.Errorf("the price did not rise: %d bits, and %d in the end", first, last)
	}
	return row{Attack: "the same, each challenge answered", Tried: tried, Won: got, Most: tried, Of: "places held",
		Note: fmt.Sprintf("for %d hashes: at the default price, 128 times as many; from %d to %d bits", hashes, first, last)}
}

// squatWithOneTicket: one visitor asks for place after place from address after address.
func squatWithOneTicket(s *scene) row {
	const tried = 60
	c := &caller{s: s, address: address(2, 0)}
	var tokens []string
	for i := range tried {
		c.address = address(2, i)
		if token, _ := c.hold(); token != "" {
			tokens = append(tokens, token)
		}
	}
	live := int64(0)
	for _, token := range tokens {
		if c.call(http.MethodGet, "/v1/holds/"+url.PathEscape(token), nil).text("state") == "held" {
			live++
		}
	}
	return row{Attack: "squatting with one ticket from many addresses", Tried: tried, Won: live, Most: 1, Of: "places held at once"}
}

// squatFromMany: a thousand addresses. Few are granted before the server notices that nobody confirms, and then each place costs
// everybody a proof. An honest person who pays one is still booked.
func squatFromMany(s *scene) row {
	const addresses, each16 = 1000, addressHolds
	var got atomic.Int64
	each(addresses*each16, func(i int) {
		if token, _ := (&caller{s: s, address: address(3, i%addresses)}).hold(); token != "" {
			got.Add(1)
		}
	})
	honest := &caller{s: s, address: "192.0.2.1", works: true}
	if !honest.book(99_999) {
		s.Error("an honest person was not booked meanwhile")
	}
	return row{Attack: "squatting from 1,000 addresses", Tried: addresses * each16, Won: got.Load(), Most: squatFrom * 5 / 4, Of: "places held",
		Note: fmt.Sprintf("of %d there are; an honest person meanwhile paid proofs of %v bits and was booked", places, honest.paid)}
}

// probePeople: somebody would know which people are booked, by confirming for them. Each try costs a hold, which is not redeemed.
func probePeople(s *scene) row {
	const tried = 400
	victim := &caller{s: s, address: "192.0.2.7", works: true}
	if !victim.book(90_000) {
		s.Error("the victim was not booked")
	}
	var told atomic.Int64
	each(tried, func(int) {
		c := &caller{s: s, address: address(1, 4)}
		token, _ := c.hold()
		if token == "" {
			return
		}
		if r := c.confirm(token, 90_000); r.code == "ALREADY_BOOKED" {
			told.Add(1)
		}
	})
	return row{Attack: "asking who is booked, by confirming for them, from one address", Tried: tried, Won: told.Load(), Most: addressHolds, Of: "answers",
		Note: "each costs a hold"}
}

// fabricate: somebody books people who do not exist. Nothing here is against that: see docs/abuse.md.
func fabricate(s *scene) row {
	const tried = 200
	var booked atomic.Int64
	each(tried, func(i int) {
		if (&caller{s: s, address: address(1, 5), works: true}).book(70_000 + i) {
			booked.Add(1)
		}
	})
	return row{Attack: "booking made-up people, from one address", Tried: tried, Won: booked.Load(), Most: tried, Of: "people booked",
		Note: "not defended against here: only knowing who asks would help"}
}

// carrier: people behind one address, of whom every one must be booked.
func carrier(s *scene, address string, people, first int, name string) row {
	var booked, proofs atomic.Int64
	dearest := atomic.Int64{}
	each(people, func(i int) {
		c := &caller{s: s, address: address, works: true}
		if c.book(first + i) {
			booked.Add(1)
		}
		proofs.Add(int64(len(c.paid)))
		for _, bits := range c.paid {
			for old := dearest.Load(); int64(bits) > old && !dearest.CompareAndSwap(old, int64(bits)); old = dearest.Load() {
			}
		}
	})
	return row{Attack: name, Tried: people, Won: booked.Load(), Least: int64(people), Most: int64(people), Of: "people booked",
		Note: fmt.Sprintf("%d proofs of at most %d bits", proofs.Load(), dearest.Load())}
}

// neighbours: people behind one address, while somebody there squats, answering no challenge. Everybody is booked, and the squatter gets
// what the others' bookings are good for: two places for each.
func neighbours(s *scene, people, first int) row {
	const shared = "203.0.113.3"
	stop := make(chan struct{})
	var squatters sync.WaitGroup
	var squatted atomic.Int64
	for range 4 {
		squatters.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if token, _ := (&caller{s: s, address: shared}).hold(); token != "" {
					squatted.Add(1)
				}
			}
		})
	}
	r := carrier(s, shared, people, first, fmt.Sprintf("%d honest people, and a squatter behind the same address", people))
	close(stop)
	squatters.Wait()
	// Each booked person takes two holds off the debt, one of which is their own, and makes room for one more at once.
	if most := int64(addressHolds + 2*people); squatted.Load() > most {
		s.Errorf("the squatter has %d places, want %d at most", squatted.Load(), most)
	}
	r.Note += fmt.Sprintf("; the squatter held %d places", squatted.Load())
	return r
}

// rush: people behind one address who all hold before the first of them confirms.
func rush(s *scene, people, first int) row {
	tokens := make([]string, people)
	who := make([]*caller, people)
	var proofs, booked atomic.Int64
	each(people, func(i int) {
		who[i] = &caller{s: s, address: "203.0.113.2", works: true}
		who[i].patient(func() (r reply) { tokens[i], r = who[i].hold(); return r })
		proofs.Add(int64(len(who[i].paid)))
	})
	each(people, func(i int) {
		if who[i].patient(func() reply { return who[i].confirm(tokens[i], first+i) }).status == http.StatusCreated {
			booked.Add(1)
		}
	})
	return row{Attack: "honest people behind one address, all of whom hold before any confirms", Tried: people, Won: booked.Load(), Least: int64(people),
		Most: int64(people), Of: "people booked", Note: fmt.Sprintf("%d proofs", proofs.Load())}
}
