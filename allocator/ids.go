package allocator

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// RequestKey names one request of one client at one site for ever: 9 bytes of HMAC(secret, client, Idempotency-Key, site).
type RequestKey [9]byte

// Stamp is when and in which generation of a shard a grant was made: 2 bytes of the epoch and 7 bytes of Redis TIME in
// microseconds, both big-endian.
type Stamp [9]byte

// MakeStamp packs an epoch and an instant in microseconds since 1970.
func MakeStamp(epoch int64, micros int64) (s Stamp) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(micros))
	s[0], s[1] = byte(epoch>>8), byte(epoch)
	copy(s[2:], b[1:])
	return s
}

// Millis is the instant of a stamp in milliseconds since 1970.
func (s Stamp) Millis() int64 {
	var b [8]byte
	copy(b[1:], s[2:])
	return int64(binary.BigEndian.Uint64(b[:]) / 1000)
}

// HoldID names one grant for ever: its request key and its stamp. A request that is granted again after a loss gets
// another stamp, so messages about the first grant never touch the second.
type HoldID struct {
	Key   RequestKey
	Stamp Stamp
}

// HoldIDBytes is the length of a hold id in every store.
const HoldIDBytes = 18

// Bytes is the id as it is stored.
func (h HoldID) Bytes() []byte {
	return append(append(make([]byte, 0, HoldIDBytes), h.Key[:]...), h.Stamp[:]...)
}

// String is the id for logs, in hexadecimal.
func (h HoldID) String() string { return hex.EncodeToString(h.Bytes()) }

// HoldIDFrom reads what Bytes wrote.
func HoldIDFrom[T ~string | ~[]byte](b T) (h HoldID, ok bool) {
	if len(b) != HoldIDBytes {
		return h, false
	}
	copy(h.Key[:], b[:9])
	copy(h.Stamp[:], b[9:])
	return h, true
}

// BookingKey is the ledger's primary key of a claim of a request: 60 pseudo-random bits, always positive. It is derived
// from the request and the claim's index, so a request has one row per claim for ever, whichever grant was confirmed.
type BookingKey int64

// BookingKeyBits is the width of a booking key. With a hundred million rows the chance that a new one meets any is 10⁻¹⁰;
// such a request is refused, and a fresh Idempotency-Key succeeds.
const BookingKeyBits = 60

// PersonKey is HMAC(secret, NHS number): the only form in which the number leaves the confirm. Zero means none.
type PersonKey [16]byte

// Request derives the key of a client's request at a site.
func (s *Secret) Request(client, idempotencyKey string, site SiteID) (k RequestKey) {
	sum := s.request.sum(client, idempotencyKey, string(site))
	copy(k[:], sum[:])
	return k
}

// Booking derives the key of the row that claim index of a request has in the ledger.
func (s *Secret) Booking(request RequestKey, index int) BookingKey {
	sum := s.booking.sum(string(request[:]), string(rune(index)))
	return BookingKey(binary.BigEndian.Uint64(sum[:8]) >> (64 - BookingKeyBits))
}

// Person derives a person's key from a normalised NHS number.
func (s *Secret) Person(nhsNumber string) (k PersonKey) {
	sum := s.person.sum(nhsNumber)
	copy(k[:], sum[:])
	return k
}

// alphabet is Crockford's base 32: no I, L, O, U, so that it reads aloud and copies by hand.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Reference writes a booking key for people: XXXX-XXXX-XXXX-C, twelve characters of base 32 and a check character that
// catches any one wrong character and any two neighbours exchanged.
func (k BookingKey) Reference() string {
	text := k.reference()
	return string(text[:])
}

// reference is Reference without a string to keep.
func (k BookingKey) reference() (text [16]byte) {
	var digits [12]byte
	at := 0
	for i := range digits {
		digits[i] = byte(k>>(55-5*i)) & 31
		if i > 0 && i%4 == 0 {
			text[at] = '-'
			at++
		}
		text[at] = alphabet[digits[i]]
		at++
	}
	text[at], text[at+1] = '-', alphabet[checkDigit(digits[:])]
	return text
}

// ParseReference reads a reference in either case, with or without separators, taking O for 0 and I and L for 1.
func ParseReference(text string) (BookingKey, bool) {
	if len(text) > 40 {
		return 0, false
	}
	var digits []byte
	for _, r := range strings.ToUpper(text) {
		switch r {
		case '-', ' ':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		i := strings.IndexRune(alphabet, r)
		if i < 0 || len(digits) == 13 {
			return 0, false
		}
		digits = append(digits, byte(i))
	}
	if len(digits) != 13 || checkDigit(digits[:12]) != digits[12] {
		return 0, false
	}
	var k BookingKey
	for _, d := range digits[:12] {
		k = k<<5 | BookingKey(d)
	}
	return k, true
}

// checkDigit is the sum of the digits, each times a different power of the generator 2 of GF(32) (x⁵+x²+1).
func checkDigit(digits []byte) byte {
	var sum byte
	for i, d := range digits {
		sum ^= weighted[i][d&31]
	}
	return sum
}

// weighted are the digits times each position's power, from the first on.
var weighted = func() (table [12][32]byte) {
	weight := byte(1)
	for i := range table {
		weight = gfMultiply(weight, 2)
		for d := range table[i] {
			table[i][d] = gfMultiply(weight, byte(d))
		}
	}
	return table
}()

func gfMultiply(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			product ^= a
		}
		if a <<= 1; a&32 != 0 {
			a ^= 0b100101
		}
	}
	return product
}

// ValidNHSNumber normalises an NHS number (spaces and hyphens dropped) and checks its check digit (modulus 11, NHS Data
// Dictionary).
func ValidNHSNumber(text string) (string, bool) {
	var digits []byte
	for _, r := range text {
		if r == ' ' || r == '-' {
			continue
		}
		if r < '0' || r > '9' || len(digits) == 10 {
			return "", false
		}
		digits = append(digits, byte(r))
	}
	if len(digits) != 10 {
		return "", false
	}
	sum := 0
	for i, d := range digits[:9] {
		sum += int(d-'0') * (10 - i)
	}
	check := (11 - sum%11) % 11
	return string(digits), check < 10 && check == int(digits[9]-'0')
}
