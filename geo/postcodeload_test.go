package geo

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// The points of BT in tests are made up: the real ones may not be shipped.
func TestLoadPostcodesReportsEachLine(t *testing.T) {
	overlay, report, err := LoadPostcodes(strings.NewReader("\ufeffPostcode,lat,long\r\n" +
		"BT1 1AA,54.5,-5.75\r\n" +
		"BT1 1AB,,0.00000\r\n" +
		"BT99 9ZZ,99.999999,0.0\n" +
		"\n" +
		"BT1,54.5,-5.75\n" +
		"BT1 1AX!,54.5,-5.75\n" +
		"BT1 1AD,91,-5.75\n" +
		"BT1 1AE,north,-5.75\n" +
		"BT1 1AF,54.5\n" +
		"BT1 1AG,NaN,-5.75\n" +
		"\"BT1 1AH,54.5,-5.75\n" +
		strings.Repeat("x", 3*maxLineBytes) + "\n" +
		"bt11aj,54.123456,-5.654321,more"))
	if err != nil {
		t.Fatal(err)
	}
	if overlay.Len() != 2 || report.Loaded != 2 || report.Lines != 14 || report.WithoutCoordinates != 2 || report.Rejected != 8 {
		t.Errorf("%d loaded, report %+v", overlay.Len(), report)
	}
	want := []struct {
		line int
		is   error
	}{
		{6, ErrPostcodeMalformed}, {7, ErrPostcodeMalformed}, {8, ErrPointInvalid}, {9, ErrPointInvalid},
		{10, nil}, {11, ErrPointInvalid}, {12, nil}, {13, nil},
	}
	if len(report.Errors) != len(want) {
		t.Fatalf("%v", report.Errors)
	}
	for i, w := range want {
		got := report.Errors[i]
		if got.Line != w.line || w.is != nil && !errors.Is(got, w.is) || !strings.HasPrefix(got.Error(), fmt.Sprintf("line %d: ", w.line)) {
			t.Errorf("%v, want line %d, %v", got, w.line, w.is)
		}
	}

	postcodes := embedded(t).With(overlay)
	if postcodes.Len() != embedded(t).Len()+2 {
		t.Errorf("%d postcodes", postcodes.Len())
	}
	for asked, want := range map[string]Located{
		"BT11AA":  {"BT1 1AA", Point{54.5, -5.75}, PrecisionUnit},
		"BT1 1AJ": {"BT1 1AJ", Point{54.12346, -5.65432}, PrecisionUnit},
		"BT1 1AB": {"BT1 1AB", Point{54.31173, -5.70216}, PrecisionSector},
		"BT1 9AA": {"BT1 9AA", Point{54.31173, -5.70216}, PrecisionOutcode},
	} {
		if got, err := postcodes.Lookup(asked); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", asked, got, err, want)
		}
	}
}

func TestLoadPostcodesReplaces(t *testing.T) {
	postcodes := embedded(t)
	before, err := postcodes.Lookup("LS1 1AA")
	if err != nil {
		t.Fatal(err)
	}
	neighbour, err := postcodes.Lookup("LS1 1AB")
	if err != nil {
		t.Fatal(err)
	}
	overlay, _, _ := LoadPostcodes(strings.NewReader("LS1 1AA,50.5,0.5\nLS1 1AA,51.5,-0.5\n"))
	changed := postcodes.With(overlay)
	if changed.Len() != postcodes.Len() {
		t.Errorf("%d postcodes, then %d", postcodes.Len(), changed.Len())
	}
	if got, _ := changed.Lookup("LS1 1AA"); got.Point != (Point{51.5, -0.5}) {
		t.Errorf("want the later line, got %+v", got)
	}
	if got, _ := changed.Lookup("LS1 1AB"); got != neighbour {
		t.Errorf("the neighbour moved to %+v", got)
	}
	if got, _ := postcodes.Lookup("LS1 1AA"); got != before {
		t.Errorf("the original changed to %+v", got)
	}
}

func TestLoadPostcodesFindsColumns(t *testing.T) {
	for name, file := range map[string]string{
		"none":                 "LS1 4AP,53.5,-1.5\n",
		"of the ONS":           "\"pcd\",\"pcd2\",\"pcds\",\"dointr\",\"doterm\",\"lat\",\"long\"\n\"LS1 4AP\",\"LS1  4AP\",\"LS1 4AP\",\"199806\",\"\",53.5,-1.5\n",
		"in another order":     "Longitude, Latitude ,POSTCODE\n-1.5,53.5,LS14AP\n",
		"with commas in texts": "postcode,name,lat,lng\nLS1 4AP,\"Leeds, City\",53.5,-1.5\n",
	} {
		overlay, report, err := LoadPostcodes(strings.NewReader(file))
		if err != nil || report.Rejected > 0 {
			t.Errorf("%s: %+v %v", name, report, err)
			continue
		}
		got, err := new(Postcodes).With(overlay).Lookup("LS1 4AP")
		if err != nil || got.Point != (Point{53.5, -1.5}) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

func TestLoadPostcodesIsBounded(t *testing.T) {
	_, report, err := LoadPostcodes(strings.NewReader(strings.Repeat("?\n", 1000)))
	if err != nil || report.Rejected != 1000 || len(report.Errors) != MaxLineErrors {
		t.Errorf("%d rejected, %d told, %v", report.Rejected, len(report.Errors), err)
	}

	overlay, _, err := LoadPostcodes(io.MultiReader(strings.NewReader("LS1 4AP,53.5,-1.5\n"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if !errors.Is(err, io.ErrUnexpectedEOF) || overlay.Len() != 1 {
		t.Errorf("%d, %v", overlay.Len(), err)
	}

	full := loader{columns: columns{0, 1, 2}, overlay: &Overlay{entries: make([]overlayEntry, MaxOverlayPostcodes)}}
	if err := full.line([]byte("LS1 4AP,53.5,-1.5")); !errors.Is(err, ErrTooManyPostcodes) {
		t.Errorf("one too many: %v", err)
	}

	empty, report, err := LoadPostcodes(strings.NewReader(""))
	if err != nil || empty.Len() != 0 || report.Lines != 0 {
		t.Errorf("empty file: %d %+v %v", empty.Len(), report, err)
	}
}
