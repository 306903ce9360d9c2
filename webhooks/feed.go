package webhooks

import (
	"context"
	"sync"
	"time"

	"muster/allocator"
)

// Source is the feed that subscribers follow. *allocator.Allocator is one. Safe for concurrent use.
type Source interface {
	Events(ctx context.Context, after string, limit int) (events []allocator.Event, next string, err error)
	Site(ctx context.Context, id allocator.SiteID) (allocator.Site, error)
}

const (
	pageEvents = 500
	maxPages   = 64
	// pageLife is how long a page is kept: whose site an event is of may change.
	pageLife = time.Minute
	readTime = 10 * time.Second
)

// feed reads the outbox once for all subscribers of this server. Those who wait for news all ask for what comes after the same
// event, so one look answers them all; who is behind reads pages of the past, which are kept for others on the same way.
//
// What comes after an event never changes, there is only more of it: so a page with anything in it stays true. One that is
// empty is good until the next look.
type feed struct {
	source Source
	fresh  time.Duration // how long an empty page is good
	now    func() time.Time

	mu    sync.Mutex
	pages map[string]*page // by the cursor that they come after
	order []string         // of the pages, as they were asked for
}

// page is a piece of the feed. What it holds is there once ready is closed, and never changes.
type page struct {
	ready  chan struct{}
	until  time.Time
	events []allocator.Event
	own    map[string][]int // positions in events, by the publisher of their site
	next   string
	err    error
}

func newFeed(source Source, fresh time.Duration, now func() time.Time) *feed {
	return &feed{source: source, fresh: fresh, now: now, pages: make(map[string]*page)}
}

// after is the page of events after a cursor; an empty one where there is none yet.
func (f *feed) after(ctx context.Context, cursor string) (*page, error) {
	p, mine := f.page(cursor)
	if mine {
		f.read(ctx, cursor, p)
	}
	select {
	case <-p.ready:
		return p, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// page finds a page, or makes one that the caller must read.
func (f *feed) page(cursor string) (p *page, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if p := f.pages[cursor]; p != nil && now.Before(p.until) {
		return p, false
	}
	if _, there := f.pages[cursor]; !there {
		f.order = append(f.order, cursor)
		if len(f.order) > maxPages {
			delete(f.pages, f.order[0])
			f.order = f.order[1:]
		}
	}
	p = &page{ready: make(chan struct{}), until: now.Add(pageLife)}
	f.pages[cursor] = p
	return p, true
}

func (f *feed) read(ctx context.Context, cursor string, p *page) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	p.events, p.next, p.err = f.source.Events(ctx, cursor, pageEvents)
	if p.err == nil {
		p.own, p.err = f.publishers(ctx, p.events)
	}
	if p.err != nil || len(p.events) == 0 {
		f.mu.Lock()
		p.until = f.now().Add(f.fresh)
		f.mu.Unlock()
	}
	close(p.ready)
}

// publishers sorts events by whose site they are of. One that is known no more is nobody's.
func (f *feed) publishers(ctx context.Context, events []allocator.Event) (map[string][]int, error) {
	whose, own := make(map[allocator.SiteID]string), make(map[string][]int)
	for i := range events {
		id := events[i].Site
		publisher, known := whose[id]
		if !known {
			site, err := f.source.Site(ctx, id)
			if err != nil && allocator.CodeOf(err) != allocator.CodeSiteUnknown {
				return nil, err
			}
			publisher = site.Publisher
			whose[id] = publisher
		}
		own[publisher] = append(own[publisher], i)
	}
	return own, nil
}
