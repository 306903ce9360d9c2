package api

import (
	"context"

	"muster/allocator"
	"muster/api/worklist"
)

// The forms of a site's day.
const (
	formJSON   = "json"
	formCSV    = "csv"
	formPage   = "html"
	formSigned = "signed"
)

// listDayBookings answers a site's day: for programs, for spreadsheets, for paper, and signed for when no server answers.
func (s *Server) listDayBookings(ctx context.Context, x *exchange) (reply, error) {
	site, date, err := x.siteDate()
	if err != nil {
		return reply{}, err
	}
	form := x.query("format").choice("format", formJSON, formCSV, formPage, formSigned)
	if err := x.input().fail(); err != nil {
		return reply{}, err
	}
	bookings, err := s.engine.DayBookings(ctx, site, date)
	if err != nil {
		return reply{}, err
	}
	views := make([]bookingView, len(bookings))
	for i := range bookings {
		views[i] = s.viewBooking(&bookings[i], seesPerson)
	}
	if form == formJSON {
		return reply{body: &bookingsView{views}}, nil
	}
	details, err := s.engine.Site(ctx, site)
	if err != nil {
		return reply{}, err
	}
	return s.writeDay(x, s.worklistOf(&details, date, views), form)
}

// worklistOf is true as of now at the latest: the ledger was asked a moment ago.
func (s *Server) worklistOf(site *allocator.Site, date allocator.Date, views []bookingView) *worklist.Day {
	d := &worklist.Day{
		SiteID: string(site.ID), SiteName: site.Name, Date: date.String(), TimeZone: site.TimeZone, AsOf: s.options.Now().UTC(),
		Rows: make([]worklist.Row, len(views)),
	}
	for i := range views {
		v := &views[i]
		r := worklist.Row{
			Start: v.Start, Length: int(v.Length), Service: string(v.Service), Reference: v.Reference, Status: string(v.Status), Unsupported: v.Unsupported,
		}
		if p := v.Person; p != nil {
			r.GivenName, r.FamilyName, r.DateOfBirth, r.NHSNumber = p.GivenName, p.FamilyName, p.DateOfBirth, p.NHSNumber
			if c := p.Contact; c != nil {
				r.Email, r.Phone, r.Landline = c.Email, c.Phone, c.Landline
			}
		}
		d.Rows[i] = r
	}
	return d
}

func (s *Server) writeDay(x *exchange, d *worklist.Day, form string) (r reply, err error) {
	h := &x.http.Response.Header
	switch form {
	case formCSV:
		h.Set("Content-Disposition", `attachment; filename="`+d.FileName("csv")+`"`)
		return reply{content: d.CSV(), contentType: "text/csv; charset=utf-8; header=present"}, nil
	case formPage:
		h.Set("Content-Security-Policy", worklist.PagePolicy)
		r.content, err = d.Page(s.zones.find(d.TimeZone))
		r.contentType = "text/html; charset=utf-8"
		return r, err
	}
	if len(s.options.WorklistKeys) == 0 {
		return r, allocator.Refuse(allocator.CodeInvalid, "this server has no key to sign with")
	}
	h.Set("Content-Disposition", `attachment; filename="`+d.FileName("jws")+`"`)
	r.content, err = worklist.Sign(s.options.WorklistKeys[0], d)
	r.contentType = "application/jose"
	return r, err
}

// getWorklistKeys answers the public keys by which signed worklists are checked: to be kept beside them.
func (s *Server) getWorklistKeys(_ context.Context, x *exchange) (reply, error) {
	if err := x.noQuery(); err != nil {
		return reply{}, err
	}
	return reply{body: worklist.Keys(s.options.WorklistKeys...)}, nil
}
