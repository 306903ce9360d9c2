package geo

import (
	"encoding/binary"
	"math/bits"
)

// A block holds the units of one outcode, in order and without loss (1e-5
// degree, as the source has them), and finds one without decoding the others.
//
//	block    u16 mask of the sector digits present
//	         for each, 12 bytes: u16 offset of its stream, u16 units,
//	                             i32 latitude, i32 longitude of the mean
//	         the streams, each beginning at a byte
//	stream   25 + 26 bits: the lowest latitude and longitude (of its box)
//	         5 + 5 bits:   the width of an offset from those, in bits
//	         21 bits:      which first letters have units; for each, a row
//	row      21 bits:      which second letters
//	         1 bit:        does any unit repeat the point of the one before?
//	         5 + 5 bits:   the width of an offset within the row
//	         the row's lowest latitude and longitude, from the sector's
//	         if the 1 bit is set, a bit for each unit but the first: repeats?
//	         for each unit that repeats none: latitude, longitude, from the row's
//
// Numbers are little-endian, streams begin at the lowest bit. Coordinates are
// in 1e-5 degree, in streams counted from the south pole and the antimeridian.
// A reader may load eight bytes anywhere, so blockPadding bytes must follow.
//
// Units of one row (LS1 4A_) mostly lie along a few streets, and a quarter of
// the units share the point of the one before (large users, and terminated
// units, are placed at one address); the two rules turn both into bits.
// docs/decisions/0010-geo-index.md has the forms that were measured and lost.
type block []byte

const (
	blockPadding      = 8
	sectorHeaderBytes = 12
	latitudeBits      = 25
	longitudeBits     = 26
	offsetWidthBits   = 5
	southPole         = -90_00000
	antimeridian      = -180_00000
)

// fixed is a point in 1e-5 degree.
type fixed struct{ lat, lon int32 }

func (f fixed) point() Point {
	// Exact division is rounded once: the very number that "53.79617" parses to.
	return Point{Lat: float64(f.lat) / 1e5, Lon: float64(f.lon) / 1e5}
}

// unit is a point by inward code, as in Postcode.
type unit struct {
	inward uint16
	at     fixed
}

// sector is a header, taken apart.
type sector struct {
	stream int // offset in the block
	units  int
	mean   fixed
}

// sectorAt reads the nth header.
func (b block) sectorAt(n int) sector {
	h := b[2+n*sectorHeaderBytes:]
	return sector{
		stream: int(binary.LittleEndian.Uint16(h)),
		units:  int(binary.LittleEndian.Uint16(h[2:])),
		mean:   fixed{int32(binary.LittleEndian.Uint32(h[4:])), int32(binary.LittleEndian.Uint32(h[8:]))},
	}
}

func (b block) sectorMask() uint32 { return uint32(binary.LittleEndian.Uint16(b)) }

// sector finds the header of a digit.
func (b block) sector(digit int) (s sector, ok bool) {
	mask := b.sectorMask()
	if mask>>digit&1 == 0 {
		return sector{}, false
	}
	return b.sectorAt(bits.OnesCount32(mask & (1<<digit - 1))), true
}

// find returns the point of the unit with these letters (numbers in unitLetters).
func (b block) find(s sector, first, second int) (at fixed, ok bool) {
	r := b.rows(s)
	for r.next() && r.first <= first {
		if r.first == first {
			if r.seconds>>second&1 == 0 {
				return fixed{}, false
			}
			return r.unit(bits.OnesCount32(r.seconds & (1<<second - 1))), true
		}
	}
	return fixed{}, false
}

// nth returns the nth unit of the block, from 0; n must be below its count.
func (b block) nth(n int) unit {
	mask, number := b.sectorMask(), 0
	s := b.sectorAt(0)
	for n >= s.units {
		n -= s.units
		mask &= mask - 1
		number++
		s = b.sectorAt(number)
	}
	r := b.rows(s)
	for r.next() && n >= r.units {
		n -= r.units
	}
	seconds := r.seconds
	for range n {
		seconds &= seconds - 1
	}
	return unit{unitInward(bits.TrailingZeros32(mask), r.first, bits.TrailingZeros32(seconds)), r.unit(n)}
}

// appendUnits appends every unit, in order.
func (b block) appendUnits(units []unit) []unit {
	number := 0
	for mask := b.sectorMask(); mask != 0; mask &= mask - 1 {
		r := b.rows(b.sectorAt(number))
		number++
		for r.next() {
			seconds := r.seconds
			for n := range r.units {
				inward := unitInward(bits.TrailingZeros32(mask), r.first, bits.TrailingZeros32(seconds))
				units = append(units, unit{inward, r.unit(n)})
				seconds &= seconds - 1
			}
		}
	}
	return units
}

// rows steps through the rows of a sector, reading only their headers.
type rows struct {
	bits     bitReader
	low      fixed // of the sector
	widthLat uint  // of a row's offset
	widthLon uint
	firsts   uint32 // letters of the rows to come

	first   int    // letter of this row
	seconds uint32 // its units
	units   int
	repeats uint32 // bit n: unit n has the point of unit n-1
	base    fixed
	unitLat uint // widths of a unit's offset
	unitLon uint
	values  int // where they begin, in bits
}

func (b block) rows(s sector) rows {
	r := rows{bits: bitReader{data: b, at: s.stream * 8}}
	r.low.lat = int32(r.bits.read(latitudeBits)) + southPole
	r.low.lon = int32(r.bits.read(longitudeBits)) + antimeridian
	r.widthLat = uint(r.bits.read(offsetWidthBits))
	r.widthLon = uint(r.bits.read(offsetWidthBits))
	r.firsts = uint32(r.bits.read(uint(letters)))
	return r
}

func (r *rows) next() bool {
	if r.firsts == 0 {
		return false
	}
	r.first = bits.TrailingZeros32(r.firsts)
	r.firsts &= r.firsts - 1
	head := r.bits.read(uint(letters) + 1 + 2*offsetWidthBits)
	r.seconds = uint32(head & (1<<letters - 1))
	r.units = bits.OnesCount32(r.seconds)
	head >>= letters
	anyRepeats := head&1 == 1
	head >>= 1
	r.unitLat = uint(head & (1<<offsetWidthBits - 1))
	r.unitLon = uint(head >> offsetWidthBits)
	r.base.lat = r.low.lat + int32(r.bits.read(r.widthLat))
	r.base.lon = r.low.lon + int32(r.bits.read(r.widthLon))
	r.repeats = 0
	if anyRepeats {
		r.repeats = uint32(r.bits.read(uint(r.units-1))) << 1
	}
	r.values = r.bits.at
	r.bits.at += (r.units - bits.OnesCount32(r.repeats)) * int(r.unitLat+r.unitLon)
	return true
}

// unit returns the point of the nth unit of the row.
func (r *rows) unit(n int) fixed {
	value := n - bits.OnesCount32(r.repeats&(1<<(n+1)-1))
	at := bitReader{data: r.bits.data, at: r.values + value*int(r.unitLat+r.unitLon)}
	lat := int32(at.read(r.unitLat))
	return fixed{r.base.lat + lat, r.base.lon + int32(at.read(r.unitLon))}
}

// bitReader reads numbers of up to 57 bits, lowest bit first.
type bitReader struct {
	data []byte
	at   int // in bits
}

func (r *bitReader) read(width uint) uint64 {
	word := binary.LittleEndian.Uint64(r.data[r.at>>3:])
	word = word >> (r.at & 7) & (1<<width - 1)
	r.at += int(width)
	return word
}
