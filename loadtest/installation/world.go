package installation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"muster/allocator"
)

// The services of every world. The first two are one per person; probes may be had by anybody again and again.
const (
	ServiceA     allocator.ServiceCode = "RSV:Adult"
	ServiceB     allocator.ServiceCode = "COVID:18+"
	ServiceProbe allocator.ServiceCode = "PROBE:Any"
)

// slotMinutes is the length of every slot.
const slotMinutes = 10

// World is what is published: sites where few slots have few places, and for each shard one site with room for probes.
// Its methods are safe for concurrent use.
type World struct {
	Sites  []allocator.SiteID // those that citizens use
	Probes []allocator.SiteID // one per shard
	Date   allocator.Date     // the one day of every site
	Zone   *time.Location
	Starts []time.Time // of the slots of every site

	mu   sync.Mutex
	days []allocator.Day // every version that is known to have been published
}

// WorldOptions shape a world. Zero fields have defaults.
type WorldOptions struct {
	Sites    int // default 6
	Slots    int // per site; default 6
	Capacity int // places per slot and service, besides those that either may use; default 1
}

// Publish makes a world and waits until every server knows all of it.
func (in *Installation) Publish(o WorldOptions) *World {
	in.tb.Helper()
	for field, value := range map[*int]int{&o.Sites: 6, &o.Slots: 6, &o.Capacity: 1} {
		if *field == 0 {
			*field = value
		}
	}
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		in.tb.Fatal(err)
	}
	y, m, d := time.Now().In(zone).AddDate(0, 0, 3).Date()
	first := time.Date(y, m, d, 10, 0, 0, 0, zone)
	w := &World{Zone: zone, Date: allocator.DateOf(first)}
	for i := range o.Slots {
		w.Starts = append(w.Starts, first.Add(time.Duration(i)*slotMinutes*time.Minute))
	}
	w.Sites, w.Probes = names("S", o.Sites, in.Options.Shards), names("PROBE", in.Options.Shards, in.Options.Shards)
	for _, s := range in.Servers { // equal documents change nothing, but let each server know of them at once
		w.publishAll(in.tb, s, o.Capacity)
	}
	for _, s := range in.Servers {
		if err := w.awaitKnown(s); err != nil {
			in.tb.Fatalf("server %d does not know the world: %v", s.Index, err)
		}
	}
	return w
}

// names makes ids of sites that spread over all shards, as far as there are enough.
func names(prefix string, n, shards int) (sites []allocator.SiteID) {
	for i := 0; len(sites) < n; i++ {
		site := allocator.SiteID(fmt.Sprintf("%s%d", prefix, i))
		if allocator.ShardOf(site, shards) == len(sites)%shards {
			sites = append(sites, site)
		}
	}
	return sites
}

type object = map[string]any

var staff = map[string]string{"Authorization": "Bearer dev"}

func (w *World) publishAll(tb testing.TB, s *Server, capacity int) {
	tb.Helper()
	client := httpClient()
	defer client.CloseIdleConnections()
	put := func(path string, body object) answer {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		a := send(ctx, client, s.Base, request{http.MethodPut, path, body, staff})
		if !a.ok() {
			tb.Fatalf("PUT %s: %d %v %s", path, a.status, a.err, a.body)
		}
		return a
	}
	for _, service := range []allocator.ServiceCode{ServiceA, ServiceB, ServiceProbe} {
		put("/v1/services/"+string(service), object{"name": string(service), "onePerPerson": service != ServiceProbe})
	}
	for _, site := range slices.Concat(w.Sites, w.Probes) {
		put("/v1/sites/"+string(site), object{"name": string(site), "type": "Pharmacies", "timeZone": w.Zone.String(),
			"address":  object{"lines": []string{"1 High Street"}, "postcode": "LS1 4AP"},
			"location": object{"lat": 53.7963, "lon": -1.5477}})
		sessions := w.Sessions(capacity, 1, capacity)
		if slices.Contains(w.Probes, site) {
			sessions = []allocator.Session{w.session(1000, ServiceProbe)}
		}
		a := put(w.dayPath(site), object{"sessions": documents(sessions)})
		w.published(a, site, sessions)
	}
}

// Sessions is a day whose slots have places for A only, for A and B, and for B only; none where the number is 0.
func (w *World) Sessions(onlyA, both, onlyB int) (sessions []allocator.Session) {
	for _, s := range []allocator.Session{w.session(onlyA, ServiceA), w.session(both, ServiceB, ServiceA), w.session(onlyB, ServiceB)} {
		if s.Capacity > 0 {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

func (w *World) session(capacity int, services ...allocator.ServiceCode) allocator.Session {
	from := allocator.TimeOfDay(w.Starts[0].Hour()*60 + w.Starts[0].Minute())
	until := from + allocator.TimeOfDay(len(w.Starts)*slotMinutes)
	return allocator.Session{From: from, Until: until, SlotLength: slotMinutes, Capacity: capacity, Services: services}
}

func documents(sessions []allocator.Session) []object {
	list := make([]object, 0, len(sessions))
	for _, s := range sessions {
		list = append(list, object{"from": s.From.String(), "until": s.Until.String(), "slotLength": s.SlotLength,
			"capacity": s.Capacity, "services": s.Services})
	}
	return list
}

func (w *World) dayPath(site allocator.SiteID) string {
	return "/v1/sites/" + string(site) + "/days/" + w.Date.String()
}

// published notes a version of a day from the answer to its publication.
func (w *World) published(a answer, site allocator.SiteID, sessions []allocator.Session) int64 {
	var result struct{ Revision int64 }
	if a.decode(&result) != nil {
		return 0
	}
	w.note(allocator.Day{Site: site, Date: w.Date, Revision: result.Revision, Sessions: sessions})
	return result.Revision
}

func (w *World) note(day allocator.Day) {
	w.mu.Lock()
	defer w.mu.Unlock()
	same := func(d allocator.Day) bool {
		return d.Site == day.Site && d.Date == day.Date && d.Revision == day.Revision
	}
	if !slices.ContainsFunc(w.days, same) {
		w.days = append(w.days, day)
	}
}

// Days is every version of every day that is known to have been published.
func (w *World) Days() []allocator.Day {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.days)
}

// awaitKnown waits until a server offers places at each site.
func (w *World) awaitKnown(s *Server) error {
	client := httpClient()
	defer client.CloseIdleConnections()
	for _, site := range slices.Concat(w.Sites, w.Probes) {
		service := ServiceA
		if slices.Contains(w.Probes, site) {
			service = ServiceProbe
		}
		path := fmt.Sprintf("/v1/sites/%s/availability?service=%s&from=%s&to=%s", site, service, w.Date, w.Date)
		err := await(patience, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			a := send(ctx, client, s.Base, request{method: http.MethodGet, path: path})
			var found struct {
				Days []struct{ Slots []struct{ Free int } }
			}
			if err := errors.Join(a.err, a.decode(&found)); err != nil {
				return err
			}
			if len(found.Days) != 1 || len(found.Days[0].Slots) != len(w.Starts) {
				return fmt.Errorf("%s is answered %d %s", path, a.status, a.body)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// publisher changes the capacity of one site, again and again, one version after the other.
type publisher struct {
	caller
	world    *World
	site     allocator.SiteID
	revision int64
}

// change publishes another capacity, which may be a cut, and insists. Every version but the current one is refused by
// If-Match, so that a late repeat cannot bring an old document back.
func (p *publisher) change(ctx context.Context) {
	sessions := p.world.Sessions(p.rng.IntN(3), 1+p.rng.IntN(2), p.rng.IntN(3))
	path := p.world.dayPath(p.site)
	header := map[string]string{"Authorization": staff["Authorization"], "If-Match": strconv.Quote(strconv.FormatInt(p.revision, 10))}
	a := p.insist(ctx, request{http.MethodPut, path, object{"sessions": documents(sessions)}, header})
	switch {
	case a.ok():
		p.revision = max(p.revision, p.world.published(a, p.site, sessions))
	case a.code == allocator.CodeRevisionMismatch:
		p.catchUp(ctx, path, sessions)
	case a.definite():
		p.crowd.complain("P11", "publishing %s: %d %s", path, a.status, a.body)
	}
}

// catchUp finds out that an earlier copy of a publication was the one that took effect: nobody else publishes this site.
func (p *publisher) catchUp(ctx context.Context, path string, sessions []allocator.Session) {
	a := p.insist(ctx, request{method: http.MethodGet, path: path, header: staff})
	var day struct{ Revision int64 }
	if !a.ok() || a.decode(&day) != nil {
		return
	}
	if day.Revision != p.revision+1 {
		p.crowd.complain("P11", "%s has revision %d after a publication on top of %d that was answered with a mismatch", path, day.Revision, p.revision)
	}
	p.world.note(allocator.Day{Site: p.site, Date: p.world.Date, Revision: day.Revision, Sessions: sessions})
	p.revision = day.Revision
}
