package api

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"muster/allocator"
)

// The replies to searches are put together from pieces: what a site shows is written once for each change of the site, or
// each minute, kept in the Memo of what the engine answered, and copied from there into every reply. All of it is what
// encoding/json would write; a test compares the two.

// sheetText is a site's details as JSON, around the distance.
type sheetText struct{ before, after []byte }

// offerText is a site as JSON, around the distance.
type offerText struct{ before, after []byte }

// foundView is the part of a found site that its details alone decide.
type foundView struct {
	SiteID          allocator.SiteID `json:"siteId"`
	Name            string           `json:"name"`
	DistanceMetres  int              `json:"distanceMetres"`
	Location        locationView     `json:"location"`
	Address         addressView      `json:"address"`
	Accessibilities []string         `json:"accessibilities"`
}

func textOfSheet(sheet *allocator.SiteSheet) *sheetText {
	if known, ok := sheet.Memo.Load().(*sheetText); ok {
		return known
	}
	site := &sheet.Site
	// Strings, numbers in degrees and lists of strings never fail. A quote within a name is escaped, so nothing but the
	// member itself looks like it.
	text, _ := json.Marshal(foundView{
		SiteID: site.ID, Name: site.Name, Location: locationView{site.Lat, site.Lon},
		Address: addressView{list(site.AddressLines), site.Postcode}, Accessibilities: list(site.Accessibilities),
	})
	const distance = `"distanceMetres":`
	at := bytes.Index(text, []byte(distance+"0")) + len(distance)
	made := &sheetText{before: text[:at:at], after: text[at+1 : len(text)-1]}
	sheet.Memo.Store(made)
	return made
}

func (s *Server) textOfOffer(offer *allocator.SiteOffer) *offerText {
	if known, ok := offer.Memo.Load().(*offerText); ok {
		return known
	}
	sheet := textOfSheet(offer.SiteSheet)
	const next, day = len(`,"nextAvailable":"2006-01-02T15:04:05+01:00","days":[]}`), len(`{"date":"2006-01-02","free":1000},`)
	b := make([]byte, 0, len(sheet.after)+next+day*len(offer.Days))
	b = append(b, sheet.after...)
	if !offer.NextAvailable.IsZero() {
		b = append(b, `,"nextAvailable":"`...)
		b = offer.NextAvailable.In(s.zones.find(offer.Site.TimeZone)).AppendFormat(b, time.RFC3339)
		b = append(b, '"')
	}
	b = append(b, `,"days":[`...)
	for i, d := range offer.Days {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDate(append(b, `{"date":"`...), d.Date)
		b = append(strconv.AppendInt(append(b, `","free":`...), int64(d.Free), 10), '}')
	}
	made := &offerText{before: sheet.before, after: append(b, `]}`...)}
	offer.Memo.Store(made)
	return made
}

func appendDate(b []byte, d allocator.Date) []byte {
	return time.Unix(int64(d)*86_400, 0).UTC().AppendFormat(b, time.DateOnly)
}

// writeSearch writes the whole reply.
func (x *exchange) writeSearch(found *allocator.SearchReply) {
	b := appendAge(x.scratch().reply[:0], found.AsOf, found.Age)
	b = appendNumber(append(b, `,"origin":{"lat":`...), found.Lat)
	b = appendNumber(append(b, `,"lon":`...), found.Lon)
	b = someText(b, "postcode", found.Postcode)
	b = someText(b, "precision", found.Precision)
	b = append(b, `},"sites":[`...)
	response := &x.http.Response
	for i := range found.Sites {
		if i > 0 {
			b = append(b, ',')
		}
		text := x.server.textOfOffer(found.Sites[i].SiteOffer)
		b = append(b, text.before...)
		b = strconv.AppendInt(b, int64(found.Sites[i].DistanceMetres), 10)
		response.AppendBody(b)
		response.AppendBody(text.after)
		b = b[:0]
	}
	x.scratch().reply = append(b, `]}`...)
	response.AppendBody(x.scratch().reply)
	x.http.SetContentType("application/json")
}

// writeAvailability writes the whole reply.
func (x *exchange) writeAvailability(found *allocator.AvailabilityReply) {
	zone := found.Zone
	if zone == nil {
		zone = time.UTC
	}
	b := append(appendAge(x.scratch().reply[:0], found.AsOf, found.Age), `,"days":[`...)
	response := &x.http.Response
	for i, d := range found.Days {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendDate(append(b, `{"date":"`...), d.Date), `","slots":[`...)
		for j, slot := range d.Slots {
			if j > 0 {
				b = append(b, ',')
			}
			b = slot.Start.Time().In(zone).AppendFormat(append(b, `{"start":"`...), time.RFC3339)
			b = strconv.AppendInt(append(b, `","length":`...), int64(slot.Length), 10)
			b = append(strconv.AppendInt(append(b, `,"free":`...), int64(slot.Free), 10), '}')
		}
		response.AppendBody(append(b, `]}`...))
		b = b[:0]
	}
	x.scratch().reply = append(b, `]}`...)
	response.AppendBody(x.scratch().reply)
	x.http.SetContentType("application/json")
}

// appendAge begins a reply that comes from the server's memory.
func appendAge(b []byte, asOf time.Time, age time.Duration) []byte {
	b = asOf.UTC().AppendFormat(append(b, `{"asOf":"`...), momentForm)
	return strconv.AppendInt(append(b, `","ageMs":`...), age.Milliseconds(), 10)
}

// appendNumber writes a finite number as encoding/json does (as ECMAScript does).
func appendNumber(b []byte, f float64) []byte {
	if size := math.Abs(f); size == 0 || size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	text, _ := json.Marshal(f)
	return append(b, text...)
}
