package api

import (
	"context"
	"strings"

	"muster/allocator"
)

type locationView struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

type addressView struct {
	Lines    []string `json:"lines"`
	Postcode string   `json:"postcode"`
}

type postcodeView struct {
	Postcode string `json:"postcode"`
	locationView
	Precision string `json:"precision"`
}

const (
	maxPostcodeBytes = 16
	maxRadiusKm      = 1000
	maxAccess        = 20
)

func (s *Server) searchSites(ctx context.Context, x *exchange) (reply, error) {
	work := searchWorks.Get().(*searchWork)
	defer work.giveBack()
	req, err := x.searchRequest(work)
	if err != nil {
		return reply{}, err
	}
	req.Reuse = work.sites
	found, err := s.engine.Search(ctx, req)
	if err != nil {
		return reply{}, err
	}
	work.sites = found.Sites
	x.writeSearch(&found)
	return reply{}, nil
}

var searchNames = []string{"postcode", "lat", "lon", "service", "from", "to", "radiusKm", "limit", "people", "access", "includeFull"}

func (x *exchange) searchRequest(work *searchWork) (allocator.SearchRequest, error) {
	q := x.plainQuery(work, searchNames)
	req := allocator.SearchRequest{
		Postcode: q.text("postcode", maxPostcodeBytes), Lat: q.number("lat", -90, 90, 0), Lon: q.number("lon", -180, 180, 0),
		Service:      q.service(required),
		RadiusMetres: 1000 * q.number("radiusKm", 0.001, maxRadiusKm, 50),
		Limit:        q.integer("limit", 1, allocator.MaxSearchLimit, 10),
		People:       q.integer("people", 1, allocator.MaxPeoplePerSearch, 1),
		IncludeFull:  q.boolean("includeFull"),
	}
	req.From, req.To = q.dates()
	switch point := q.has("lat") || q.has("lon"); {
	case q.has("postcode") && point:
		q.d.fault(q.at("postcode"), "is given beside lat and lon; give one of them")
	case point && !(q.has("lat") && q.has("lon")):
		q.d.fault("/query", "lat and lon go together")
	case !point && req.Postcode == "" && len(q.d.faults) == 0:
		q.d.fault("/query", "give postcode, or lat and lon")
	}
	if access := q.text("access", 400); access != "" {
		req.Accessibilities = strings.Split(access, ",")
		if len(req.Accessibilities) > maxAccess {
			q.d.fault(q.at("access"), "has more than %d words", maxAccess)
		}
	}
	return req, q.d.fail()
}

func (s *Server) getAvailability(ctx context.Context, x *exchange) (reply, error) {
	site, err := x.siteID()
	if err != nil {
		return reply{}, err
	}
	q := x.query("service", "from", "to", "people")
	req := allocator.AvailabilityRequest{
		Site: site, Service: q.service(required), People: q.integer("people", 1, allocator.MaxPeoplePerSearch, 1),
	}
	req.From, req.To = q.dates()
	if err := q.d.fail(); err != nil {
		return reply{}, err
	}
	found, err := s.engine.Availability(ctx, req)
	if err != nil {
		return reply{}, err
	}
	x.writeAvailability(&found)
	return reply{}, nil
}

func (s *Server) getPostcode(_ context.Context, x *exchange) (reply, error) {
	postcode := x.param("postcode")
	if len(postcode) > maxPostcodeBytes || postcode == "" {
		return reply{}, allocator.Refuse(allocator.CodePostcodeUnknown, "that is not a postcode")
	}
	if err := x.noQuery(); err != nil {
		return reply{}, err
	}
	canonical, lat, lon, precision, err := s.engine.Locate(postcode)
	if err != nil {
		return reply{}, err
	}
	return reply{body: postcodeView{canonical, locationView{lat, lon}, precision}}, nil
}
