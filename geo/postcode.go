package geo

import (
	"errors"
	"unicode"
)

var (
	// ErrPostcodeMalformed says that a text is no postcode, outcode or sector.
	ErrPostcodeMalformed = errors.New("geo: postcode malformed")
	// ErrPostcodeUnknown says that a well-formed postcode is in no known outcode.
	ErrPostcodeUnknown = errors.New("geo: postcode unknown")
)

// PostcodeError says what is wrong with a postcode. It wraps
// ErrPostcodeMalformed or ErrPostcodeUnknown, and deliberately leaves out the
// text: where someone lives does not belong in a log by accident.
type PostcodeError struct {
	Reason string
	Err    error
}

func (e *PostcodeError) Error() string { return e.Err.Error() + ": " + e.Reason }

func (e *PostcodeError) Unwrap() error { return e.Err }

var (
	errPostcodeEmpty    = &PostcodeError{"it is empty", ErrPostcodeMalformed}
	errPostcodeLong     = &PostcodeError{"it is too long", ErrPostcodeMalformed}
	errPostcodeAlphabet = &PostcodeError{"only letters, digits and spaces belong in it", ErrPostcodeMalformed}
	errPostcodeInward   = &PostcodeError{"the last two letters are never C, I, K, M or O", ErrPostcodeMalformed}
	errPostcodeShape    = &PostcodeError{"write it like LS1 4AP, or its first part like LS1", ErrPostcodeMalformed}
	errOutcodeUnknown   = &PostcodeError{"no postcode begins like this", ErrPostcodeUnknown}
)

// Precision says how much of the postcode a point stands for.
type Precision uint8

const (
	// PrecisionUnit is a whole postcode (LS1 4AP), about 15 addresses; the
	// point is the address nearest to their middle.
	PrecisionUnit Precision = iota + 1
	// PrecisionSector is LS1 4; the point is the mean of its units.
	PrecisionSector
	// PrecisionOutcode is LS1; the point is the mean of its units.
	PrecisionOutcode
)

// String is "unit", "sector", "outcode", or "unknown" for anything else.
func (p Precision) String() string {
	switch p {
	case PrecisionUnit:
		return "unit"
	case PrecisionSector:
		return "sector"
	case PrecisionOutcode:
		return "outcode"
	}
	return "unknown"
}

// Postcode is a well-formed UK postcode, or the outcode or sector of one,
// whether it exists or not. Postcodes are comparable; ParsePostcode makes them.
// The zero value is none.
type Postcode struct {
	outcode uint32 // up to four ASCII characters, the first in the highest byte
	inward  uint16 // 0 outcode; 1+digit sector; firstUnit + unit number unit
}

// unitLetters are the letters of an inward code: never C, I, K, M or O, which
// are misread (BS 7666-0). V is not issued either, but one terminated postcode
// of the source has it (NPT 0VA).
const unitLetters = "ABDEFGHJLNPQRSTUVWXYZ"

const (
	letters      = len(unitLetters)
	unitsInRow   = letters           // 4A_
	unitsInDigit = letters * letters // 4__
	firstUnit    = 11
)

// letterNumber is the place of a letter in unitLetters, from 1; 0: not there.
var letterNumber = func() (number [256]uint8) {
	for i := range letters {
		number[unitLetters[i]] = uint8(i + 1)
	}
	return number
}()

// maxPostcodeBytes leaves room for generous spacing, and bounds the work.
const maxPostcodeBytes = 64

// ParsePostcode reads a postcode (LS1 4AP), an outcode (LS1) or a sector
// (LS1 4). Case and spacing do not matter, nor do full-width forms and
// invisible characters; other characters do, and nothing is guessed. It allocates nothing.
//
// Without any space, LS14 is the outcode; a space before the last digit makes
// it the sector LS1 4. The shapes are those of BS 7666-0: one or two letters,
// a digit, perhaps another digit or a letter; then a digit and two letters.
// Beyond them only GIR and NPT, once issued, are outcodes.
//
// The error is a *PostcodeError wrapping ErrPostcodeMalformed.
func ParsePostcode(text string) (Postcode, error) {
	if len(text) > maxPostcodeBytes {
		return Postcode{}, errPostcodeLong
	}
	var compact [8]byte
	n := 0
	spaced, spaceBeforeLast := false, false
	for _, r := range text {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			spaced = true
			continue
		}
		c, ok := plain(r)
		if !ok {
			return Postcode{}, errPostcodeAlphabet
		}
		if n == len(compact) {
			return Postcode{}, errPostcodeLong
		}
		compact[n] = c
		n++
		spaceBeforeLast, spaced = spaced, false
	}
	if n == 0 {
		return Postcode{}, errPostcodeEmpty
	}
	return parseCompact(compact[:n], spaceBeforeLast)
}

// plain is the upper-case ASCII letter or digit that r stands for.
func plain(r rune) (byte, bool) {
	if r >= '！' && r <= '～' { // full-width forms of ! … ~
		r -= '！' - '!'
	}
	switch {
	case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return byte(r), true
	case r >= 'a' && r <= 'z':
		return byte(r - 'a' + 'A'), true
	}
	return 0, false
}

func parseCompact(c []byte, spaceBeforeLast bool) (Postcode, error) {
	n := len(c)
	if n > 3 && isDigit(c[n-3]) && isLetter(c[n-2]) && isLetter(c[n-1]) {
		if out, ok := packOutcode(c[:n-3]); ok {
			first, second := letterNumber[c[n-2]], letterNumber[c[n-1]]
			if first == 0 || second == 0 {
				return Postcode{}, errPostcodeInward
			}
			return Postcode{out, unitInward(int(c[n-3]-'0'), int(first)-1, int(second)-1)}, nil
		}
	}
	whole, isOutcode := packOutcode(c)
	if isDigit(c[n-1]) && (spaceBeforeLast || !isOutcode) {
		if out, ok := packOutcode(c[:n-1]); ok {
			return Postcode{out, uint16(c[n-1]-'0') + 1}, nil
		}
	}
	if isOutcode {
		return Postcode{whole, 0}, nil
	}
	return Postcode{}, errPostcodeShape
}

// packOutcode checks the shapes A9, A99, A9A, AA9, AA99, AA9A, GIR and NPT.
func packOutcode(c []byte) (packed uint32, ok bool) {
	if len(c) < 2 || len(c) > 4 || !isLetter(c[0]) {
		return 0, false
	}
	for i, b := range c {
		packed |= uint32(b) << (24 - 8*i)
	}
	if packed == 'G'<<24|'I'<<16|'R'<<8 || packed == 'N'<<24|'P'<<16|'T'<<8 {
		return packed, true
	}
	rest := c[1:]
	if isLetter(rest[0]) {
		rest = rest[1:]
	}
	return packed, (len(rest) == 1 || len(rest) == 2) && isDigit(rest[0])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'A' && c <= 'Z' }

// unitInward packs the inward code of digit and two letters, numbered from 0.
func unitInward(digit, first, second int) uint16 {
	return uint16(firstUnit + digit*unitsInDigit + first*unitsInRow + second)
}

// unitParts undoes unitInward; p must be a unit.
func (p Postcode) unitParts() (digit, first, second int) {
	number := int(p.inward) - firstUnit
	return number / unitsInDigit, number % unitsInDigit / unitsInRow, number % unitsInRow
}

// digit of a sector or unit.
func (p Postcode) digit() int {
	if p.inward < firstUnit {
		return int(p.inward) - 1
	}
	return (int(p.inward) - firstUnit) / unitsInDigit
}

// Precision says whether p is a unit, a sector or an outcode; 0 for the zero value.
func (p Postcode) Precision() Precision {
	switch {
	case p.outcode == 0:
		return 0
	case p.inward == 0:
		return PrecisionOutcode
	case p.inward < firstUnit:
		return PrecisionSector
	}
	return PrecisionUnit
}

// String is the canonical form: LS1 4AP, LS1 4 or LS1; empty for the zero value.
func (p Postcode) String() string {
	text, n := p.canonical()
	return string(text[:n])
}

// textOr is String, for which it gives back what is the same already instead of a new one.
func (p Postcode) textOr(same string) string {
	text, n := p.canonical()
	if string(text[:n]) == same {
		return same
	}
	return string(text[:n])
}

func (p Postcode) canonical() (text [8]byte, n int) {
	for shift := 24; shift >= 0; shift -= 8 {
		if c := byte(p.outcode >> shift); c != 0 {
			text[n] = c
			n++
		}
	}
	switch p.Precision() {
	case PrecisionSector:
		n += copy(text[n:], []byte{' ', '0' + byte(p.digit())})
	case PrecisionUnit:
		digit, first, second := p.unitParts()
		n += copy(text[n:], []byte{' ', '0' + byte(digit), unitLetters[first], unitLetters[second]})
	}
	return text, n
}
