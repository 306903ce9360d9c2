package api

import (
	"context"
	"strings"
	"time"

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

type originView struct {
	locationView
	Postcode  string `json:"postcode,omitempty"`
	Precision string `json:"precision,omitempty"`
}

type searchView struct {
	AsOf   string          `json:"asOf"`
	AgeMs  int64           `json:"ageMs"`
	Origin originView      `json:"origin"`
	Sites  []siteFoundView `json:"sites"`
}

type siteFoundView struct {
	SiteID          allocator.SiteID `json:"siteId"`
	Name            string           `json:"name"`
	DistanceMetres  int              `json:"distanceMetres"`
	Location        locationView     `json:"location"`
	Address         addressView      `json:"address"`
	Accessibilities []string         `json:"accessibilities"`
	NextAvailable   string           `json:"nextAvailable,omitempty"`
	Days            []dayFreeView    `json:"days"`
}

type dayFreeView struct {
	Date string `json:"date"`
	Free int    `json:"free"`
}

type availabilityView struct {
	AsOf  string         `json:"asOf"`
	AgeMs int64          `json:"ageMs"`
	Days  []daySlotsView `json:"days"`
}

type daySlotsView struct {
	Date  string         `json:"date"`
	Slots []slotFreeView `json:"slots"`
}

type slotFreeView struct {
	Start  string `json:"start"`
	Length int16  `json:"length"`
	Free   int    `json:"free"`
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
	req, err := x.searchRequest()
	if err != nil {
		return reply{}, err
	}
	found, err := s.engine.Search(ctx, req)
	if err != nil {
		return reply{}, err
	}
	view := searchView{
		AsOf: moment(found.AsOf), AgeMs: found.Age.Milliseconds(),
		Origin: originView{locationView{found.Lat, found.Lon}, found.Postcode, found.Precision},
		Sites:  make([]siteFoundView, len(found.Sites)),
	}
	for i, f := range found.Sites {
		v := siteFoundView{
			SiteID: f.Site.ID, Name: f.Site.Name, DistanceMetres: f.DistanceMetres,
			Location: locationView{f.Site.Lat, f.Site.Lon}, Address: addressView{list(f.Site.AddressLines), f.Site.Postcode},
			Accessibilities: list(f.Site.Accessibilities), Days: make([]dayFreeView, len(f.Days)),
		}
		if !f.NextAvailable.IsZero() {
			v.NextAvailable = s.zones.instant(f.NextAvailable, f.Site.TimeZone)
		}
		for j, d := range f.Days {
			v.Days[j] = dayFreeView{d.Date.String(), d.Free}
		}
		view.Sites[i] = v
	}
	return reply{body: view}, nil
}

func (x *exchange) searchRequest() (allocator.SearchRequest, error) {
	q := x.query("postcode", "lat", "lon", "service", "from", "to", "radiusKm", "limit", "people", "access", "includeFull")
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
	zone := found.Zone
	if zone == nil {
		zone = time.UTC
	}
	view := availabilityView{AsOf: moment(found.AsOf), AgeMs: found.Age.Milliseconds(), Days: make([]daySlotsView, len(found.Days))}
	for i, d := range found.Days {
		slots := make([]slotFreeView, len(d.Slots))
		for j, f := range d.Slots {
			slots[j] = slotFreeView{instant(f.Start.Time().In(zone)), f.Length, f.Free}
		}
		view.Days[i] = daySlotsView{d.Date.String(), slots}
	}
	return reply{body: view}, nil
}

func (s *Server) getPostcode(_ context.Context, x *exchange) (reply, error) {
	postcode := x.param("postcode")
	if len(postcode) > maxPostcodeBytes || postcode == "" {
		return reply{}, allocator.Refuse(allocator.CodePostcodeUnknown, "that is not a postcode")
	}
	x.query()
	if err := x.input().fail(); err != nil {
		return reply{}, err
	}
	canonical, lat, lon, precision, err := s.engine.Locate(postcode)
	if err != nil {
		return reply{}, err
	}
	return reply{body: postcodeView{canonical, locationView{lat, lon}, precision}}, nil
}
