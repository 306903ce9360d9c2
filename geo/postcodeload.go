package geo

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	// MaxOverlayPostcodes bounds one overlay (16 bytes each while it is held);
	// the whole country has 2.7 million.
	MaxOverlayPostcodes = 4_000_000
	// MaxLineErrors bounds LoadReport.Errors.
	MaxLineErrors = 100
	// maxLineBytes bounds a line; those of the ONS are below 500 bytes.
	maxLineBytes = 8 << 10
)

// ErrTooManyPostcodes says that a file has more than MaxOverlayPostcodes.
var ErrTooManyPostcodes = errors.New("geo: too many postcodes in one file")

// Overlay is postcodes to be added to others; see Postcodes.With. It is
// immutable. The zero value adds none.
type Overlay struct{ entries []overlayEntry }

type overlayEntry struct {
	postcode Postcode
	at       fixed
}

// Len is the number of postcodes; more than once in the file counts as often.
func (o *Overlay) Len() int { return len(o.entries) }

// LoadReport says what became of each line.
type LoadReport struct {
	// Lines that were read, header and empty lines included.
	Lines int
	// Loaded lines are in the overlay.
	Loaded int
	// WithoutCoordinates lines name a postcode without a place (latitude or
	// longitude empty, or the ONS's 99.999999): skipped, and no fault.
	WithoutCoordinates int
	// Rejected lines have a fault; the first MaxLineErrors are in Errors.
	Rejected int
	Errors   []LineError
}

// LineError is the fault of one line, counted from 1.
type LineError struct {
	Line int
	Err  error
}

func (e LineError) Error() string { return "line " + strconv.Itoa(e.Line) + ": " + e.Err.Error() }

func (e LineError) Unwrap() error { return e.Err }

// LoadPostcodes reads postcodes from CSV: replacements and additions for any
// area, such as those of Northern Ireland (BT), which are not shipped.
//
// If the first line names its columns they may be any, in any order: the
// postcode is pcds, pcd, pcd2, pcd7, pcd8 or postcode, then lat or latitude,
// and long, lon, lng or longitude (the files of the ONS fit as they are).
// Otherwise each line is postcode, latitude, longitude. Degrees are WGS 84 and
// are rounded to 1e-5. Only whole postcodes are taken.
//
// A bad line fails alone and is in the report, wrapping ErrPostcodeMalformed or
// ErrPointInvalid where that is the fault. The error is one of reading, or
// ErrTooManyPostcodes; what was read before it is returned too.
func LoadPostcodes(r io.Reader) (*Overlay, LoadReport, error) {
	l := loader{columns: columns{postcode: 0, lat: 1, lon: 2}, overlay: new(Overlay)}
	lines := bufio.NewReaderSize(r, maxLineBytes)
	for {
		line, tooLong, err := readLine(lines)
		if err == io.EOF {
			return l.overlay, l.report, nil
		}
		if err != nil {
			return l.overlay, l.report, fmt.Errorf("geo: reading postcodes, line %d: %w", l.report.Lines+1, err)
		}
		l.report.Lines++
		if tooLong {
			l.reject(fmt.Errorf("longer than %d bytes", maxLineBytes))
			continue
		}
		if err := l.line(line); err != nil {
			return l.overlay, l.report, err
		}
	}
}

// readLine returns a line without its end, valid until the next call. Of a line
// that does not fit the reader's buffer it drops the text.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	line, err = r.ReadSlice('\n')
	for err == bufio.ErrBufferFull {
		tooLong = true
		line, err = r.ReadSlice('\n')
	}
	if err == io.EOF && (len(line) > 0 || tooLong) {
		err = nil
	}
	return bytes.TrimRight(line, "\r\n"), tooLong, err
}

type loader struct {
	columns columns
	overlay *Overlay
	report  LoadReport
}

type columns struct{ postcode, lat, lon int }

func (l *loader) reject(err error) {
	l.report.Rejected++
	if len(l.report.Errors) < MaxLineErrors {
		l.report.Errors = append(l.report.Errors, LineError{Line: l.report.Lines, Err: err})
	}
}

// line takes in one line; only too many postcodes are an error.
func (l *loader) line(line []byte) error {
	if l.report.Lines == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	fields, err := splitLine(string(line))
	if err != nil {
		l.reject(err)
		return nil
	}
	if l.report.Lines == 1 {
		if named, ok := columnsOf(fields); ok {
			l.columns = named
			return nil
		}
	}
	e, located, err := l.columns.entry(fields)
	switch {
	case err != nil:
		l.reject(err)
	case !located:
		l.report.WithoutCoordinates++
	case len(l.overlay.entries) == MaxOverlayPostcodes:
		return ErrTooManyPostcodes
	default:
		l.overlay.entries = append(l.overlay.entries, e)
		l.report.Loaded++
	}
	return nil
}

// splitLine splits at commas. Quoted fields may hold commas but no line ends,
// so that a stray quote spoils one line and not the rest of the file.
func splitLine(line string) ([]string, error) {
	if !strings.Contains(line, `"`) {
		return strings.Split(line, ","), nil
	}
	r := csv.NewReader(strings.NewReader(line))
	fields, err := r.Read()
	if err != nil {
		return nil, errors.New("its quotes do not match")
	}
	return fields, nil
}

// columnsOf reads a header: all three columns must be named.
func columnsOf(header []string) (columns, bool) {
	find := func(names ...string) int {
		for _, name := range names {
			if i := slices.IndexFunc(header, func(h string) bool {
				return strings.EqualFold(strings.TrimSpace(h), name)
			}); i >= 0 {
				return i
			}
		}
		return -1
	}
	c := columns{
		postcode: find("pcds", "pcd", "pcd2", "pcd7", "pcd8", "postcode"),
		lat:      find("lat", "latitude"),
		lon:      find("long", "lon", "lng", "longitude"),
	}
	return c, c.postcode >= 0 && c.lat >= 0 && c.lon >= 0
}

func (c columns) entry(fields []string) (e overlayEntry, located bool, err error) {
	if need := max(c.postcode, c.lat, c.lon) + 1; len(fields) < need {
		return e, false, fmt.Errorf("%d fields, want at least %d", len(fields), need)
	}
	e.postcode, err = ParsePostcode(fields[c.postcode])
	if err != nil {
		return e, false, err
	}
	if e.postcode.Precision() != PrecisionUnit {
		return e, false, errPostcodeNotUnit
	}
	lat, lon := strings.TrimSpace(fields[c.lat]), strings.TrimSpace(fields[c.lon])
	if lat == "" || lon == "" {
		return e, false, nil
	}
	point, err := parsePoint(lat, lon)
	if err != nil {
		return e, false, err
	}
	if point.Lat == onsNowhere {
		return e, false, nil
	}
	if err := point.Validate(); err != nil {
		return e, false, err
	}
	e.at = fixed{int32(math.Round(point.Lat * 1e5)), int32(math.Round(point.Lon * 1e5))}
	return e, true, nil
}

// onsNowhere is the latitude of postcodes without a grid reference in the ONS
// Postcode Directory and the National Statistics Postcode Lookup.
const onsNowhere = 99.999999

var errPostcodeNotUnit = &PostcodeError{"only whole postcodes such as LS1 4AP can be loaded", ErrPostcodeMalformed}

func parsePoint(lat, lon string) (Point, error) {
	north, err := strconv.ParseFloat(lat, 64)
	if err != nil {
		return Point{}, fmt.Errorf("%w: latitude is no number", ErrPointInvalid)
	}
	east, err := strconv.ParseFloat(lon, 64)
	if err != nil {
		return Point{}, fmt.Errorf("%w: longitude is no number", ErrPointInvalid)
	}
	return Point{Lat: north, Lon: east}, nil
}
