package bulk

import (
	"io"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// nowhere knows no postcode.
type nowhere struct{}

func (nowhere) Locate(string) (string, float64, float64, string, bool) { return "", 0, 0, "", false }

// FuzzSites: whatever a file of sites has in its lines, each is refused, or is a site that a ledger would take.
func FuzzSites(f *testing.F) {
	const header = "id,name,type,postcode,lat,lon,lines,timeZone"
	for _, line := range []string{
		"FA512,Boots,Pharmacies,LS1 4AP,53.79,-1.55,1 High Street;Leeds,Europe/London", `FA513,"Boots, Leeds",,,53.79,-1.55,,`, `x,"y`, ",,,,,,,", "FA514,A,B,C,NaN,1e400,,Mars/Base", "\xff",
	} {
		f.Add(header, line)
	}
	f.Add("name;postcode", "a;b")
	f.Fuzz(func(t *testing.T, header, line string) {
		s := &siteLoader{Sites: Sites{Postcodes: nowhere{}, Publisher: "someone"}, messages: io.Discard}
		if _, err := s.header([]byte(header)); err != nil {
			return
		}
		for n, text := range strings.Split(line, "\n") {
			_, _ = s.line(n+2, []byte(text)) // what is refused is told, and not in the batch
		}
		for _, taken := range s.batch {
			site := &taken.site
			_, err := time.LoadLocation(site.TimeZone)
			if !site.ID.Valid() || err != nil || !(math.Abs(site.Lat) <= 90) || !(math.Abs(site.Lon) <= 180) || !utf8.ValidString(site.Name) {
				t.Errorf("line %d of %q is taken: %+v", taken.line, line, *site)
			}
		}
	})
}
