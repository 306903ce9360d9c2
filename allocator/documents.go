package allocator

import (
	"encoding/json"
	"fmt"
)

// sessionDocument is the form in which a day's sessions are stored.
type sessionDocument struct {
	ID         string          `json:"id,omitempty"`
	From       string          `json:"from"`
	Until      string          `json:"until"`
	SlotLength int             `json:"slotLength"`
	Capacity   int             `json:"capacity"`
	Services   []ServiceCode   `json:"services"`
	Breaks     []breakDocument `json:"breaks,omitempty"`
	Stopped    bool            `json:"stopped,omitempty"`
	Invited    bool            `json:"invited,omitempty"`
	Kept       []KeptPlaces    `json:"kept,omitempty"`
	Suspended  []ServiceCode   `json:"suspended,omitempty"`

	Maximum      int    `json:"maximum,omitempty"`
	MaximumGroup string `json:"maximumGroup,omitempty"`
}

type breakDocument struct {
	From  string `json:"from"`
	Until string `json:"until"`
}

// EncodeSessions writes sessions as the JSON that ledgers store.
func EncodeSessions(sessions []Session) []byte {
	docs := make([]sessionDocument, len(sessions))
	for i, s := range sessions {
		docs[i] = sessionDocument{
			ID: s.ID, From: s.From.String(), Until: s.Until.String(), SlotLength: s.SlotLength, Capacity: s.Capacity,
			Services: s.Services, Stopped: s.Stopped, Invited: s.Invited, Kept: s.Kept, Suspended: s.Suspended,
			Maximum: s.Maximum, MaximumGroup: s.MaximumGroup,
		}
		for _, b := range s.Breaks {
			docs[i].Breaks = append(docs[i].Breaks, breakDocument{b.From.String(), b.Until.String()})
		}
	}
	return encodeDocument(docs)
}

// encodeDocument writes what is plain data.
func encodeDocument(document any) []byte {
	out, err := json.Marshal(document)
	if err != nil {
		panic(fmt.Sprintf("documents are plain data: %v", err))
	}
	return out
}

// DecodeSessions reads what EncodeSessions wrote.
func DecodeSessions(data []byte) ([]Session, error) {
	var docs []sessionDocument
	if err := json.Unmarshal(data, &docs); err != nil {
		return nil, fmt.Errorf("stored sessions: %w", err)
	}
	sessions := make([]Session, len(docs))
	for i, d := range docs {
		s := Session{
			ID: d.ID, SlotLength: d.SlotLength, Capacity: d.Capacity, Services: d.Services, Stopped: d.Stopped, Invited: d.Invited, Kept: d.Kept,
			Suspended: d.Suspended, Maximum: d.Maximum, MaximumGroup: d.MaximumGroup,
		}
		var err error
		if s.From, s.Until, err = timesOfDay(d.From, d.Until); err != nil {
			return nil, fmt.Errorf("stored session %d: %w", i, err)
		}
		for _, b := range d.Breaks {
			var pause Break
			if pause.From, pause.Until, err = timesOfDay(b.From, b.Until); err != nil {
				return nil, fmt.Errorf("stored session %d: %w", i, err)
			}
			s.Breaks = append(s.Breaks, pause)
		}
		sessions[i] = s
	}
	return sessions, nil
}

func timesOfDay(from, until string) (f, u TimeOfDay, err error) {
	if f, err = ParseTimeOfDay(from); err != nil {
		return 0, 0, err
	}
	u, err = ParseTimeOfDay(until)
	return f, u, err
}

// siteDocument is the form in which a site's details are stored. Generation and version have columns of their own, so that
// nothing in the document can disagree with them.
type siteDocument struct {
	ID              SiteID   `json:"id"`
	Name            string   `json:"name"`
	Type            string   `json:"type,omitempty"`
	AddressLines    []string `json:"addressLines,omitempty"`
	Postcode        string   `json:"postcode,omitempty"`
	Lat             float64  `json:"lat"`
	Lon             float64  `json:"lon"`
	TimeZone        string   `json:"timeZone"`
	ODSCode         string   `json:"odsCode,omitempty"`
	Region          string   `json:"region,omitempty"`
	ICB             string   `json:"icb,omitempty"`
	Phone           string   `json:"phone,omitempty"`
	Accessibilities []string `json:"accessibilities,omitempty"`
	Information     string   `json:"information,omitempty"`
	Offline         bool     `json:"offline,omitempty"`
	Publisher       string   `json:"publisher,omitempty"`

	Suspended []suspensionDocument `json:"suspended,omitempty"`
}

type suspensionDocument struct {
	Service ServiceCode `json:"service"`
	Until   Date        `json:"until,omitempty"`
	Reason  string      `json:"reason,omitempty"`
}

// EncodeSite writes a site's details as the JSON that ledgers store, without generation and version.
func EncodeSite(s *Site) []byte {
	var suspended []suspensionDocument
	for _, u := range s.Suspended {
		suspended = append(suspended, suspensionDocument(u))
	}
	return encodeDocument(siteDocument{
		s.ID, s.Name, s.Type, s.AddressLines, s.Postcode, s.Lat, s.Lon, s.TimeZone, s.ODSCode, s.Region, s.ICB, s.Phone,
		s.Accessibilities, s.Information, s.Offline, s.Publisher, suspended,
	})
}

// DecodeSite reads what EncodeSite wrote.
func DecodeSite(data []byte) (Site, error) {
	var d siteDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return Site{}, fmt.Errorf("stored site: %w", err)
	}
	var suspended []Suspension
	for _, u := range d.Suspended {
		suspended = append(suspended, Suspension(u))
	}
	return Site{
		ID: d.ID, Name: d.Name, Type: d.Type, AddressLines: d.AddressLines, Postcode: d.Postcode, Lat: d.Lat, Lon: d.Lon,
		TimeZone: d.TimeZone, ODSCode: d.ODSCode, Region: d.Region, ICB: d.ICB, Phone: d.Phone,
		Accessibilities: d.Accessibilities, Information: d.Information, Offline: d.Offline, Publisher: d.Publisher,
		Suspended: suspended,
	}, nil
}

// serviceDocument is the form in which a service is stored.
type serviceDocument struct {
	Code         ServiceCode `json:"code"`
	Name         string      `json:"name"`
	Programme    string      `json:"programme"`
	Dose         int         `json:"dose"`
	OnePerPerson bool        `json:"onePerPerson"`
	BookingOpens int64       `json:"bookingOpens,omitempty"`
	FirstDate    Date        `json:"firstDate,omitempty"`
	LastDate     Date        `json:"lastDate,omitempty"`
	MinLeadHours int         `json:"minLeadHours,omitempty"`
	WindowDays   int         `json:"windowDays"`
	MinAge       int         `json:"minAge,omitempty"`
	MaxAge       int         `json:"maxAge,omitempty"`
}

// EncodeService writes a service as the JSON that ledgers store, without its version.
func EncodeService(s *Service) []byte {
	return encodeDocument(serviceDocument{
		s.Code, s.Name, s.Programme, s.Dose, s.OnePerPerson, s.BookingOpens, s.FirstDate, s.LastDate, s.MinLeadHours,
		s.WindowDays, s.Eligibility.MinAge, s.Eligibility.MaxAge,
	})
}

// DecodeService reads what EncodeService wrote.
func DecodeService(data []byte) (Service, error) {
	var d serviceDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return Service{}, fmt.Errorf("stored service: %w", err)
	}
	return Service{
		Code: d.Code, Name: d.Name, Programme: d.Programme, Dose: d.Dose, OnePerPerson: d.OnePerPerson, BookingOpens: d.BookingOpens,
		FirstDate: d.FirstDate, LastDate: d.LastDate, MinLeadHours: d.MinLeadHours, WindowDays: d.WindowDays,
		Eligibility: Eligibility{MinAge: d.MinAge, MaxAge: d.MaxAge},
	}, nil
}
