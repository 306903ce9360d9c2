package linksimport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"muster/allocator"
	"muster/publicweb"
)

// text is a list of texts; a single one in its place is taken too.
type texts struct {
	list  []string
	plain bool
}

func (t *texts) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		t.plain, t.list = true, make([]string, 1)
		return json.Unmarshal(b, &t.list[0])
	}
	return json.Unmarshal(b, &t.list)
}

// number is a number; one in quotes is taken too.
type number struct {
	value  float64
	given  bool
	quoted bool
}

func (n *number) UnmarshalJSON(b []byte) (err error) {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	plain := bytes.Trim(b, `"`)
	n.given, n.quoted = true, len(plain) < len(b)
	if n.value, err = strconv.ParseFloat(strings.TrimSpace(string(plain)), 64); err != nil || math.IsNaN(n.value) || math.IsInf(n.value, 0) {
		return fmt.Errorf("%.40q is not a number", b)
	}
	return nil
}

func (r *run) number(n number) float64 {
	if n.quoted {
		r.tolerate("number-in-quotes")
	}
	return n.value
}

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display"`
}

type reference struct {
	Reference string `json:"reference"`
}

// resource is what is read of a line, of whatever kind.
type resource struct {
	Kind       string `json:"resourceType"`
	ID         string `json:"id"`
	Status     string `json:"status"`
	Identifier []struct{ System, Value string }
	Extension  []struct {
		URL    string `json:"url"`
		Number number `json:"valueInteger"`
	} `json:"extension"`

	Name        string                           `json:"name"`
	Description string                           `json:"description"`
	Telecom     []struct{ System, Value string } `json:"telecom"`
	Address     struct {
		Line       texts  `json:"line"`
		City       string `json:"city"`
		State      string `json:"state"`
		PostalCode string `json:"postalCode"`
	} `json:"address"`
	Position *struct {
		Latitude  number `json:"latitude"`
		Longitude number `json:"longitude"`
	} `json:"position"`

	Actor       []reference `json:"actor"`
	ServiceType []struct {
		Coding []coding `json:"coding"`
	} `json:"serviceType"`

	Schedule reference `json:"schedule"`
	Start    string    `json:"start"`
	End      string    `json:"end"`
}

// read decodes a line of one kind.
func read(line []byte, kind string) (*resource, error) {
	var v resource
	if err := json.Unmarshal(line, &v); err != nil {
		return nil, fmt.Errorf("is not a %s: %w", kind, err)
	}
	if v.Kind != kind {
		return nil, fmt.Errorf("is a %.40q, not a %s", v.Kind, kind)
	}
	if v.ID == "" && kind != "Slot" {
		return nil, errors.New("has no id")
	}
	return &v, nil
}

// clean takes what people should not see out of a text, and cuts it to what a ledger takes.
func (r *run) clean(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)), " ")
	if len(text) > allocator.MaxNameBytes {
		r.tolerate("text-cut")
		text = strings.ToValidUTF8(text[:allocator.MaxNameBytes], "")
	}
	return text
}

const odsCodes = "https://fhir.nhs.uk/Id/ods-organization-code"

// location takes a site in.
func (r *run) location(ctx context.Context, line []byte) error {
	v, err := read(line, "Location")
	if err != nil {
		return err
	}
	if _, known := r.sites[v.ID]; known {
		r.tolerate("location-twice")
		return nil
	}
	if len(r.sites) >= r.Limits.Names {
		return &fatal{publicweb.Refuse("more than %d locations", r.Limits.Names)}
	}
	r.sites[v.ID] = -1
	r.report.Locations++
	site := allocator.Site{
		ID: siteID(r.Publisher, v.ID), Name: r.clean(v.Name), Postcode: strings.ToUpper(r.clean(v.Address.PostalCode)), TimeZone: r.zone.String(),
		Region: r.clean(v.Address.State), Information: r.clean(v.Description), Publisher: r.Publisher, Offline: v.Status == "suspended" || v.Status == "inactive",
	}
	if v.Address.Line.plain {
		r.tolerate("address-line-not-in-a-list")
	}
	for _, text := range append(slices.Clone(v.Address.Line.list), v.Address.City) {
		if text = r.clean(text); text != "" && text != site.Name {
			site.AddressLines = append(site.AddressLines, text)
		}
	}
	for _, t := range v.Telecom {
		if t.System == "phone" && site.Phone == "" {
			site.Phone = r.clean(t.Value)
		}
	}
	for _, i := range v.Identifier {
		if i.System == odsCodes {
			site.ODSCode = r.clean(i.Value)
		}
	}
	if site.Name == "" {
		return errors.New("has no name")
	}
	if err := r.place(&site, v); err != nil {
		return err
	}
	r.sites[v.ID] = int32(len(r.siteIDs))
	r.siteIDs, r.perSite = append(r.siteIDs, site.ID), append(r.perSite, 0)
	return r.addSite(ctx, site)
}

// place finds where a site is: as given, or by its postcode.
func (r *run) place(site *allocator.Site, v *resource) error {
	canonical, lat, lon, _, known := r.Postcodes.Locate(site.Postcode)
	if p := v.Position; p != nil && p.Latitude.given && p.Longitude.given {
		site.Lat, site.Lon = r.number(p.Latitude), r.number(p.Longitude)
		if math.Abs(site.Lat) <= 90 && math.Abs(site.Lon) <= 180 && (site.Lat != 0 || site.Lon != 0) {
			return nil
		}
	}
	if !known {
		return fmt.Errorf("has no position on the earth, and postcode %.20q is not known", site.Postcode)
	}
	r.tolerate("position-missing")
	site.Postcode, site.Lat, site.Lon = canonical, lat, lon
	return nil
}

// schedule takes a schedule in.
func (r *run) schedule(_ context.Context, line []byte) error {
	v, err := read(line, "Schedule")
	if err != nil {
		return err
	}
	if _, known := r.schedules[v.ID]; known {
		r.tolerate("schedule-twice")
		return nil
	}
	if len(r.schedules) >= r.Limits.Names {
		return &fatal{publicweb.Refuse("more than %d schedules", r.Limits.Names)}
	}
	r.schedules[v.ID] = -1
	r.report.Schedules++
	s := scheduled{site: -1}
	for _, actor := range v.Actor {
		if id, ok := r.refer(actor.Reference, "Location"); ok {
			if at, known := r.sites[id]; known {
				s.site = at
			}
		}
	}
	if s.site < 0 {
		return errors.New("names no location that was read")
	}
	if s.service, err = r.serviceOf(v); err != nil {
		return err
	}
	r.schedules[v.ID] = int32(len(r.services))
	r.services = append(r.services, s)
	return nil
}

// refer reads a reference to a resource: Kind/id, the same after an address, or only the id.
func (r *run) refer(text, kind string) (id string, ok bool) {
	if id, ok = strings.CutPrefix(text, kind+"/"); ok {
		return id, true
	}
	if at := strings.LastIndex(text, "/"+kind+"/"); at >= 0 {
		r.tolerate("reference-with-address")
		return text[at+len(kind)+2:], true
	}
	if text != "" && !strings.Contains(text, "/") {
		r.tolerate("reference-without-kind")
		return text, true
	}
	return "", false
}

// serviceOf finds what a schedule is for: a code of a server like this one, else the last code that is a word, else what
// people read.
func (r *run) serviceOf(v *resource) (allocator.ServiceCode, error) {
	code := r.Service
	for _, t := range v.ServiceType {
		for _, c := range t.Coding {
			switch {
			case r.Service != "":
			case strings.HasSuffix(c.System, "/v1/services") && allocator.ServiceCode(c.Code).Valid():
				return r.interned(allocator.ServiceCode(c.Code)), nil
			case strings.ContainsFunc(c.Code, unicode.IsLetter):
				code = wordOf(c.Code)
			case c.Display != "":
				code = wordOf(c.Display)
			}
		}
	}
	if !code.Valid() {
		return "", errors.New("does not say in a code what it is for (--service names one for all)")
	}
	return r.interned(code), nil
}

// wordOf makes a service code of a text.
func wordOf(text string) allocator.ServiceCode {
	word := strings.Map(func(c rune) rune {
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune(":_+.-", c)) {
			return c
		}
		return '_'
	}, strings.TrimSpace(text))
	return allocator.ServiceCode(word[:min(len(word), 40)])
}

func (r *run) interned(code allocator.ServiceCode) allocator.ServiceCode {
	if known, ok := r.codes[code]; ok {
		return known
	}
	r.codes[code] = code
	return code
}

// instantForms are the ways in which publishers write instants besides RFC 3339, with the names of what is wrong with them.
var instantForms = []struct{ form, name string }{
	{time.RFC3339, ""},
	{"2006-01-02T15:04:05Z07", "offset-without-minutes"},
	{"2006-01-02T15:04:05Z0700", "offset-without-colon"},
	{"2006-01-02T15:04Z07:00", "time-without-seconds"},
	{"2006-01-02T15:04:05", "time-without-offset"},
}

// instant reads when a slot starts or ends. A time without an offset is taken for the site's own.
func (r *run) instant(text string) (allocator.Minute, error) {
	for _, f := range instantForms {
		at, err := time.ParseInLocation(f.form, text, r.zone)
		if err != nil {
			continue
		}
		if f.name != "" {
			r.tolerate(f.name)
		}
		if at.Second() != 0 || at.Nanosecond() != 0 {
			return 0, fmt.Errorf("%.40q is not on a full minute", text)
		}
		if at.Year() < 1970 || at.Year() > 9999 {
			return 0, fmt.Errorf("%.40q is not of our time", text)
		}
		return allocator.MinuteOf(at), nil
	}
	return 0, fmt.Errorf("%.40q is not an instant", text)
}
