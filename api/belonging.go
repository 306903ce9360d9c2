package api

import (
	"context"
	"strings"

	"muster/allocator"
)

// belongs refuses a caller that is bound to an organisation at sites of others, on every route of a site that wants a
// scope, before anything else of the request is looked at: so a site of another publisher and one that does not exist are
// answered alike, whatever the request says. A site that is being put may be new; whose it is, the ledger says then.
func (s *Server) belongs(ctx context.Context, x *exchange) error {
	if len(x.route.scopes) == 0 || x.route.method == put && x.route.path == sitePath || !strings.HasPrefix(x.route.path, sitePath) || !x.grant.bound() {
		return nil
	}
	id, err := x.siteID()
	if err != nil {
		return err
	}
	own, err := s.own(ctx, x.caller(), id)
	if err == nil && !own {
		err = errSite
	}
	return err
}

var errSite = allocator.Refuse(allocator.CodeSiteUnknown, "no such site")

// own says whether the caller may work at a site. One that does not exist is nobody's.
func (s *Server) own(ctx context.Context, caller allocator.Caller, id allocator.SiteID) (bool, error) {
	site, err := s.engine.Site(ctx, id)
	switch {
	case allocator.CodeOf(err) == allocator.CodeSiteUnknown:
		return false, nil
	case err != nil:
		return false, err
	}
	return caller.Sees(&site), nil
}

// feedPages bounds how much of a feed one look goes through for a caller that sees little of it.
const feedPages = 8

// feed is what grows at its end, with cursors of one kind.
type feed[T, C any] struct {
	page func(ctx context.Context, after C, limit int) (items []T, next C, err error)
	of   func(item *T) (allocator.SiteID, C) // the site that it is about, and its cursor
}

// ownOf lists what the caller may see of a feed after a cursor: of all that there is, or of its organisation's sites. The cursor
// to go on from may be further on though nothing was seen.
func ownOf[T, C any](ctx context.Context, s *Server, caller allocator.Caller, f feed[T, C], after C, limit int) (seen []T, next C, err error) {
	if !caller.Bound {
		return f.page(ctx, after, limit)
	}
	whose := map[allocator.SiteID]bool{}
	next = after
	for page := 1; ; page++ {
		all, end, err := f.page(ctx, next, maxEvents)
		if err != nil {
			return nil, after, err
		}
		for i := range all {
			site, at := f.of(&all[i])
			own, known := whose[site]
			if !known {
				if own, err = s.own(ctx, caller, site); err != nil {
					return nil, after, err
				}
				whose[site] = own
			}
			if !own {
				continue
			}
			if seen = append(seen, all[i]); len(seen) == limit {
				return seen, at, nil
			}
		}
		if next = end; len(all) < maxEvents || page == feedPages {
			return seen, next, nil
		}
	}
}

// events lists what the caller may see of the feed after a cursor.
func (s *Server) events(ctx context.Context, caller allocator.Caller, after string, limit int) ([]allocator.Event, string, error) {
	return ownOf(ctx, s, caller, feed[allocator.Event, string]{
		page: s.engine.Events,
		of:   func(e *allocator.Event) (allocator.SiteID, string) { return e.Site, e.Cursor },
	}, after, limit)
}
