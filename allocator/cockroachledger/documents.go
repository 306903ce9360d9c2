package cockroachledger

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// siteDocument is the stored form of a site's details. Id, generation and version have columns of their own, so that
// nothing in the document can disagree with them.
type siteDocument struct {
	ID              allocator.SiteID `json:"id"`
	Name            string           `json:"name"`
	Type            string           `json:"type,omitempty"`
	AddressLines    []string         `json:"addressLines,omitempty"`
	Postcode        string           `json:"postcode,omitempty"`
	Lat             float64          `json:"lat"`
	Lon             float64          `json:"lon"`
	TimeZone        string           `json:"timeZone"`
	ODSCode         string           `json:"odsCode,omitempty"`
	Region          string           `json:"region,omitempty"`
	ICB             string           `json:"icb,omitempty"`
	Phone           string           `json:"phone,omitempty"`
	Accessibilities []string         `json:"accessibilities,omitempty"`
	Information     string           `json:"information,omitempty"`
	Offline         bool             `json:"offline,omitempty"`
	Publisher       string           `json:"publisher,omitempty"`
}

func encodeSite(s allocator.Site) string {
	return encode(siteDocument{
		ID: s.ID, Name: s.Name, Type: s.Type, AddressLines: s.AddressLines, Postcode: s.Postcode, Lat: s.Lat, Lon: s.Lon,
		TimeZone: s.TimeZone, ODSCode: s.ODSCode, Region: s.Region, ICB: s.ICB, Phone: s.Phone,
		Accessibilities: s.Accessibilities, Information: s.Information, Offline: s.Offline, Publisher: s.Publisher,
	})
}

func scanSite(row pgx.CollectableRow) (allocator.Site, error) {
	var generation, version int64
	var details string
	if err := row.Scan(&generation, &version, &details); err != nil {
		return allocator.Site{}, err
	}
	var d siteDocument
	if err := json.Unmarshal([]byte(details), &d); err != nil {
		return allocator.Site{}, fmt.Errorf("stored site: %w", err)
	}
	return allocator.Site{
		ID: d.ID, Name: d.Name, Type: d.Type, AddressLines: d.AddressLines, Postcode: d.Postcode, Lat: d.Lat, Lon: d.Lon,
		TimeZone: d.TimeZone, ODSCode: d.ODSCode, Region: d.Region, ICB: d.ICB, Phone: d.Phone,
		Accessibilities: d.Accessibilities, Information: d.Information, Offline: d.Offline, Publisher: d.Publisher,
		Generation: generation, Version: version,
	}, nil
}

// serviceDocument is the stored form of a service.
type serviceDocument struct {
	Code         allocator.ServiceCode `json:"code"`
	Name         string                `json:"name"`
	Programme    string                `json:"programme"`
	Dose         int                   `json:"dose"`
	OnePerPerson bool                  `json:"onePerPerson"`
	BookingOpens int64                 `json:"bookingOpens,omitempty"`
	FirstDate    allocator.Date        `json:"firstDate,omitempty"`
	LastDate     allocator.Date        `json:"lastDate,omitempty"`
	MinLeadHours int                   `json:"minLeadHours,omitempty"`
	WindowDays   int                   `json:"windowDays"`
	MinAge       int                   `json:"minAge,omitempty"`
	MaxAge       int                   `json:"maxAge,omitempty"`
}

func encodeService(s allocator.Service) string {
	return encode(serviceDocument{
		Code: s.Code, Name: s.Name, Programme: s.Programme, Dose: s.Dose, OnePerPerson: s.OnePerPerson,
		BookingOpens: s.BookingOpens, FirstDate: s.FirstDate, LastDate: s.LastDate, MinLeadHours: s.MinLeadHours,
		WindowDays: s.WindowDays, MinAge: s.Eligibility.MinAge, MaxAge: s.Eligibility.MaxAge,
	})
}

func scanService(row pgx.CollectableRow) (allocator.Service, error) {
	var version int64
	var details string
	if err := row.Scan(&version, &details); err != nil {
		return allocator.Service{}, err
	}
	var d serviceDocument
	if err := json.Unmarshal([]byte(details), &d); err != nil {
		return allocator.Service{}, fmt.Errorf("stored service: %w", err)
	}
	return allocator.Service{
		Code: d.Code, Name: d.Name, Programme: d.Programme, Dose: d.Dose, OnePerPerson: d.OnePerPerson,
		BookingOpens: d.BookingOpens, FirstDate: d.FirstDate, LastDate: d.LastDate, MinLeadHours: d.MinLeadHours,
		WindowDays: d.WindowDays, Eligibility: allocator.Eligibility{MinAge: d.MinAge, MaxAge: d.MaxAge}, Version: version,
	}, nil
}

func encode(document any) string {
	out, err := json.Marshal(document)
	if err != nil {
		panic(fmt.Sprintf("documents are plain data: %v", err))
	}
	return string(out)
}

// scanDay reads site, date, revision, sessions and, where asked for, when the day changed.
func scanDay(row pgx.Row, changed ...*time.Time) (day allocator.Day, err error) {
	var date int32
	var sessions string
	targets := []any{&day.Site, &date, &day.Revision, &sessions}
	for _, c := range changed {
		targets = append(targets, c)
	}
	if err := row.Scan(targets...); err != nil {
		return allocator.Day{}, err
	}
	day.Date = allocator.Date(date)
	day.Sessions, err = allocator.DecodeSessions([]byte(sessions))
	return day, err
}
