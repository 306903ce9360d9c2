package callers

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"muster/allocator"
)

// Purpose is what a standing is for.
type Purpose byte

// The purposes.
const (
	ToHold   Purpose = iota // holds
	ToSearch                // searches, and whatever else reads what is free
	purposes
)

// Visitor is somebody who cannot be named and can be told from others. The ticket is all that there is of it.
type Visitor struct {
	id    [idBytes]byte
	made  uint32           // Unix time
	until [purposes]uint32 // Unix times: so long the visitor needs no proof
}

const (
	// TicketLife is how long a ticket is good for. Whoever shows an older one is somebody new.
	TicketLife = 24 * time.Hour
	// StandingLife is how long a visitor needs no other proof after one, or after a booking.
	StandingLife = 30 * time.Minute

	ticketVersion = 1
	ticketBody    = 1 + idBytes + 4 + 4*int(purposes)
	idBytes       = 12
)

// NewVisitor is somebody new.
func NewVisitor(now time.Time) *Visitor {
	v := &Visitor{made: uint32(now.Unix())}
	_, _ = rand.Read(v.id[:]) // never fails
	return v
}

func (v *Visitor) key() string { return string(v.id[:]) }

// stands says whether the visitor needs no proof.
func (v *Visitor) stands(p Purpose, now time.Time) bool { return uint32(now.Unix()) < v.until[p] }

// stand lets the visitor do without proofs for a while.
func (v *Visitor) stand(p Purpose, now time.Time) {
	v.until[p] = uint32(now.Add(StandingLife).Unix())
}

var encoding = base64.RawURLEncoding.Strict()

// opened is what was sealed as a text of so many bytes whose first one is its kind and version, together with what it does not
// have; nil where it was not.
func (l *Limits) opened(text string, version byte, size int, untold ...byte) []byte {
	if len(text) != encoding.EncodedLen(size+allocator.SealBytes) {
		return nil
	}
	sealed, err := encoding.DecodeString(text)
	if err != nil || len(sealed) != size+allocator.SealBytes { // line ends in it are passed over
		return nil
	}
	body, ok := l.options.Seals.Open(slices.Insert(sealed, size, untold...))
	if !ok || body[0] != version {
		return nil
	}
	return body[:size]
}

// Ticket writes a visitor's ticket: opaque, 51 characters that may stand in any header.
func (l *Limits) Ticket(v *Visitor) string {
	b := append(make([]byte, 0, ticketBody+allocator.SealBytes), ticketVersion)
	b = binary.BigEndian.AppendUint32(append(b, v.id[:]...), v.made)
	for _, until := range v.until {
		b = binary.BigEndian.AppendUint32(b, until)
	}
	return encoding.EncodeToString(l.options.Seals.Append(b))
}

// Visitor reads a ticket; nil where it is none of this installation's, or too old.
func (l *Limits) Visitor(ticket string, now time.Time) *Visitor {
	body := l.opened(ticket, ticketVersion, ticketBody)
	if body == nil {
		return nil
	}
	v := &Visitor{id: [idBytes]byte(body[1:]), made: binary.BigEndian.Uint32(body[1+idBytes:])}
	for p := range v.until {
		v.until[p] = binary.BigEndian.Uint32(body[1+idBytes+4+4*p:])
	}
	if now.Sub(time.Unix(int64(v.made), 0)) > TicketLife {
		return nil
	}
	return v
}
