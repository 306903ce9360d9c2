package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"muster/allocator"
	"muster/cmd/muster/sample"
)

// tourPostcode is where the tour begins: the middle of Leeds.
const tourPostcode = "LS1 4AP"

// printTour writes three commands that really work, one after the other, on what the server knows now: search near a
// postcode, hold, confirm.
func printTour(ctx context.Context, out io.Writer, a *allocator.Allocator, base string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	site, start, length, ok := freeSlot(ctx, a)
	if !ok {
		fmt.Fprintf(out, "\nNothing is on offer near %s; publish some capacity, or start with --dev --sample. To see the services:\n\n"+
			"  curl -s '%s/v1/services'\n\n", tourPostcode, base)
		return
	}
	fmt.Fprintf(out, `
Try it, line by line:

  curl -s '%[1]s/v1/sites?postcode=LS1%%204AP&service=%[2]s&limit=3'; echo
  HOLD=$(curl -s -H 'Content-Type: application/json' -d '{"siteId":"%[3]s","service":"%[2]s","start":"%[4]s","length":%[5]d}' %[1]s/v1/holds | sed 's/.*"holdId": *"\([^"]*\)".*/\1/'); echo "$HOLD"
  curl -s -H 'Content-Type: application/json' -d '{"people":[{"nhsNumber":"%[6]s","givenName":"Ada","familyName":"Example","dateOfBirth":"1948-05-17","contact":{"email":"ada@example.org"}}]}' %[1]s/v1/holds/$HOLD/confirm; echo

`, base, sample.RSV, site, start.Format(time.RFC3339), length, testNHSNumber())
}

// freeSlot finds a slot for RSV near the tour's postcode, from the day after tomorrow on so that there is time to try.
func freeSlot(ctx context.Context, a *allocator.Allocator) (site allocator.SiteID, start time.Time, length int16, ok bool) {
	from := allocator.DateOf(time.Now().UTC()) + 2
	found, err := a.Search(ctx, allocator.SearchRequest{
		Postcode: tourPostcode, Service: sample.RSV, From: from, RadiusMetres: 50_000, Limit: 5, People: 1,
	})
	if err != nil {
		return "", start, 0, false
	}
	for _, s := range found.Sites {
		open, err := a.Availability(ctx, allocator.AvailabilityRequest{Site: s.Site.ID, Service: sample.RSV, From: from, People: 1})
		if err == nil && len(open.Days) > 0 && len(open.Days[0].Slots) > 0 {
			slot := open.Days[0].Slots[0]
			return s.Site.ID, slot.Start.Time().In(open.Zone), slot.Length, true
		}
	}
	return "", start, 0, false
}

// testNHSNumber makes a number of the range that is never given to anybody (999…), with its check digit.
func testNHSNumber() string {
	for {
		nine := 999_000_000 + rand.IntN(1_000_000)
		for check := range 10 {
			if number, ok := allocator.ValidNHSNumber(fmt.Sprintf("%d%d", nine, check)); ok {
				return number
			}
		}
	}
}
