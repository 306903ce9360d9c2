package geo

import (
	"cmp"
	"fmt"
	"slices"
)

// Postcodes maps postcodes to points. It is immutable and safe for concurrent
// use; With makes a new one. The zero value knows none.
type Postcodes struct {
	outcodes []outcode // sorted by key
	units    int
}

type outcode struct {
	key   uint32 // as in Postcode
	first int32  // units in the outcodes before
	units int32
	mean  fixed
	block block
}

// Located is where a postcode is.
type Located struct {
	// Postcode is the canonical form of what was asked for (LS1 4AP), also
	// where only its sector or outcode is known.
	Postcode string
	// Point is of the unit, or the middle of what Precision says, in steps of
	// 1e-5 degree: 1.1 m north, 0.7 m east.
	Point Point
	// Precision is what Point stands for.
	Precision Precision
}

// Lookup parses the text as ParsePostcode does and locates it as Locate does.
// A text that is canonical already is given back, and nothing is allocated.
// The error is a *PostcodeError wrapping ErrPostcodeMalformed or ErrPostcodeUnknown.
func (p *Postcodes) Lookup(text string) (Located, error) {
	postcode, err := ParsePostcode(text)
	if err != nil {
		return Located{}, err
	}
	return p.locate(postcode, text)
}

// Locate finds the point of a unit, else the middle of its sector, else of its
// outcode; or, asked for a sector or outcode, begins there. Terminated
// postcodes are found like living ones. It takes under a microsecond
// and allocates only the string.
//
// The error is a *PostcodeError wrapping ErrPostcodeUnknown.
func (p *Postcodes) Locate(postcode Postcode) (Located, error) { return p.locate(postcode, "") }

func (p *Postcodes) locate(postcode Postcode, text string) (Located, error) {
	n, ok := p.search(postcode.outcode)
	if !ok {
		return Located{}, errOutcodeUnknown
	}
	at, precision := p.outcodes[n].locate(postcode)
	return Located{Postcode: postcode.textOr(text), Point: at.point(), Precision: precision}, nil
}

func (o *outcode) locate(postcode Postcode) (fixed, Precision) {
	wanted := postcode.Precision()
	if wanted == PrecisionOutcode {
		return o.mean, PrecisionOutcode
	}
	s, ok := o.block.sector(postcode.digit())
	if !ok {
		return o.mean, PrecisionOutcode
	}
	if wanted == PrecisionUnit {
		_, first, second := postcode.unitParts()
		if at, ok := o.block.find(s, first, second); ok {
			return at, PrecisionUnit
		}
	}
	return s.mean, PrecisionSector
}

func (p *Postcodes) search(key uint32) (n int, ok bool) {
	return slices.BinarySearchFunc(p.outcodes, key, func(o outcode, key uint32) int {
		return cmp.Compare(o.key, key)
	})
}

// Len is the number of units (whole postcodes) with a point, terminated ones included.
func (p *Postcodes) Len() int { return p.units }

// At is the ith unit in the order of outcode, sector and letters, 0 ≤ i < Len,
// and panics otherwise. A uniform i draws a uniform postcode, and so roughly a
// uniform address, since each postcode stands for about as many.
func (p *Postcodes) At(i int) Located {
	if i < 0 || i >= p.units {
		panic(fmt.Sprintf("geo: postcode %d of %d", i, p.units))
	}
	n, found := slices.BinarySearchFunc(p.outcodes, i, func(o outcode, i int) int {
		return cmp.Compare(int(o.first), i)
	})
	if !found {
		n--
	}
	o := &p.outcodes[n]
	u := o.block.nth(i - int(o.first))
	return Located{
		Postcode:  Postcode{o.key, u.inward}.String(),
		Point:     u.at.point(),
		Precision: PrecisionUnit,
	}
}

// With returns these postcodes with those of the overlays added; where they
// differ the later overlay wins over the earlier and over what was there. The
// middles of the sectors and outcodes concerned are taken anew. Outcodes not
// concerned are shared, the others cost about 3 bytes a postcode. p is unchanged.
func (p *Postcodes) With(overlays ...*Overlay) *Postcodes {
	added := map[uint32][]unit{}
	for _, overlay := range overlays {
		for _, e := range overlay.entries {
			added[e.postcode.outcode] = append(added[e.postcode.outcode], unit{e.postcode.inward, e.at})
		}
	}
	merged := &Postcodes{outcodes: make([]outcode, 0, len(p.outcodes)+len(added))}
	for _, o := range p.outcodes {
		if units, ok := added[o.key]; ok {
			units = append(o.block.appendUnits(nil), units...)
			o = newOutcode(o.key, units)
			delete(added, o.key)
		}
		merged.outcodes = append(merged.outcodes, o)
	}
	for key, units := range added {
		merged.outcodes = append(merged.outcodes, newOutcode(key, units))
	}
	slices.SortFunc(merged.outcodes, func(a, b outcode) int { return cmp.Compare(a.key, b.key) })
	for i := range merged.outcodes {
		merged.outcodes[i].first = int32(merged.units)
		merged.units += int(merged.outcodes[i].units)
	}
	return merged
}

// newOutcode sorts the units, of equal ones keeping the last, and encodes them.
func newOutcode(key uint32, units []unit) outcode {
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(a.inward, b.inward) })
	kept := units[:0]
	for i, u := range units {
		if i+1 == len(units) || units[i+1].inward != u.inward {
			kept = append(kept, u)
		}
	}
	block, mean := encodeBlock(kept)
	return outcode{key: key, units: int32(len(kept)), mean: mean, block: block}
}
