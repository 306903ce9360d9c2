package api

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

type siteView struct {
	SiteID          allocator.SiteID `json:"siteId"`
	Name            string           `json:"name"`
	Type            string           `json:"type,omitempty"`
	Address         addressView      `json:"address"`
	Location        locationView     `json:"location"`
	TimeZone        string           `json:"timeZone"`
	ODSCode         string           `json:"odsCode,omitempty"`
	Region          string           `json:"region,omitempty"`
	ICB             string           `json:"icb,omitempty"`
	Phone           string           `json:"phone,omitempty"`
	Accessibilities []string         `json:"accessibilities"`
	Information     string           `json:"informationForCitizens,omitempty"`
	Status          string           `json:"status"`
	Publisher       string           `json:"publisher,omitempty"`
}

type serviceView struct {
	Service      allocator.ServiceCode `json:"service"`
	Name         string                `json:"name"`
	Programme    string                `json:"programme"`
	Dose         int                   `json:"dose"`
	OnePerPerson bool                  `json:"onePerPerson"`
	BookingOpens string                `json:"bookingOpens,omitempty"`
	FirstDate    string                `json:"firstDate,omitempty"`
	LastDate     string                `json:"lastDate,omitempty"`
	MinLeadHours int                   `json:"minLeadHours"`
	WindowDays   int                   `json:"windowDays"`
	Eligibility  eligibilityView       `json:"eligibility"`
}

type eligibilityView struct {
	MinAge int `json:"minAge,omitempty"`
	MaxAge int `json:"maxAge,omitempty"`
}

const (
	maxWordBytes        = 64
	maxPublisherBytes   = 128
	maxInformationBytes = 4000
	maxAddressLines     = 8
	maxAccessibilities  = 40
	servicesPublic      = 30 * time.Second
)

func (s *Server) getSite(ctx context.Context, x *exchange) (reply, error) {
	id, err := x.onlySite()
	if err != nil {
		return reply{}, err
	}
	site, err := s.engine.Site(ctx, id)
	if err != nil {
		return reply{}, err
	}
	return reply{body: viewSite(site, x.grant)}, nil
}

// viewSite shows whose site it is to those who work there only.
func viewSite(site allocator.Site, to grant) siteView {
	status := "online"
	if site.Offline {
		status = "offline"
	}
	view := siteView{
		SiteID: site.ID, Name: site.Name, Type: site.Type, Address: addressView{list(site.AddressLines), site.Postcode},
		Location: locationView{site.Lat, site.Lon}, TimeZone: site.TimeZone, ODSCode: site.ODSCode, Region: site.Region,
		ICB: site.ICB, Phone: site.Phone, Accessibilities: list(site.Accessibilities), Information: site.Information, Status: status,
	}
	if to.known() && to.caller().Sees(&site) {
		view.Publisher = site.Publisher
	}
	return view
}

func (s *Server) putSite(ctx context.Context, x *exchange) (reply, error) {
	site, err := x.decodeSite()
	if err != nil {
		return reply{}, err
	}
	site, created, err := s.engine.PutSite(ctx, site, x.caller())
	if err != nil {
		return reply{}, err
	}
	return reply{status: createdOr200(created), body: viewSite(site, x.grant)}, nil
}

func createdOr200(created bool) int {
	if created {
		return fasthttp.StatusCreated
	}
	return fasthttp.StatusOK
}

// decodeSite reads a site. Without a location, the engine places it by its postcode.
func (x *exchange) decodeSite() (allocator.Site, error) {
	id := allocator.SiteID(x.param("siteId"))
	x.query()
	if !id.Valid() || onlyDots(id) {
		x.input().fault("/path/siteId", "must be 1 to 64 letters, digits, '-', '_' or '.', and not . or ..")
	}
	d, o := x.document(required)
	o.same("siteId", string(id))
	o.only("siteId", "name", "type", "address", "location", "timeZone", "odsCode", "region", "icb", "phone", "accessibilities",
		"informationForCitizens", "status", "publisher")
	address, location := o.child("address", optional), o.child("location", optional)
	address.only("lines", "postcode")
	location.only("lat", "lon")
	site := allocator.Site{
		ID: id, Name: o.text("name", required, allocator.MaxNameBytes), Type: o.text("type", optional, maxWordBytes),
		AddressLines: address.texts("lines", optional, maxAddressLines, allocator.MaxNameBytes),
		Postcode:     address.text("postcode", optional, maxPostcodeBytes),
		TimeZone:     o.text("timeZone", optional, maxWordBytes), ODSCode: o.text("odsCode", optional, maxWordBytes),
		Region: o.text("region", optional, maxWordBytes), ICB: o.text("icb", optional, maxWordBytes),
		Phone: o.text("phone", optional, maxWordBytes), Information: o.paragraphs("informationForCitizens", maxInformationBytes),
		Accessibilities: o.texts("accessibilities", optional, maxAccessibilities, maxWordBytes),
		Offline:         o.choice("status", optional, "online", "offline") == "offline",
		Publisher:       o.text("publisher", optional, maxPublisherBytes),
	}
	if x.grant.bound() && site.Publisher != "" && site.Publisher != x.grant.organisation {
		d.fault("/publisher", "is not the organisation that the token is for")
	}
	if o.has("location") {
		site.Lat, site.Lon = location.number("lat", required, -90, 90), location.number("lon", required, -180, 180)
	}
	if site.TimeZone == "" {
		site.TimeZone = defaultZone
	} else if _, err := time.LoadLocation(site.TimeZone); err != nil || site.TimeZone == "Local" {
		d.fault("/timeZone", "is not the name of an IANA time zone")
	}
	return site, d.fail()
}

func (s *Server) listServices(ctx context.Context, x *exchange) (reply, error) {
	if err := x.noQuery(); err != nil {
		return reply{}, err
	}
	services, err := s.engine.Services(ctx)
	if err != nil {
		return reply{}, err
	}
	views := make([]serviceView, len(services))
	for i, v := range services {
		views[i] = viewService(v)
	}
	return reply{public: servicesPublic, body: map[string]any{"services": views}}, nil
}

func viewService(v allocator.Service) serviceView {
	view := serviceView{
		Service: v.Code, Name: v.Name, Programme: v.Programme, Dose: v.Dose, OnePerPerson: v.OnePerPerson,
		MinLeadHours: v.MinLeadHours, WindowDays: v.WindowDays, Eligibility: eligibilityView(v.Eligibility),
	}
	if v.BookingOpens != 0 {
		view.BookingOpens = instant(time.UnixMilli(v.BookingOpens).UTC())
	}
	if v.FirstDate != 0 {
		view.FirstDate = v.FirstDate.String()
	}
	if v.LastDate != 0 {
		view.LastDate = v.LastDate.String()
	}
	return view
}

func (s *Server) putService(ctx context.Context, x *exchange) (reply, error) {
	service, err := x.decodeService()
	if err != nil {
		return reply{}, err
	}
	service, created, err := s.engine.PutService(ctx, service, x.caller())
	if err != nil {
		return reply{}, err
	}
	return reply{status: createdOr200(created), body: viewService(service)}, nil
}

// decodeService reads a service; fields that are left out have the defaults of an unknown service.
func (x *exchange) decodeService() (allocator.Service, error) {
	code := allocator.ServiceCode(x.param("service"))
	x.query()
	if !code.Valid() {
		x.input().fault("/path/service", "must be 1 to 40 letters, digits, or one of : _ + . -")
	}
	d, o := x.document(required)
	o.same("service", string(code))
	o.only("service", "name", "programme", "dose", "onePerPerson", "bookingOpens", "firstDate", "lastDate", "minLeadHours", "windowDays", "eligibility")
	v := allocator.DefaultService(code)
	if name := o.text("name", optional, allocator.MaxNameBytes); name != "" {
		v.Name = name
	}
	if programme := o.text("programme", optional, maxWordBytes); programme != "" {
		v.Programme = programme
	}
	v.Dose = o.integer("dose", optional, 1, 99, v.Dose)
	v.OnePerPerson = o.boolean("onePerPerson", v.OnePerPerson)
	if opens, ok := o.instant("bookingOpens", optional, time.Second); ok {
		v.BookingOpens = opens.UnixMilli()
	}
	v.FirstDate, _ = o.date("firstDate", optional)
	v.LastDate, _ = o.date("lastDate", optional)
	if v.FirstDate != 0 && v.LastDate != 0 && v.LastDate < v.FirstDate {
		d.fault("/lastDate", "lies before firstDate")
	}
	v.MinLeadHours = o.integer("minLeadHours", optional, 0, 24*allocator.MaxHorizonDays, v.MinLeadHours)
	v.WindowDays = o.integer("windowDays", optional, 1, allocator.MaxHorizonDays, v.WindowDays)
	ages := o.child("eligibility", optional)
	ages.only("minAge", "maxAge")
	v.Eligibility = allocator.Eligibility{
		MinAge: ages.integer("minAge", optional, 0, 150, 0), MaxAge: ages.integer("maxAge", optional, 0, 150, 0),
	}
	if v.Eligibility.MaxAge != 0 && v.Eligibility.MaxAge < v.Eligibility.MinAge {
		d.fault("/eligibility/maxAge", "is below minAge")
	}
	return v, d.fail()
}
