package waitingroom

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"muster/allocator"
)

// RoomID names one opening of a service's waiting room. Tickets of another are worth nothing.
type RoomID [8]byte

// MarshalText writes hexadecimal digits.
func (r RoomID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, r[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *RoomID) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(r) {
		return errTicket
	}
	_, err := hex.Decode(r[:], text)
	return err
}

// TicketID is random. It says nothing about a person.
type TicketID [16]byte

// Area is the outward part of a postcode, such as LS1, or nothing.
type Area [4]byte

// AreaOf takes letters and digits; ok is false for what is no outward code.
func AreaOf(text string) (a Area, ok bool) {
	ok = len(text) >= 2 && len(text) <= len(a)
	for i := 0; ok && i < len(text); i++ {
		ok = text[i] >= 'A' && text[i] <= 'Z' || text[i] >= '0' && text[i] <= '9'
	}
	if ok {
		copy(a[:], text)
	}
	return a, ok
}

// Text is the area as AreaOf took it.
func (a *Area) Text() string { return string(a.bytes()) }

func (a *Area) bytes() []byte {
	n := 0
	for n < len(a) && a[n] != 0 {
		n++
	}
	return a[:n]
}

// kind tells tickets from passes.
type kind byte

const (
	ticketKind kind = 1 // At is when its owner came; 0: to be drawn
	passKind   kind = 2 // At is when it ends
)

// slip is what people carry: a ticket, or the pass that they got for one.
type slip struct {
	Kind kind
	Room RoomID
	ID   TicketID // of the ticket, in both
	At   Instant
	Area Area
}

const (
	slipBytes  = 1 + 8 + 16 + 8 + 4
	slipLength = (slipBytes + allocator.SealBytes) * 8 / 6 // in base64: there is no remainder
)

var (
	slipEncoding = base64.RawURLEncoding.Strict()
	errTicket    = errors.New("no ticket of this installation")
)

// write makes a slip an opaque text that is refused when any byte of it differs.
func (s *slip) write(seals *allocator.Seals) string {
	var room [slipBytes + allocator.SealBytes]byte
	b := append(room[:0], byte(s.Kind))
	b = append(append(b, s.Room[:]...), s.ID[:]...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(s.At)), s.Area[:]...)
	return slipEncoding.EncodeToString(seals.Append(b))
}

// read reads what write wrote. It allocates nothing.
func read(seals *allocator.Seals, want kind, text []byte) (s slip, err error) {
	s, sealed, err := decode(text)
	if err != nil {
		return s, err
	}
	if _, ok := seals.Open(sealed[:]); !ok || s.Kind != want {
		return slip{}, errTicket
	}
	return s, nil
}

// decode reads a slip without looking at its seal.
func decode(text []byte) (s slip, sealed [slipBytes + allocator.SealBytes]byte, err error) {
	if len(text) != slipLength {
		return s, sealed, errTicket
	}
	if _, err := slipEncoding.Decode(sealed[:], text); err != nil {
		return s, sealed, errTicket
	}
	b := sealed[:]
	s.Kind = kind(b[0])
	copy(s.Room[:], b[1:])
	copy(s.ID[:], b[9:])
	s.At = Instant(binary.BigEndian.Uint64(b[25:]))
	copy(s.Area[:], b[33:])
	return s, sealed, nil
}

// IDOf reads the id out of a ticket or a pass, for those who check a draw. It says nothing about whether that is genuine.
func IDOf(text string) (TicketID, error) {
	s, _, err := decode([]byte(text))
	return s.ID, err
}

func newTicketID() (id TicketID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}
