package geo

import (
	"errors"
	"fmt"
	"math"
)

// EarthRadiusMetres is the mean radius R1 = (2a + b) / 3 of the WGS 84
// ellipsoid (IUGG), to a decimetre. On a sphere of this radius a distance is
// within 0.56 % of the one over the ellipsoid.
const EarthRadiusMetres = 6_371_008.8

// ErrPointInvalid says that a point is not on the earth; see Point.Validate.
var ErrPointInvalid = errors.New("geo: point invalid")

// Point is a place on the earth in WGS 84 degrees, north and east positive.
// The zero value is a valid point in the Gulf of Guinea, not "unknown".
type Point struct {
	Lat float64
	Lon float64
}

// Validate returns an error wrapping ErrPointInvalid that names every fault:
// latitude outside -90…90, longitude outside -180…180, or not a number.
func (p Point) Validate() error {
	var faults []error
	if !(p.Lat >= -90 && p.Lat <= 90) {
		faults = append(faults, fmt.Errorf("%w: latitude %v is outside -90…90 degrees", ErrPointInvalid, p.Lat))
	}
	if !(p.Lon >= -180 && p.Lon <= 180) {
		faults = append(faults, fmt.Errorf("%w: longitude %v is outside -180…180 degrees", ErrPointInvalid, p.Lon))
	}
	return errors.Join(faults...)
}

func (p Point) valid() bool {
	return p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180
}

// DistanceMetres is the great-circle distance to q by the haversine formula.
// It is symmetric, and zero for two names of one place (longitudes -180 and
// 180, any longitudes at a pole). Both points must be valid.
//
// Haversine keeps its precision for near points (far below a millimetre) and
// loses it towards the antipode, where it is off by up to a metre.
func (p Point) DistanceMetres(q Point) float64 {
	sinLat := math.Sin(radians(math.Abs(q.Lat-p.Lat)) / 2)
	// Reduced to ±180 degrees, so that -180 and 180 differ by exactly nothing.
	sinLon := math.Sin(radians(math.Abs(math.Remainder(q.Lon-p.Lon, 360))) / 2)
	h := sinLat*sinLat + cosDegrees(p.Lat)*cosDegrees(q.Lat)*sinLon*sinLon
	return 2 * EarthRadiusMetres * math.Asin(math.Min(1, math.Sqrt(h)))
}

// vector is a point of the unit sphere in three dimensions: x towards 0°N 0°E,
// y towards 0°N 90°E, z towards the north pole. No seam, no pole.
type vector [3]float64

func (p Point) vector() vector {
	lon := p.Lon
	if lon == 180 {
		lon = -180
	}
	sinLon, cosLon := math.Sincos(radians(lon))
	cosLat := cosDegrees(p.Lat)
	return vector{cosLat * cosLon, cosLat * sinLon, math.Sin(radians(p.Lat))}
}

// chordSquared is the squared straight-line distance between two points of the
// unit sphere, 0…4: it orders like the great-circle distance, without a sine.
func chordSquared(a, b vector) float64 {
	dx, dy, dz := a[0]-b[0], a[1]-b[1], a[2]-b[2]
	return sumOfSquares(dx, dy, dz)
}

// sumOfSquares rounds each square by itself: the conversions forbid the compiler
// to fuse a multiplication into an addition, so every processor finds the same.
func sumOfSquares(x, y, z float64) float64 {
	return float64(x*x) + float64(y*y) + float64(z*z)
}

// metresOfChord turns a squared chord of the unit sphere into metres over ground.
func metresOfChord(squared float64) float64 {
	return 2 * EarthRadiusMetres * math.Asin(math.Min(1, math.Sqrt(squared)/2))
}

func radians(degrees float64) float64 { return degrees * (math.Pi / 180) }

// cosDegrees is exactly zero at the poles, where every longitude is one place.
func cosDegrees(degrees float64) float64 {
	if math.Abs(degrees) == 90 {
		return 0
	}
	return math.Cos(radians(degrees))
}
