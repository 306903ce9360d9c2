package crash

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"muster/allocator"
)

// place is a site of one point's run, with one day. Its capacity is changed by one errand at a time, each version on top of
// the one before: a late repeat cannot bring an old document back.
type place struct {
	id       allocator.SiteID
	mu       sync.Mutex
	revision int64
}

// open makes a site with its day.
func (d *desk) open(to at, id allocator.SiteID) *place {
	p := &place{id: id}
	d.putSite(to, id, "Site "+string(id))
	d.publish(to, p, 6)
	return p
}

func (d *desk) putSite(to at, id allocator.SiteID, name string) {
	d.put(to, "/v1/sites/"+string(id), object{"name": name, "type": "Pharmacies", "timeZone": d.zone.String(),
		"address":  object{"lines": []string{"1 High Street"}, "postcode": "LS1 4AP"},
		"location": object{"lat": 53.7963, "lon": -1.5477}})
}

// sessions is a day with so many places a slot for A, two that A and B share, and one for B.
func (d *desk) sessions(places int) []allocator.Session {
	from := allocator.TimeOfDay(d.starts[0].Hour()*60 + d.starts[0].Minute())
	session := func(capacity int, services ...allocator.ServiceCode) allocator.Session {
		return allocator.Session{From: from, Until: from + slots*slotMinutes, SlotLength: slotMinutes, Capacity: capacity, Services: services}
	}
	return []allocator.Session{session(places, serviceA), session(2, serviceB, serviceA), session(1, serviceB)}
}

func documents(sessions []allocator.Session) (list []object) {
	for _, s := range sessions {
		list = append(list, object{"from": s.From.String(), "until": s.Until.String(), "slotLength": s.SlotLength,
			"capacity": s.Capacity, "services": s.Services})
	}
	return list
}

func (d *desk) dayPath(id allocator.SiteID) string {
	return "/v1/sites/" + string(id) + "/days/" + d.date.String()
}

// publish changes a site's capacity.
func (d *desk) publish(to at, p *place, places int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sessions := d.sessions(places)
	header := maps.Clone(staff)
	header["If-Match"] = strconv.Quote(strconv.FormatInt(p.revision, 10))
	a := d.insist(to, request{http.MethodPut, d.dayPath(p.id), object{"sessions": documents(sessions)}, header})
	var got struct{ Revision int64 }
	if a.ok() && json.Unmarshal(a.body, &got) == nil {
		d.published(p, got.Revision, sessions)
		return
	}
	d.notPublished(to, p, a, sessions)
}

// upload changes a site's capacity by a stream of one line.
func (d *desk) upload(to at, p *place, places int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sessions := d.sessions(places)
	line, err := json.Marshal(object{"siteId": p.id, "date": d.date.String(), "ifMatch": p.revision, "sessions": documents(sessions)})
	if err != nil {
		d.complain("P11", "%v", err)
		return
	}
	// The stream's own status says nothing of its lines, so a line that is not answered for good is sent again.
	for range 100 {
		a := d.insist(to, request{http.MethodPost, "/v1/capacity", string(line) + "\n", staff})
		var got struct {
			Revision int64
			Problem  *struct {
				Status int
				Code   allocator.Code
			}
		}
		text, _, _ := strings.Cut(string(a.body), "\n")
		switch err := json.Unmarshal([]byte(text), &got); {
		case a.ok() && err == nil && got.Problem == nil:
			d.published(p, got.Revision, sessions)
			return
		case a.ok() && (err != nil || got.Problem.Status >= 500):
			if to.leave {
				return
			}
			continue
		case a.ok():
			a.code, a.status = got.Problem.Code, got.Problem.Status
		}
		d.notPublished(to, p, a, sessions)
		return
	}
}

func (d *desk) published(p *place, revision int64, sessions []allocator.Session) {
	p.revision = max(p.revision, revision)
	day := allocator.Day{Site: p.id, Date: d.date, Revision: revision, Sessions: sessions}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.ContainsFunc(d.days, func(o allocator.Day) bool { return o.Site == day.Site && o.Revision == day.Revision }) {
		d.days = append(d.days, day)
	}
}

// notPublished finds out whether an earlier copy of a publication was the one that took effect: nobody else publishes this
// site.
func (d *desk) notPublished(to at, p *place, a answer, sessions []allocator.Session) {
	if !a.definite() {
		return // the ledger tells in the end
	}
	if a.code != allocator.CodeRevisionMismatch {
		d.complain("P11", "publishing %s was answered %v", p.id, a)
		return
	}
	a = d.insist(to, request{method: http.MethodGet, path: d.dayPath(p.id), header: staff})
	var day struct{ Revision int64 }
	if !a.definite() {
		return
	}
	if err := json.Unmarshal(a.body, &day); err != nil || day.Revision != p.revision+1 {
		d.complain("P11", "%s after a publication on top of %d that was answered with a mismatch: %v", p.id, p.revision, a)
		return
	}
	d.published(p, day.Revision, sessions)
}
