package geo

import (
	"bufio"
	"io"
	"os"
	"strings"
	"testing"

	"muster/geo/internal/postcodetar"
)

// Compares every line of the source with what is embedded. Set
// MUSTER_POSTCODES_TAR to the archive the file was generated from.
func TestEmbeddedPostcodesAgainstSource(t *testing.T) {
	archive := os.Getenv("MUSTER_POSTCODES_TAR")
	if archive == "" {
		t.Skip("MUSTER_POSTCODES_TAR does not name the archive of the postcodes")
	}
	postcodes := embedded(t)
	located, elsewhere := 0, 0
	err := postcodetar.Walk(archive, func(area string, csv io.Reader) error {
		lines := bufio.NewScanner(csv)
		lines.Scan() // the header
		for lines.Scan() {
			fields := strings.Split(lines.Text(), ",")
			got, err := postcodes.Lookup(fields[0])
			isUnit := err == nil && got.Precision == PrecisionUnit
			if area == "BT" || fields[1] == "" {
				if elsewhere++; isUnit {
					t.Errorf("%s should not be there, is at %v", fields[0], got.Point)
				}
				continue
			}
			located++
			if want, err := parsePoint(fields[1], fields[2]); err != nil || !isUnit || got.Point != want {
				t.Errorf("%s: %+v, want %v (%v)", fields[0], got, want, err)
			}
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if located != postcodes.Len() {
		t.Errorf("%d in the source, %d embedded", located, postcodes.Len())
	}
	t.Logf("%d postcodes agree exactly, %d without coordinates or of Northern Ireland are absent", located, elsewhere)
}
