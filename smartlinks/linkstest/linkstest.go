// Package linkstest reads what is published as SMART Scheduling Links by the letter of the specification, the text of 2021
// and HL7's edition, and tells where it departs from them. It shares no code with what publishes or imports.
package linkstest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Published is what a publisher offers.
type Published struct {
	TransactionTime time.Time
	Files           []File
	Locations       map[string]Location
	Schedules       map[string]Schedule
	Slots           map[string]Slot
	Faults          []string // where it departs from the specification; at most 100
}

// File is a file that the manifest names.
type File struct{ Type, URL, ETag string }

// Location is a place.
type Location struct {
	Name, Postcode, Phone, SiteID, Status string
	Latitude, Longitude                   float64
}

// Schedule is a service at a place. Service is the code of a server like this one.
type Schedule struct{ Location, Service, Availability string }

// Slot is a time. Links are where it is booked, by either vocabulary.
type Slot struct {
	Schedule, Status string
	Start, End       time.Time
	Capacity         int
	Links            []string
}

// tree is a JSON object.
type tree = map[string]any

// Read gets the manifest and all files. An error is one of the network.
func Read(ctx context.Context, client *http.Client, manifest string) (*Published, error) {
	p := &Published{Locations: map[string]Location{}, Schedules: map[string]Schedule{}, Slots: map[string]Slot{}}
	body, header, err := get(ctx, client, manifest, "application/json")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	p.check(strings.HasPrefix(header.Get("Content-Type"), "application/json"), "the manifest's type is %q", header.Get("Content-Type"))
	p.check(strings.HasSuffix(strings.Split(manifest, "?")[0], "$bulk-publish"), "the manifest's URL does not end with $bulk-publish")
	p.check(strings.Contains(header.Get("Cache-Control"), "max-age="), "the manifest does not say when to come again")
	var m tree
	if err := json.NewDecoder(body).Decode(&m); err != nil {
		return nil, err
	}
	p.TransactionTime = p.instant("manifest", text(m, "transactionTime"))
	p.check(text(m, "request") == manifest, "the manifest names itself %q and is at %q", text(m, "request"), manifest)
	for _, o := range list(m, "output") {
		p.Files = append(p.Files, File{Type: text(o, "type"), URL: text(o, "url")})
	}
	for _, kind := range []string{"Location", "Schedule", "Slot"} {
		for i := range p.Files {
			if p.Files[i].Type != kind {
				continue
			}
			if err := p.file(ctx, client, &p.Files[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", p.Files[i].URL, err)
			}
		}
	}
	return p, nil
}

func get(ctx context.Context, client *http.Client, at, accept string) (io.ReadCloser, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, nil, fmt.Errorf("%s: %s", at, response.Status)
	}
	return response.Body, response.Header, nil
}

func (p *Published) file(ctx context.Context, client *http.Client, f *File) error {
	u, err := url.Parse(f.URL)
	p.check(err == nil && u.IsAbs(), "the file's URL %q is not a full one", f.URL)
	body, header, err := get(ctx, client, f.URL, "application/fhir+ndjson")
	if err != nil {
		return err
	}
	defer body.Close()
	f.ETag = header.Get("ETag")
	p.check(strings.HasPrefix(header.Get("Content-Type"), "application/fhir+ndjson"), "%s is %q", f.URL, header.Get("Content-Type"))
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		var v tree
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			p.check(false, "%s, line %d: %v", f.URL, number, err)
			continue
		}
		at := f.Type + " " + text(v, "id")
		p.check(text(v, "resourceType") == f.Type, "%s in a file of %s", text(v, "resourceType"), f.Type)
		p.check(identifiers.MatchString(text(v, "id")), "%s: the id is not one of FHIR", at)
		switch f.Type {
		case "Location":
			p.location(at, v)
		case "Schedule":
			p.schedule(at, v)
		case "Slot":
			p.slot(at, v)
		}
	}
	return lines.Err()
}

var identifiers = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)

func (p *Published) location(at string, v tree) {
	_, twice := p.Locations[text(v, "id")]
	p.check(!twice, "%s: twice", at)
	l := Location{Name: text(v, "name"), Status: text(v, "status")}
	p.check(l.Name != "", "%s has no name", at)
	phones := list(v, "telecom")
	p.check(len(phones) > 0, "%s has no telecom", at)
	for _, t := range phones {
		p.check(text(t, "system") == "phone" && present(t, "value"), "%s: telecom %v", at, t)
		l.Phone = text(t, "value")
	}
	address, _ := v["address"].(tree)
	lines, _ := address["line"].([]any)
	p.check(len(lines) > 0, "%s has no address line", at)
	for _, name := range []string{"city", "state", "postalCode"} {
		p.check(present(address, name), "%s has no %s", at, name)
	}
	l.Postcode = text(address, "postalCode")
	p.check(len(list(v, "identifier")) > 0, "%s has no identifier", at)
	for _, i := range list(v, "identifier") {
		p.check(text(i, "system") != "" && text(i, "value") != "", "%s: identifier %v", at, i)
		if strings.HasSuffix(text(i, "system"), "/v1/sites") {
			l.SiteID = text(i, "value")
		}
	}
	if position, ok := v["position"].(tree); ok {
		lat, okLat := position["latitude"].(float64)
		lon, okLon := position["longitude"].(float64)
		p.check(okLat && okLon && lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180, "%s: position %v", at, position)
		l.Latitude, l.Longitude = lat, lon
	}
	p.synced(at, v)
	p.Locations[text(v, "id")] = l
}

// synced checks the time at which the data was known to be accurate.
func (p *Published) synced(at string, v tree) {
	meta, _ := v["meta"].(tree)
	for _, e := range list(meta, "extension") {
		if text(e, "url") == "http://hl7.org/fhir/StructureDefinition/lastSourceSync" {
			p.instant(at, text(e, "valueDateTime"))
			return
		}
	}
	p.check(false, "%s does not say when it was accurate", at)
}

func (p *Published) schedule(at string, v tree) {
	_, twice := p.Schedules[text(v, "id")]
	p.check(!twice, "%s: twice", at)
	var s Schedule
	for _, actor := range list(v, "actor") {
		id, ok := strings.CutPrefix(text(actor, "reference"), "Location/")
		_, known := p.Locations[id]
		p.check(ok && known, "%s: actor %v is no location of the files", at, actor)
		s.Location = id
	}
	p.check(s.Location != "", "%s has no actor", at)
	codes := 0
	for _, t := range list(v, "serviceType") {
		for _, c := range list(t, "coding") {
			codes++
			p.check(text(c, "system") != "" && text(c, "code") != "", "%s: coding %v", at, c)
			if strings.HasSuffix(text(c, "system"), "/v1/services") {
				s.Service = text(c, "code")
			}
		}
	}
	p.check(codes > 0, "%s has no service type", at)
	for _, e := range list(v, "extension") {
		switch strings.TrimPrefix(text(e, "url"), text2021) {
		case "has-availability":
			s.Availability = text(e, "valueCode")
			p.check(s.Availability == "some" || s.Availability == "none" || s.Availability == "unknown", "%s: %v", at, e)
		case "vaccine-dose":
			n, ok := e["valueInteger"].(float64)
			p.check(ok && n >= 1, "%s: %v", at, e)
		case "vaccine-product":
			coding, _ := e["valueCoding"].(tree)
			p.check(text(coding, "code") != "", "%s: %v", at, e)
		}
	}
	p.synced(at, v)
	p.Schedules[text(v, "id")] = s
}

const (
	text2021   = "http://fhir-registry.smarthealthit.org/StructureDefinition/"
	editionHL7 = "http://hl7.org/fhir/uv/smart-scheduling-links/StructureDefinition/"
)

func (p *Published) slot(at string, v tree) {
	_, twice := p.Slots[text(v, "id")]
	p.check(!twice, "%s: twice", at)
	schedule, _ := v["schedule"].(tree)
	id, ok := strings.CutPrefix(text(schedule, "reference"), "Schedule/")
	_, known := p.Schedules[id]
	p.check(ok && known, "%s: %q is no schedule of the files", at, text(schedule, "reference"))
	s := Slot{Schedule: id, Status: text(v, "status"), Start: p.instant(at, text(v, "start")), End: p.instant(at, text(v, "end")), Capacity: 1}
	p.check(s.Status == "free" || s.Status == "busy", "%s: status %q", at, s.Status)
	p.check(s.End.After(s.Start), "%s ends before it starts", at)
	seen := map[string]bool{}
	for _, e := range list(v, "extension") {
		at2 := text(e, "url")
		p.check(!seen[at2], "%s: %s twice", at, at2)
		seen[at2] = true
		switch at2 {
		case text2021 + "slot-capacity":
			n, ok := e["valueInteger"].(float64)
			p.check(ok && n >= 1 && n == float64(int(n)), "%s: capacity %v", at, e)
			s.Capacity = int(n)
		case text2021 + "booking-deep-link", editionHL7 + "booking-deep-link":
			u, err := url.Parse(text(e, "valueUrl"))
			p.check(err == nil && u.IsAbs(), "%s: link %v", at, e)
			s.Links = append(s.Links, text(e, "valueUrl"))
		case text2021 + "booking-phone", editionHL7 + "booking-phone":
			p.check(text(e, "valueString") != "", "%s: phone %v", at, e)
		}
	}
	p.check(seen[text2021+"booking-deep-link"] == seen[editionHL7+"booking-deep-link"], "%s speaks one vocabulary only", at)
	p.Slots[text(v, "id")] = s
}

var instants = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

func (p *Published) instant(at, text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	p.check(err == nil && instants.MatchString(text), "%s: %q is not an instant", at, text)
	return t
}

func (p *Published) check(ok bool, format string, args ...any) {
	if !ok && len(p.Faults) < 100 {
		p.Faults = append(p.Faults, fmt.Sprintf(format, args...))
	}
}

func text(v tree, name string) string {
	s, _ := v[name].(string)
	return s
}

func list(v tree, name string) (all []tree) {
	items, _ := v[name].([]any)
	for _, item := range items {
		if t, ok := item.(tree); ok {
			all = append(all, t)
		}
	}
	return all
}

// present says whether an element has a value, or says why it has none.
func present(v tree, name string) bool {
	if text(v, name) != "" {
		return true
	}
	reason, _ := v["_"+name].(tree)
	for _, e := range list(reason, "extension") {
		if text(e, "url") == "http://hl7.org/fhir/StructureDefinition/data-absent-reason" && text(e, "valueCode") != "" {
			return true
		}
	}
	return false
}
