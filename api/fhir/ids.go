package fhir

import (
	"strconv"
	"strings"
	"time"

	"muster/allocator"
)

// maxID is how long FHIR lets an id be.
const maxID = 64

// idEscapes write what sites and services may have in their ids and FHIR has not. A dot parts the elements of an id.
var (
	idEscapes   = strings.NewReplacer("-", "--", ".", "-d", "_", "-u", ":", "-c", "+", "-p")
	idUnescapes = map[byte]byte{'-': '-', 'd': '.', 'u': '_', 'c': ':', 'p': '+'}
)

// unescape reads one element of an id as it is written, and in no other way.
func unescape(text string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '-':
			i++
			if i == len(text) {
				return "", false
			}
			plain, ok := idUnescapes[text[i]]
			if !ok {
				return "", false
			}
			c = plain
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		default:
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), text != ""
}

// fitting is an id, or "" where FHIR has no room for it.
func fitting(id string) string {
	if len(id) > maxID {
		return ""
	}
	return id
}

// LocationID is the id of a site; "" where it is too long for FHIR.
func LocationID(site allocator.SiteID) string { return fitting(idEscapes.Replace(string(site))) }

// ParseLocationID reads what LocationID writes.
func ParseLocationID(id string) (allocator.SiteID, bool) {
	text, ok := unescape(id)
	site := allocator.SiteID(text)
	return site, ok && len(id) <= maxID && site.Valid() && text != "." && text != ".."
}

// Offer is a service at a site: what a HealthcareService and its Schedule are.
type Offer struct {
	Site    allocator.SiteID
	Service allocator.ServiceCode
}

// ID is the id of both; "" where it is too long for FHIR.
func (o Offer) ID() string {
	return fitting(idEscapes.Replace(string(o.Site)) + "." + idEscapes.Replace(string(o.Service)))
}

// ParseOffer reads what ID writes.
func ParseOffer(id string) (Offer, bool) {
	first, second, ok := strings.Cut(id, ".")
	if !ok || len(id) > maxID {
		return Offer{}, false
	}
	site, ok := ParseLocationID(first)
	service, whole := unescape(second)
	o := Offer{site, allocator.ServiceCode(service)}
	return o, ok && whole && o.Service.Valid()
}

// Place is a slot as one service has it: what a Slot is, and the Appointment that could be made there.
type Place struct {
	Offer
	Start  allocator.Minute
	Length int16 // minutes
}

// startForm is a start within an id, in UTC.
const startForm = "200601021504"

// ID is the id of the Slot and of its proposed Appointment; "" where it is too long for FHIR.
func (p Place) ID() string {
	offer := p.Offer.ID()
	if offer == "" {
		return ""
	}
	return fitting(offer + "." + p.Start.Time().Format(startForm) + "." + strconv.Itoa(int(p.Length)))
}

// ParsePlace reads what ID writes.
func ParsePlace(id string) (Place, bool) {
	parts := strings.Split(id, ".")
	if len(parts) != 4 {
		return Place{}, false
	}
	offer, ok := ParseOffer(parts[0] + "." + parts[1])
	start, err := time.Parse(startForm, parts[2])
	length, bad := strconv.Atoi(parts[3])
	if !ok || err != nil || bad != nil || length < allocator.MinSlotMinutes || length > allocator.MaxSlotMinutes {
		return Place{}, false
	}
	p := Place{Offer: offer, Start: allocator.MinuteOf(start), Length: int16(length)}
	return p, p.ID() == id
}

// ParseReference finds the id in a reference to a resource of the type: Type/id, an absolute URL of a server's own, with
// or without a version.
func ParseReference(text, resource, base string) (id string, ok bool) {
	text = strings.TrimPrefix(text, base+"/")
	text, _, _ = strings.Cut(text, "/_history/")
	kind, id, ok := strings.Cut(text, "/")
	return id, ok && kind == resource && id != "" && !strings.Contains(id, "/")
}
