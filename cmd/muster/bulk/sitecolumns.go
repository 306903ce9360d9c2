package bulk

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"muster/allocator"
	"muster/api/daytable"
)

// columns says where each detail of a site is in a line; -1: nowhere.
type columns map[string]int

// columnNames lists the names of each column, compared without case and punctuation. The first is the contract's.
var columnNames = map[string][]string{
	"id":              {"siteid", "id", "site"},
	"name":            {"name"},
	"type":            {"type"},
	"lines":           {"addresslines", "lines", "address"},
	"postcode":        {"postcode", "addresspostcode"},
	"lat":             {"lat", "latitude", "locationlat"},
	"lon":             {"lon", "longitude", "lng", "long", "locationlon"},
	"timeZone":        {"timezone"},
	"odsCode":         {"odscode", "ods"},
	"region":          {"region"},
	"icb":             {"icb"},
	"phone":           {"phone"},
	"accessibilities": {"accessibilities"},
	"information":     {"informationforcitizens", "information"},
	"status":          {"status"},
	"publisher":       {"publisher"},
}

// unusedSilently are columns of NHS England's list that tell nothing about booking.
var unusedSilently = []string{"admindistrict", "msoa", "lsoa"}

// columnsOf reads a header.
func columnsOf(header []string) (c columns, unused []string, err error) {
	c = make(columns)
	for detail := range columnNames {
		c[detail] = -1
	}
	for i, title := range header {
		plain := daytable.Plain(title)
		found := false
		for detail, names := range columnNames {
			if !slices.Contains(names, plain) {
				continue
			}
			if found = true; c[detail] >= 0 {
				return nil, nil, fmt.Errorf("two columns hold the %s: %q and %q", detail, header[c[detail]], title)
			}
			c[detail] = i
		}
		if !found && !slices.Contains(unusedSilently, plain) {
			unused = append(unused, strings.TrimSpace(title))
		}
	}
	if c["name"] < 0 || c["postcode"] < 0 && (c["lat"] < 0 || c["lon"] < 0) {
		return nil, nil, errors.New("the first line must name the columns: at least name, and postcode or lat and lon")
	}
	return c, unused, nil
}

func (c columns) text(fields []string, detail string) string {
	if c[detail] < 0 {
		return ""
	}
	return strings.Join(strings.Fields(fields[c[detail]]), " ")
}

// list splits a field that holds several values.
func (c columns) list(fields []string, detail, separators string) (values []string) {
	for _, part := range strings.FieldsFunc(c.text(fields, detail), func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if part = strings.TrimSpace(part); part != "" {
			values = append(values, part)
		}
	}
	return values
}

// site reads a line. All of the site's details come from it: what it leaves out, the site loses.
func (s *siteLoader) site(fields []string) (allocator.Site, error) {
	text := func(detail string) string { return s.columns.text(fields, detail) }
	site := allocator.Site{
		ID: allocator.SiteID(text("id")), Name: text("name"), Type: text("type"), Postcode: strings.ToUpper(text("postcode")),
		AddressLines: s.columns.list(fields, "lines", ";|"), TimeZone: text("timeZone"), ODSCode: text("odsCode"),
		Region: text("region"), ICB: text("icb"), Phone: text("phone"), Information: text("information"),
		Accessibilities: s.columns.list(fields, "accessibilities", ";|, "), Publisher: text("publisher"),
	}
	if site.Publisher == "" {
		site.Publisher = s.Publisher
	}
	if site.TimeZone == "" {
		site.TimeZone = "Europe/London"
	}
	if s.columns["id"] < 0 {
		site.ID = generatedID(site.Type, site.Name, site.Postcode)
	}
	switch status := text("status"); status {
	case "", "online":
	case "offline":
		site.Offline = true
	default:
		return site, fmt.Errorf("status %q is neither online nor offline", status)
	}
	if err := s.place(&site, text("lat"), text("lon")); err != nil {
		return site, err
	}
	return site, checkSite(&site)
}

// place sets the site's location: as given, or by its postcode.
func (s *siteLoader) place(site *allocator.Site, lat, lon string) error {
	if lat == "" && lon == "" {
		canonical, lat, lon, _, ok := s.Postcodes.Locate(site.Postcode)
		if !ok {
			return allocator.Refuse(allocator.CodePostcodeUnknown, "postcode %q is not known, and there is no location", site.Postcode)
		}
		site.Postcode, site.Lat, site.Lon = canonical, lat, lon
		return nil
	}
	var err error
	if site.Lat, err = degrees(lat, 90); err != nil {
		return fmt.Errorf("latitude %q %w", lat, err)
	}
	if site.Lon, err = degrees(lon, 180); err != nil {
		return fmt.Errorf("longitude %q %w", lon, err)
	}
	return nil
}

func degrees(text string, most float64) (float64, error) {
	d, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(d) || math.Abs(d) > most {
		return 0, fmt.Errorf("is not a number of degrees within ±%g", most)
	}
	return d, nil
}

func checkSite(site *allocator.Site) error {
	if !site.ID.Valid() {
		return fmt.Errorf("site id %q is not 1 to 64 letters, digits, '-', '_' or '.'", site.ID)
	}
	if site.Name == "" {
		return errors.New("the site has no name")
	}
	if _, err := time.LoadLocation(site.TimeZone); err != nil || site.TimeZone == "Local" {
		return fmt.Errorf("time zone %q is not known", site.TimeZone)
	}
	for _, text := range append([]string{site.Name, site.Type, site.Postcode, site.ODSCode, site.Region, site.ICB, site.Phone, site.Publisher},
		append(site.AddressLines, site.Accessibilities...)...) {
		if len(text) > allocator.MaxNameBytes {
			return fmt.Errorf("%.40q… is longer than %d bytes", text, allocator.MaxNameBytes)
		}
		if strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%.40q holds a control character", text)
		}
	}
	return nil
}
