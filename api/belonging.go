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
	own, err := s.own(ctx, x.grant.caller(), id)
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

// feedPages bounds how much of the feed one look goes through for a caller that sees little of it.
const feedPages = 8

// events lists what the caller may see of the feed after a cursor: of all that there is, or of its organisation's sites. The
// cursor to go on from may be further on though nothing was seen.
func (s *Server) events(ctx context.Context, caller allocator.Caller, after string, limit int) ([]allocator.Event, string, error) {
	if !caller.Bound {
		return s.engine.Events(ctx, after, limit)
	}
	var seen []allocator.Event
	whose := map[allocator.SiteID]bool{}
	for page, next := 1, after; ; page++ {
		all, end, err := s.engine.Events(ctx, next, maxEvents)
		if err != nil {
			return nil, "", err
		}
		for _, e := range all {
			own, known := whose[e.Site]
			if !known {
				if own, err = s.own(ctx, caller, e.Site); err != nil {
					return nil, "", err
				}
				whose[e.Site] = own
			}
			if !own {
				continue
			}
			if seen = append(seen, e); len(seen) == limit {
				return seen, e.Cursor, nil
			}
		}
		if next = end; len(all) < maxEvents || page == feedPages {
			return seen, next, nil
		}
	}
}
