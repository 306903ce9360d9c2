// Package sample is something to try the program on: the real vaccination sites of England with made-up sessions. All of
// it follows from a site's number and the date, so two programs make the same.
//
// sites.csv.gz is NHS England's list of vaccination sites, geocoded by ODI Leeds, with the columns that are used here;
// Attribution must be shown wherever it is.
package sample

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/csv"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strconv"

	"muster/allocator"
)

// Attribution is what the licence asks to be shown with the sites.
const Attribution = "Sites: NHS England's list of vaccination sites, geocoded by ODI Leeds; contains public sector " +
	"information licensed under the Open Government Licence v3.0. Sessions are made up: nobody waits for you there."

// Publisher is the organisation that publishes every sample site.
const Publisher = "sample"

//go:embed sites.csv.gz
var packed []byte

// The kinds of sites, as the list calls them.
const (
	pharmacy = "Pharmacies"
	practice = "GP-led vaccination services"
	hospital = "Hospital Hubs"
	centre   = "Vaccination Centres"
)

// Sites lists the 2,833 sites. Their ids are their numbers in the list: E0001, E0002 …
func Sites() ([]allocator.Site, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("sample sites: %w", err)
	}
	lines := csv.NewReader(unpacked)
	lines.FieldsPerRecord = 5
	if _, err := lines.Read(); err != nil { // the header
		return nil, fmt.Errorf("sample sites: %w", err)
	}
	var sites []allocator.Site
	for {
		fields, err := lines.Read()
		if err == io.EOF {
			return sites, nil
		}
		if err != nil {
			return nil, fmt.Errorf("sample sites: %w", err)
		}
		site, err := siteOf(len(sites)+1, fields)
		if err != nil {
			return nil, err
		}
		sites = append(sites, site)
	}
}

func siteOf(number int, fields []string) (allocator.Site, error) {
	lat, err := strconv.ParseFloat(fields[3], 64)
	if err != nil {
		return allocator.Site{}, fmt.Errorf("sample site %d: latitude: %w", number, err)
	}
	lon, err := strconv.ParseFloat(fields[4], 64)
	if err != nil {
		return allocator.Site{}, fmt.Errorf("sample site %d: longitude: %w", number, err)
	}
	site := allocator.Site{
		ID: allocator.SiteID(fmt.Sprintf("E%04d", number)), Type: fields[0], Name: fields[1], Postcode: fields[2],
		Lat: lat, Lon: lon, TimeZone: "Europe/London", Publisher: Publisher,
		Information: "A real place with made-up sessions, for trying this program.",
	}
	dice := diceFor(site.ID, 0)
	for _, a := range []struct {
		name    string
		percent int
	}{{"step_free", 85}, {"parking", 55}, {"accessible_toilet", 45}, {"hearing_loop", 30}} {
		if dice.IntN(100) < a.percent {
			site.Accessibilities = append(site.Accessibilities, a.name)
		}
	}
	return site, nil
}

// The service codes, as England uses them.
const (
	RSV       allocator.ServiceCode = "RSV:Adult"
	Covid     allocator.ServiceCode = "COVID:18+"
	Flu       allocator.ServiceCode = "FLU:65+"
	FluAdult  allocator.ServiceCode = "FLU:18-64"
	CovidFlu  allocator.ServiceCode = "COVID_FLU:65+"
	MMR       allocator.ServiceCode = "MMR"
	Shingles  allocator.ServiceCode = "SHINGLES:65+"
	Pneumonia allocator.ServiceCode = "PPV:65+"
)

// Services lists what the sample sites offer. Limits of age are of the kind that England sets, and simplified.
func Services() []allocator.Service {
	service := func(code allocator.ServiceCode, name string, ages allocator.Eligibility) allocator.Service {
		s := allocator.DefaultService(code)
		s.Name, s.Eligibility = name, ages
		return s
	}
	services := []allocator.Service{
		service(RSV, "RSV vaccination, 75 and over", allocator.Eligibility{MinAge: 75}),
		service(Covid, "COVID-19 vaccination, 18 and over", allocator.Eligibility{MinAge: 18}),
		service(Flu, "Flu vaccination, 65 and over", allocator.Eligibility{MinAge: 65}),
		service(FluAdult, "Flu vaccination, 18 to 64", allocator.Eligibility{MinAge: 18, MaxAge: 64}),
		service(CovidFlu, "COVID-19 and flu vaccination in one visit, 65 and over", allocator.Eligibility{MinAge: 65}),
		service(MMR, "Measles, mumps and rubella vaccination", allocator.Eligibility{MinAge: 1}),
		service(Shingles, "Shingles vaccination, 65 to 79", allocator.Eligibility{MinAge: 65, MaxAge: 79}),
		service(Pneumonia, "Pneumococcal vaccination, 65 and over", allocator.Eligibility{MinAge: 65}),
	}
	for i := range services {
		services[i].WindowDays = 90
	}
	return services
}

// diceFor gives the same throws for the same site and date.
func diceFor(site allocator.SiteID, date allocator.Date) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(site)) // never fails
	return rand.New(rand.NewPCG(h.Sum64(), uint64(date)))
}
