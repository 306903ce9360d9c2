package allocator

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// This file is what makes searching cheap: a search of the surge asks what was asked a moment ago, of sites most of which
// have not changed since.
//
// # Views
//
// What a site shows to a search follows from the site (its details, days and use) and from a viewKey: the service, the
// dates and starts that may be booked at this minute, how many people. It is worked out once and kept with the site as a
// view, which never changes. Whoever changes the site forgets its views; time moves a viewKey on at every full minute, so
// that a view lasts for a minute at most. A search that finds a view takes no lock and allocates nothing, and what the
// reply's writer works out of it (its JSON) is kept in the view's Memo for as long.
//
// # Marks
//
// A search wants the nearest sites that have something free, and in a surge nearly none has. For each service that was
// searched for, the index of places has marks: a site without one is known to have nothing free of the service, from the
// earliest start that could be booked on, and is passed by unseen. The other way round a mark promises nothing: a site is
// marked again as soon as anything of it changes, and whoever looks at it and finds nothing takes the mark away.
//
// No search misses a site by this:
//
//   - A view is drawn and a mark taken away under the site's lock, and a change takes the same lock, changes, and then
//     forgets the views and sets the marks again. So either the change was seen, or it sets the mark after.
//   - A site remembers where it is unmarked, so a change reaches every mark that was ever taken away, also those of an
//     index that has been replaced and that only older searches use.
//   - Whatever dates a search asks for, they only narrow what the marks stand for. Time only narrows it as well. Where the
//     earliest start lies before the one that marks were taken away for (a clock that was set back, a service that
//     may be booked at shorter notice), the marks are not used.
//
// With includeFull a search wants the full sites too, and uses marks that nobody takes away.

// viewKey is what a site's view depends on, besides the site.
type viewKey struct {
	service             ServiceCode
	first, last         Date // site-local; last 0: no bound
	notBefore, notAfter Minute
	people              int
	open, full          bool
}

// view is what a site shows to searches of one kind.
type view struct {
	key     viewKey
	offer   *SiteOffer // nil where the site is not shown
	first   SlotFree   // the first slot that may be booked; Free is 0 where there is none
	trusted bool       // the use it was drawn from is that of a built inventory
}

// views are those of a site.
type views struct{ list []view }

// viewsKept bounds the views of a site: without bound, clients that choose all kinds of dates would choose how much memory
// is used. Two kilobytes a view, encoded, are usual.
const viewsKept = 4

// view finds a view that was drawn before.
func (e *siteEntry) view(k *viewKey) *view {
	if kept := e.views.Load(); kept != nil {
		for i := range kept.list {
			if kept.list[i].key == *k {
				return &kept.list[i]
			}
		}
	}
	return nil
}

// look finds a view, or draws it. Marks are those by which the site was found, at its position there; nil: none.
func (e *siteEntry) look(k *viewKey, marks *serviceMarks, position int) *view {
	if v := e.view(k); v != nil {
		return v
	}
	return e.draw(k, marks, position)
}

func (e *siteEntry) draw(k *viewKey, marks *serviceMarks, position int) *view {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v := e.view(k); v != nil {
		return v
	}
	sheet := e.sheet.Load()
	v := view{key: *k, trusted: e.trusted}
	if !sheet.Site.Offline {
		days, first := e.daysFree(k)
		if v.first = first; first.Free > 0 {
			v.offer = &SiteOffer{SiteSheet: sheet, Days: days, NextAvailable: first.Start.Time().In(e.zone())}
		} else if k.full && e.everOffers(k.service) {
			v.offer = &SiteOffer{SiteSheet: sheet, Days: days}
		}
	}
	if marks != nil && v.offer == nil && (sheet.Site.Offline || !e.freeFrom(k)) {
		e.unmark(marks, k.notBefore, position)
	}
	return e.keep(v)
}

// keep puts a view beside the others in place of the oldest, or of one of an earlier minute. The site's lock is held.
func (e *siteEntry) keep(v view) *view {
	kept := &views{}
	if old := e.views.Load(); old != nil {
		kept.list = slices.DeleteFunc(slices.Clone(old.list), func(o view) bool {
			return o.key.service == v.key.service && o.key.notBefore < v.key.notBefore
		})
		kept.list = kept.list[max(0, len(kept.list)-viewsKept+1):]
	}
	kept.list = append(kept.list, v)
	e.views.Store(kept)
	return &kept.list[len(kept.list)-1]
}

// daysFree adds up day by day what may be booked. The site's lock is held.
func (e *siteEntry) daysFree(k *viewKey) (days []DayFree, first SlotFree) {
	sp := k.span(e.zone())
	dates := within(e.dates, sp)
	for i, date := range dates {
		free := e.freeOn(e.days[date], k.service)
		slots, total := free.slots, free.total
		if k.people > 1 || date <= sp.from || date >= sp.to {
			if slots = fitting(slots, sp, k.people); len(slots) < len(free.slots) {
				total = 0
				for _, s := range slots {
					total += s.Free
				}
				total = min(total, free.total) // a maximum may allow less than the slots have together
			}
		}
		if len(slots) > 0 && first.Free == 0 {
			first = slots[0]
		}
		if total > 0 || k.full {
			if days == nil {
				days = make([]DayFree, 0, len(dates)-i)
			}
			days = append(days, DayFree{date, total})
		}
	}
	return days, first
}

// freeFrom says whether anything is free from the key's earliest start on, on whatever day. The site's lock is held.
func (e *siteEntry) freeFrom(k *viewKey) bool {
	for _, date := range e.dates {
		slots := e.freeOn(e.days[date], k.service).slots
		if len(slots) > 0 && slots[len(slots)-1].Start >= k.notBefore {
			return true
		}
	}
	return false
}

// everOffers says whether any day of the site offers the service. The site's lock is held.
func (e *siteEntry) everOffers(service ServiceCode) bool {
	for _, day := range e.days {
		for _, s := range day.day.Sessions {
			if slices.Contains(s.Services, service) && !slices.Contains(s.Suspended, service) {
				return true
			}
		}
	}
	return false
}

// changed forgets the views and sets all marks. Whoever changes the site calls it afterwards, holding its lock.
func (e *siteEntry) changed() {
	e.changes.Add(1)
	e.views.Store(nil)
	for _, u := range e.unmarked {
		u.marks.Set(u.position)
	}
	clear(e.unmarked)
	e.unmarked = e.unmarked[:0]
}

// unmarked is a mark that was taken away.
type unmarked struct {
	marks    PointMarks
	position int
}

// unmark makes searches pass the site by until it changes. The site's lock is held.
func (e *siteEntry) unmark(marks *serviceMarks, notBefore Minute, position int) {
	marks.raise(notBefore)
	if u := (unmarked{marks.set, position}); !slices.Contains(e.unmarked, u) {
		u.marks.Unset(position)
		e.unmarked = append(e.unmarked, u)
	}
}

// serviceMarks are the marks of one service.
type serviceMarks struct {
	service ServiceCode
	set     PointMarks
	latest  atomic.Int64 // the latest earliest start for which a mark was taken away
}

func (m *serviceMarks) raise(notBefore Minute) {
	for {
		latest := m.latest.Load()
		if int64(notBefore) <= latest || m.latest.CompareAndSwap(latest, int64(notBefore)) {
			return
		}
	}
}

// pointIndex finds sites by distance. Where sites come or move, another one takes its place.
type pointIndex struct {
	index    NearestIndex
	sites    []*siteEntry
	all      PointMarks
	mu       sync.Mutex // of writers of services
	services atomic.Pointer[[]*serviceMarks]
}

// marks gives those of a service; nil where they stand for a later start than the key's.
func (p *pointIndex) marks(k *viewKey) *serviceMarks {
	for _, m := range *p.services.Load() {
		if m.service != k.service {
			continue
		}
		latest := Minute(m.latest.Load())
		switch {
		case k.notBefore >= latest:
			return m
		case k.notBefore == latest-1: // another search's minute has begun already
			return nil
		}
		return p.newMarks(k, m)
	}
	return p.newMarks(k, nil)
}

// newMarks makes the marks of a service, in place of old ones where these are still there.
func (p *pointIndex) newMarks(k *viewKey, old *serviceMarks) *serviceMarks {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.Clone(*p.services.Load())
	at := slices.IndexFunc(list, func(m *serviceMarks) bool { return m.service == k.service })
	if at >= 0 && list[at] != old {
		return nil // somebody else was faster: the next search will use theirs
	}
	m := &serviceMarks{service: k.service, set: p.index.Marks()}
	if at >= 0 {
		list[at] = m
	} else {
		list = append(list, m)
	}
	p.services.Store(&list)
	return m
}

// near gives the index of all sites by place, making it where sites have come or moved.
func (d *directory) near() *pointIndex {
	if p := d.points.Load(); p != nil {
		return p
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.points.Load(); p != nil {
		return p
	}
	p := &pointIndex{sites: make([]*siteEntry, 0, len(d.sites))}
	for _, e := range d.sites {
		p.sites = append(p.sites, e)
	}
	slices.SortFunc(p.sites, func(a, b *siteEntry) int { return cmp.Compare(a.key, b.key) })
	lats, lons := make([]float64, len(p.sites)), make([]float64, len(p.sites))
	for i, e := range p.sites {
		site := &e.sheet.Load().Site
		lats[i], lons[i] = site.Lat, site.Lon
	}
	p.index = d.nearest.Index(lats, lons)
	p.all = p.index.Marks()
	p.services.Store(new([]*serviceMarks))
	d.points.Store(p)
	return p
}

// span is what of the calendar a search may show.
type span struct {
	from, to  Date   // site-local
	notBefore Minute // starts
	notAfter  Minute
	open      bool
}

// keyOf narrows the dates asked for to those that the service lets one book now.
func (a *Allocator) keyOf(s *Service, from, to Date, people int, full bool, now time.Time) viewKey {
	w := a.window(s, Caller{})
	k := viewKey{
		service: s.Code, first: max(from, s.FirstDate), last: to, people: people, full: full,
		notBefore: MinuteOf(now.Add(time.Duration(w.MinLeadMs)*time.Millisecond + time.Minute - time.Nanosecond)),
		notAfter:  MinuteOf(now.Add(time.Duration(w.MaxLeadMs) * time.Millisecond)),
		open:      w.OpensMs == 0 || now.UnixMilli() >= w.OpensMs,
	}
	if s.LastDate != 0 && (to == 0 || s.LastDate < to) {
		k.last = s.LastDate
	}
	return k
}

// span is the key's part of a site's calendar.
func (k *viewKey) span(zone *time.Location) span {
	sp := span{notBefore: k.notBefore, notAfter: k.notAfter, open: k.open}
	sp.from = max(DateOf(sp.notBefore.Time().In(zone)), k.first)
	sp.to = DateOf(sp.notAfter.Time().In(zone))
	if k.last != 0 {
		sp.to = min(sp.to, k.last)
	}
	return sp
}

// within cuts a list of dates, in order, to those of a span.
func within(dates []Date, sp span) []Date {
	if !sp.open {
		return nil
	}
	from, _ := slices.BinarySearch(dates, sp.from)
	to, _ := slices.BinarySearch(dates, sp.to+1)
	return dates[from:max(from, to)]
}
