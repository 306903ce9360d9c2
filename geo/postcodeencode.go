package geo

import (
	"encoding/binary"
	"math/bits"
)

// encodeBlock makes the block of one outcode, padding included, and the mean
// of its points. The units must be sorted by inward code, without duplicates
// and not empty; at most ten sectors of 441 units fill 38 KB, so offsets fit.
func encodeBlock(units []unit) (block, fixed) {
	var sectors [10][]unit
	mask := uint16(0)
	for _, u := range units {
		digit := int(u.inward-firstUnit) / unitsInDigit
		sectors[digit] = append(sectors[digit], u)
		mask |= 1 << digit
	}
	b := make(block, 2+bits.OnesCount16(mask)*sectorHeaderBytes, 64+7*len(units))
	binary.LittleEndian.PutUint16(b, mask)
	number := 0
	for _, s := range sectors {
		if len(s) == 0 {
			continue
		}
		h := b[2+number*sectorHeaderBytes:]
		mean := meanOf(s)
		binary.LittleEndian.PutUint16(h, uint16(len(b)))
		binary.LittleEndian.PutUint16(h[2:], uint16(len(s)))
		binary.LittleEndian.PutUint32(h[4:], uint32(mean.lat))
		binary.LittleEndian.PutUint32(h[8:], uint32(mean.lon))
		b = appendStream(b, s)
		number++
	}
	return append(b, make([]byte, blockPadding)...), meanOf(units)
}

// meanOf is the mean of latitudes and of longitudes: over the size of an
// outcode, and away from poles and antimeridian, that is the centroid.
func meanOf(units []unit) fixed {
	var lat, lon int64
	for _, u := range units {
		lat += int64(u.at.lat)
		lon += int64(u.at.lon)
	}
	n := int64(len(units))
	return fixed{int32(lat / n), int32(lon / n)}
}

func appendStream(b []byte, units []unit) []byte {
	low, high := boxOf(units)
	w := bitWriter{data: b}
	w.write(uint64(low.lat-southPole), latitudeBits)
	w.write(uint64(low.lon-antimeridian), longitudeBits)
	widthLat, widthLon := widthsOf(low, high)
	w.write(uint64(widthLat), offsetWidthBits)
	w.write(uint64(widthLon), offsetWidthBits)

	var rowUnits [letters][]unit
	firsts := uint64(0)
	for _, u := range units {
		first := int(u.inward-firstUnit) % unitsInDigit / unitsInRow
		rowUnits[first] = append(rowUnits[first], u)
		firsts |= 1 << first
	}
	w.write(firsts, uint(letters))
	for _, row := range rowUnits {
		if len(row) > 0 {
			w.writeRow(row, low, widthLat, widthLon)
		}
	}
	return w.flush()
}

func (w *bitWriter) writeRow(units []unit, sectorLow fixed, widthLat, widthLon uint) {
	low, high := boxOf(units)
	unitLat, unitLon := widthsOf(low, high)
	var seconds, repeats uint64
	for n, u := range units {
		seconds |= 1 << (int(u.inward-firstUnit) % unitsInRow)
		if n > 0 && u.at == units[n-1].at {
			repeats |= 1 << (n - 1)
		}
	}
	// The flags must pay for themselves; without them a repeat is written out.
	saved := bits.OnesCount64(repeats) * int(unitLat+unitLon)
	anyRepeats := uint64(0)
	if saved > len(units)-1 {
		anyRepeats = 1
	} else {
		repeats = 0
	}
	w.write(seconds, uint(letters))
	w.write(anyRepeats, 1)
	w.write(uint64(unitLat), offsetWidthBits)
	w.write(uint64(unitLon), offsetWidthBits)
	w.write(uint64(low.lat-sectorLow.lat), widthLat)
	w.write(uint64(low.lon-sectorLow.lon), widthLon)
	if anyRepeats == 1 {
		w.write(repeats, uint(len(units)-1))
	}
	for n, u := range units {
		if n > 0 && repeats>>(n-1)&1 == 1 {
			continue
		}
		w.write(uint64(u.at.lat-low.lat), unitLat)
		w.write(uint64(u.at.lon-low.lon), unitLon)
	}
}

func boxOf(units []unit) (low, high fixed) {
	low, high = units[0].at, units[0].at
	for _, u := range units[1:] {
		low.lat, low.lon = min(low.lat, u.at.lat), min(low.lon, u.at.lon)
		high.lat, high.lon = max(high.lat, u.at.lat), max(high.lon, u.at.lon)
	}
	return low, high
}

func widthsOf(low, high fixed) (lat, lon uint) {
	return uint(bits.Len32(uint32(high.lat - low.lat))), uint(bits.Len32(uint32(high.lon - low.lon)))
}

// bitWriter appends numbers of up to 32 bits, lowest bit first.
type bitWriter struct {
	data    []byte
	pending uint64
	held    uint
}

func (w *bitWriter) write(value uint64, width uint) {
	w.pending |= value << w.held
	w.held += width
	for w.held >= 8 {
		w.data = append(w.data, byte(w.pending))
		w.pending >>= 8
		w.held -= 8
	}
}

// flush fills the last byte with zeros.
func (w *bitWriter) flush() []byte {
	if w.held > 0 {
		w.data = append(w.data, byte(w.pending))
	}
	return w.data
}
