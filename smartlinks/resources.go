package smartlinks

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muster/allocator"
)

// The vocabulary. The text of 2021 and HL7's edition name the same extensions by other URLs.
const (
	text2021       = "http://fhir-registry.smarthealthit.org/StructureDefinition/"
	editionHL7     = "http://hl7.org/fhir/uv/smart-scheduling-links/StructureDefinition/"
	lastSourceSync = "http://hl7.org/fhir/StructureDefinition/lastSourceSync"
	absentReason   = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
	serviceTypes   = "http://terminology.hl7.org/CodeSystem/service-type"
	types2021      = "http://fhir-registry.smarthealthit.org/CodeSystem/service-type"
	odsCodes       = "https://fhir.nhs.uk/Id/ods-organization-code"

	// ServicesPath and SitesPath, after the base URL, are the systems of service codes and of site ids.
	ServicesPath = "/v1/services"
	SitesPath    = "/v1/sites"
)

var lowerHex = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// shortHash is a name for some texts that nothing else has: 100 bits.
func shortHash(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return lowerHex.EncodeToString(sum[:])[:20]
}

// locationID is the site's id where FHIR allows it (letters, digits, '-' and '.'), and else made from it.
func locationID(site allocator.SiteID) string {
	if strings.Contains(string(site), "_") {
		return "site-" + shortHash(string(site))
	}
	return string(site)
}

func scheduleID(site allocator.SiteID, service allocator.ServiceCode) string {
	return shortHash(string(site), string(service))
}

// quoted writes a text as JSON.
func quoted(text string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string and a buffer cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type concept struct {
	Coding []coding `json:"coding"`
}

type identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

type extra struct {
	URL      string  `json:"url"`
	DateTime string  `json:"valueDateTime,omitempty"`
	Link     string  `json:"valueUrl,omitempty"`
	Text     string  `json:"valueString,omitempty"`
	Code     string  `json:"valueCode,omitempty"`
	Coding   *coding `json:"valueCoding,omitempty"`
	Number   *int    `json:"valueInteger,omitempty"`
}

type extended struct {
	Extension []extra `json:"extension"`
}

// absent stands in place of an element that FHIR wants and nobody knows.
var absent = &extended{[]extra{{URL: absentReason, Code: "unknown"}}}

type telecom struct {
	System string    `json:"system"`
	Value  string    `json:"value,omitempty"`
	Absent *extended `json:"_value,omitempty"`
}

type address struct {
	Line        []string  `json:"line"`
	City        string    `json:"city,omitempty"`
	CityAbsent  *extended `json:"_city,omitempty"`
	State       string    `json:"state,omitempty"`
	StateAbsent *extended `json:"_state,omitempty"`
	PostalCode  string    `json:"postalCode,omitempty"`
	CodeAbsent  *extended `json:"_postalCode,omitempty"`
}

type position struct {
	Longitude float64 `json:"longitude"`
	Latitude  float64 `json:"latitude"`
}

type location struct {
	Kind        string       `json:"resourceType"`
	ID          string       `json:"id"`
	Meta        extended     `json:"meta"`
	Identifier  []identifier `json:"identifier"`
	Status      string       `json:"status"`
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Telecom     []telecom    `json:"telecom"`
	Address     address      `json:"address"`
	Position    *position    `json:"position,omitempty"`
}

// appendLocation writes a site's line.
func appendLocation(b []byte, base string, site *allocator.Site, asOf string) ([]byte, error) {
	l := location{
		Kind: locations, ID: locationID(site.ID), Meta: extended{[]extra{{URL: lastSourceSync, DateTime: asOf}}},
		Identifier: []identifier{{base + SitesPath, string(site.ID)}}, Status: "active", Name: site.Name, Description: site.Information,
		Telecom: []telecom{{System: "phone", Value: site.Phone}}, Address: addressOf(site), Position: &position{site.Lon, site.Lat},
	}
	if site.ODSCode != "" {
		l.Identifier = append(l.Identifier, identifier{odsCodes, site.ODSCode})
	}
	if site.Offline {
		l.Status = "suspended"
	}
	if site.Phone == "" {
		l.Telecom[0].Absent = absent
	}
	line, err := json.Marshal(&l)
	return append(append(b, line...), '\n'), err
}

// addressOf takes the last of several lines for the town: sites have none of their own.
func addressOf(site *allocator.Site) address {
	a := address{Line: site.AddressLines, State: site.Region, PostalCode: site.Postcode}
	if n := len(a.Line); n > 1 {
		a.Line, a.City = a.Line[:n-1], a.Line[n-1]
	}
	if len(a.Line) == 0 {
		a.Line = []string{site.Name}
	}
	if a.City == "" {
		a.CityAbsent = absent
	}
	if a.State == "" {
		a.StateAbsent = absent
	}
	if a.PostalCode == "" {
		a.CodeAbsent = absent
	}
	return a
}

type reference struct {
	Reference string `json:"reference"`
	Display   string `json:"display,omitempty"`
}

type schedule struct {
	ID          string      `json:"id"`
	Active      bool        `json:"active"`
	ServiceType []concept   `json:"serviceType"`
	Actor       []reference `json:"actor"`
	Extension   []extra     `json:"extension"`
}

// appendSchedule writes what follows the beginning of a schedule's line (see scheduleLine).
func appendSchedule(b []byte, base string, o *allocator.Offering, service *allocator.Service, availability string) []byte {
	types := []coding{{serviceTypes, "57", "Immunization"}}
	if strings.HasPrefix(strings.ToUpper(service.Programme), "COVID") {
		types = append(types, coding{types2021, "covid19-immunization", "COVID-19 Immunization Appointment"})
	}
	types = append(types, coding{base + ServicesPath, string(service.Code), service.Name})
	s := schedule{
		ID: scheduleID(o.Site.ID, service.Code), Active: true, ServiceType: []concept{{types}},
		Actor: []reference{{locations + "/" + locationID(o.Site.ID), o.Site.Name}},
		Extension: []extra{
			{URL: text2021 + "has-availability", Code: availability},
			{URL: text2021 + "vaccine-product", Coding: &coding{System: base + ServicesPath + "#programme", Code: service.Programme}},
		},
	}
	if service.Dose > 0 {
		s.Extension = append(s.Extension, extra{URL: text2021 + "vaccine-dose", Number: &service.Dose})
	}
	line, err := json.Marshal(&s)
	if err != nil {
		panic(err) // texts and numbers always marshal
	}
	return append(append(b, line[1:]...), '\n')
}

// scheduleLine is how a schedule's line begins: with what is not the same in every edition.
func scheduleLine(asOf string) string {
	meta, err := json.Marshal(extended{[]extra{{URL: lastSourceSync, DateTime: asOf}}})
	if err != nil {
		panic(err)
	}
	return `{"resourceType":"` + schedules + `","meta":` + string(meta) + `,`
}

// slotWriter writes the lines of one schedule's slots. There are millions of them, which differ in few places.
type slotWriter struct {
	begin, reference, capacity, link, hl7, phone string
	page                                         string // where a slot is booked, up to its start, escaped
	zone                                         *time.Location
}

func newSlotWriter(base string, o *allocator.Offering, service *allocator.Service) *slotWriter {
	id := scheduleID(o.Site.ID, service.Code)
	page := quoted(base + "/book?" + url.Values{"site": {string(o.Site.ID)}, "service": {string(service.Code)}}.Encode() + "&start=")
	w := &slotWriter{
		begin:     `{"resourceType":"` + slots + `","id":"` + id + `-`,
		reference: `","schedule":{"reference":"` + schedules + `/` + id + `"},"status":"`,
		capacity:  `","extension":[{"url":"` + text2021 + `slot-capacity","valueInteger":`,
		link:      `},{"url":"` + text2021 + `booking-deep-link","valueUrl":`,
		hl7:       `"},{"url":"` + editionHL7 + `booking-deep-link","valueUrl":`,
		phone:     `"}`,
		page:      strings.TrimSuffix(page, `"`),
		zone:      o.Zone,
	}
	if o.Site.Phone != "" {
		for _, vocabulary := range []string{text2021, editionHL7} {
			w.phone += `,{"url":"` + vocabulary + `booking-phone","valueString":` + quoted(o.Site.Phone) + `}`
		}
	}
	w.phone += "]}\n"
	return w
}

func (w *slotWriter) append(b []byte, s allocator.SlotOffering) []byte {
	start := s.Start.Time().In(w.zone)
	b = strconv.AppendInt(append(b, w.begin...), int64(s.Start), 36)
	b = strconv.AppendInt(append(b, '-'), int64(s.Length), 10)
	status, places := "free", s.Free
	if s.Free == 0 {
		status, places = "busy", s.Places
	}
	b = append(append(append(b, w.reference...), status...), `","start":"`...)
	b = append(start.AppendFormat(b, time.RFC3339), `","end":"`...)
	b = start.Add(time.Duration(s.Length)*time.Minute).AppendFormat(b, time.RFC3339)
	b = strconv.AppendInt(append(b, w.capacity...), int64(places), 10)
	for _, link := range [...]string{w.link, w.hl7} {
		b = append(b, link...)
		b = append(s.Start.Time().AppendFormat(append(b, w.page...), "2006-01-02T15"), "%3A"...)
		b = append(s.Start.Time().AppendFormat(b, "04"), "%3A00Z"...)
	}
	return append(b, w.phone...)
}
