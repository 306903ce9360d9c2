package api

import (
	"context"
	"encoding/hex"
	"math"

	"muster/allocator"
)

type trailView struct {
	Seq       int64               `json:"seq"`
	At        string              `json:"at"`
	Actor     string              `json:"actor"`
	Action    allocator.EventType `json:"action"`
	RequestID string              `json:"requestId,omitempty"`
	SiteID    allocator.SiteID    `json:"siteId,omitempty"`
	Date      string              `json:"date,omitempty"`
	changeView
	Event    string `json:"event"`
	Digest   string `json:"digest"`
	Previous string `json:"previous"`
	Hash     string `json:"hash"`
	Seal     string `json:"seal,omitempty"`
}

type trailPage struct {
	Entries []trailView `json:"entries"`
	Next    int64       `json:"next"`
}

const (
	maxTrailEntries = 1000
	maxActorBytes   = 300
	maxSiteBytes    = 64
)

// getAuditTrail answers a page of the audit trail: of a site, a booking or an actor, or of all that the caller may see.
func (s *Server) getAuditTrail(ctx context.Context, x *exchange) (reply, error) {
	q := x.query("site", "reference", "actor", "from", "to", "after", "limit", "format")
	ask := allocator.TrailQuery{
		Site: allocator.SiteID(q.text("site", maxSiteBytes)), Actor: q.text("actor", maxActorBytes), From: q.instant("from"), To: q.instant("to"),
		After: int64(q.integer("after", 0, math.MaxInt64, 0)), Limit: q.integer("limit", 1, maxTrailEntries, 100),
	}
	reference := q.text("reference", maxReferenceBytes)
	form := q.choice("format", "json", "ndjson")
	if err := q.d.fail(); err != nil {
		return reply{}, err
	}
	caller := x.caller()
	about, err := s.trailSubject(ctx, caller, &ask, reference)
	if err != nil {
		return reply{}, err
	}
	if about {
		caller.Bound = false // it is their site's, or their site's booking's
	}
	entries, next, err := ownOf(ctx, s, caller, s.trailFeed(ask), ask.After, ask.Limit)
	if err != nil {
		return reply{}, err
	}
	page := trailPage{viewTrail(entries), next}
	if form == "ndjson" {
		content, err := jsonLines(page.Entries)
		return reply{content: content, contentType: ndjson, next: nextPage(x, next)}, err
	}
	return reply{body: page}, nil
}

// trailSubject finds the site or booking that a query is about, and refuses one that is not the caller's as if it were not there.
func (s *Server) trailSubject(ctx context.Context, caller allocator.Caller, ask *allocator.TrailQuery, reference string) (about bool, err error) {
	if ask.Site != "" {
		own, err := s.own(ctx, caller, ask.Site)
		if err != nil {
			return false, err
		}
		if !own {
			return false, errSite
		}
	}
	if reference != "" {
		key, ok := allocator.ParseReference(reference)
		if !ok {
			return false, errBooking
		}
		access := allocator.BookingAccess{Reference: key.Reference(), Staff: true, Caller: caller}
		if _, err := s.engine.Booking(ctx, access); err != nil {
			return false, err
		}
		ask.Booking = key
	}
	return ask.Site != "" || ask.Booking != 0, nil
}

// trailFeed reads the entries that a query asks for.
func (s *Server) trailFeed(ask allocator.TrailQuery) feed[allocator.TrailEntry, int64] {
	return feed[allocator.TrailEntry, int64]{
		page: func(ctx context.Context, after int64, limit int) ([]allocator.TrailEntry, int64, error) {
			ask.After, ask.Limit = after, limit
			entries, err := s.engine.Trail(ctx, ask)
			if len(entries) > 0 {
				after = entries[len(entries)-1].Seq
			}
			return entries, after, err
		},
		of: func(t *allocator.TrailEntry) (allocator.SiteID, int64) { return t.Event.Site, t.Seq },
	}
}

func viewTrail(entries []allocator.TrailEntry) []trailView {
	views := make([]trailView, len(entries))
	for i := range entries {
		t, e := &entries[i], &entries[i].Event
		v := trailView{
			Seq: t.Seq, At: e.At.UTC().Format(microForm), Actor: e.Actor, Action: e.Type, RequestID: e.Request, SiteID: e.Site,
			changeView: viewChange(e), Event: e.Cursor,
			Digest: hex.EncodeToString(t.Digest[:]), Previous: hex.EncodeToString(t.Previous[:]), Hash: hex.EncodeToString(t.Hash[:]),
			Seal: hex.EncodeToString(t.Seal),
		}
		if !e.Type.Catalogue() {
			v.Date = e.Date.String()
		}
		views[i] = v
	}
	return views
}

// microForm is exact: the digest of an entry is of its instant in microseconds.
const microForm = "2006-01-02T15:04:05.000000Z"

// nextPage is where an extract goes on: its lines have no room to say so.
func nextPage(x *exchange, after int64) string {
	args := x.http.QueryArgs()
	args.SetUint("after", int(after))
	return x.route.path + "?" + args.String()
}
