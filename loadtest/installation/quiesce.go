package installation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
)

// Recovery is how long an installation took to be well again, from the end of a fault on, without hands.
type Recovery struct {
	Fault      string
	Serving    time.Duration // until a hold and its confirm had worked for every shard through every server
	Consistent time.Duration // until inventory and ledger agreed on every site; 0: not asked
}

// Heal ends the faults of all links, and lets everything that is frozen go on.
func (in *Installation) Heal() {
	in.tb.Helper()
	append(in.RedisLinks(), in.LedgerLinks()...).Each((*Link).Heal)
	for _, n := range in.Redis {
		if n.Link != nil {
			n.Link.Heal()
		}
	}
}

// Recover waits, for at most a minute, until each server has given and confirmed a hold of each shard, and tells how long
// after ended that was. What it asks for is part of the crowd's history.
func (in *Installation) Recover(c *Crowd, fault string, ended time.Time) (Recovery, error) {
	ctx, cancel := context.WithDeadline(context.Background(), ended.Add(patience))
	defer cancel()
	var probing sync.WaitGroup
	var mu sync.Mutex
	r := Recovery{Fault: fault}
	var missing []string
	for _, s := range in.Servers {
		for shard, site := range c.world.Probes {
			rng := rand.New(rand.NewPCG(c.options.Seed, 1<<33+uint64(s.Index*1000+shard)))
			one := &citizen{caller{crowd: c, rng: rng, only: s.Base}}
			probing.Go(func() {
				err := one.probe(ctx, site)
				mu.Lock()
				defer mu.Unlock()
				r.Serving = max(r.Serving, time.Since(ended))
				if err != nil {
					missing = append(missing, fmt.Sprintf("server %d, shard %d: %v", s.Index, shard, err))
				}
			})
		}
	}
	probing.Wait()
	if len(missing) > 0 {
		return r, fmt.Errorf("%s: %v after its end there is no service:\n%s", fault, patience, strings.Join(missing, "\n"))
	}
	return r, nil
}

// probe holds, confirms and cancels until all three have worked.
func (c *citizen) probe(ctx context.Context, site allocator.SiteID) error {
	last := error(nil)
	for ctx.Err() == nil {
		claim := c.claim(site, c.rng.IntN(len(c.crowd.world.Starts)))
		claim.Service = ServiceProbe
		if h, ok := c.hold(ctx, []checkers.Claim{claim}); ok {
			booked, a := c.confirm(ctx, &h, c.people(h.claims), nil)
			if a.ok() {
				c.cancelBooking(ctx, booked[0], staff)
				return nil
			}
			last = fmt.Errorf("confirm: %d %s %v", a.status, a.code, a.err)
		}
		pause(ctx, 100*time.Millisecond)
	}
	return fmt.Errorf("%w, last: %v", ctx.Err(), last)
}

// Quiesce waits, for at most a minute each, until inventory and ledger agree on every site of the world, until every hold has
// lapsed, and until every server offers what the ledger leaves free. It tells how long after since the first of these was;
// of an embedded inventory the last. The crowd must have ended.
func (in *Installation) Quiesce(c *Crowd, since time.Time) (consistent time.Duration, err error) {
	sites := slices.Concat(c.world.Sites, c.world.Probes)
	in.touch(c, sites)
	everywhere := func(look func(ctx context.Context, b *Books, site allocator.SiteID) error) error {
		return await(patience, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			books, err := in.OpenBooks(ctx)
			if err != nil {
				return err
			}
			defer books.Close()
			for _, site := range sites {
				if err := look(ctx, books, site); err != nil {
					pause(ctx, 100*time.Millisecond)
					return err
				}
			}
			return nil
		})
	}
	if err := everywhere(func(ctx context.Context, b *Books, site allocator.SiteID) error { return b.Differ(ctx, site) }); err != nil {
		return time.Since(since), fmt.Errorf("inventory and ledger differ: %w", err)
	}
	consistent = time.Since(since)
	err = everywhere(func(ctx context.Context, b *Books, site allocator.SiteID) error {
		held, err := b.Held(ctx, site)
		if err == nil && held > 0 {
			err = fmt.Errorf("%s has %d places held or pinned", site, held)
		}
		return err
	})
	if err != nil {
		return consistent, fmt.Errorf("holds do not lapse: %w", err)
	}
	err = await(patience, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return in.Offered(ctx, c.world)
	})
	if err != nil {
		return consistent, fmt.Errorf("what is offered is not what is left: %w", err)
	}
	if in.Postgres == nil {
		consistent = time.Since(since) // only now is it known
	}
	return consistent, nil
}

// touch asks for a place at each site: a site that was not asked for since a loss is rebuilt only in its turn.
func (in *Installation) touch(c *Crowd, sites []allocator.SiteID) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := httpClient()
	defer client.CloseIdleConnections()
	base := in.Servers[len(in.Servers)-1].Base
	for _, site := range sites {
		claim := checkers.Claim{Service: ServiceA, Slot: allocator.SlotID{
			Site: site, Start: allocator.MinuteOf(c.world.Starts[0]), Length: slotMinutes,
		}}
		key := fmt.Sprintf("touch-%s-%d", site, c.options.Seed)
		a := send(ctx, client, base, request{http.MethodPost, "/v1/holds", holdBody([]checkers.Claim{claim}), map[string]string{"Idempotency-Key": key}})
		var got struct{ HoldID string }
		if a.ok() && a.decode(&got) == nil {
			h := held{token: got.HoldID}
			send(ctx, client, base, request{method: http.MethodDelete, path: h.path("")})
		}
	}
}
