package callers

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
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
	id    [12]byte
	made  uint32           // Unix time
	until [purposes]uint32 // Unix times: so long the visitor needs no proof
}

const (
	// TicketLife is how long a ticket is good for. Whoever shows an older one is somebody new.
	TicketLife = 24 * time.Hour
	// StandingLife is how long a visitor needs no other proof after one, or after a booking.
	StandingLife = 30 * time.Minute

	ticketVersion = 1
	ticketBody    = 1 + 12 + 4 + 4*int(purposes)
	signatureSize = 16
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

// signer signs for one purpose.
type signer [sha256.Size]byte

// newSigner derives the purpose's key.
func newSigner(key [32]byte, purpose string) signer {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(purpose))
	return signer(mac.Sum(nil))
}

func (s *signer) sign(parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, s[:])
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)[:signatureSize]
}

var encoding = base64.RawURLEncoding.Strict()

// opened splits what was signed into body and signature; nil where the text cannot be one.
func opened(text string, size int) (body, signature []byte) {
	if len(text) != encoding.EncodedLen(size+signatureSize) {
		return nil, nil
	}
	all, err := encoding.DecodeString(text)
	if err != nil || len(all) != size+signatureSize { // line ends in it are passed over
		return nil, nil
	}
	return all[:size], all[size:]
}

// Ticket writes a visitor's ticket: opaque, 55 characters that may stand in any header.
func (l *Limits) Ticket(v *Visitor) string {
	b := append(make([]byte, 0, ticketBody+signatureSize), ticketVersion)
	b = binary.BigEndian.AppendUint32(append(b, v.id[:]...), v.made)
	for _, until := range v.until {
		b = binary.BigEndian.AppendUint32(b, until)
	}
	return encoding.EncodeToString(append(b, l.tickets.sign(b)...))
}

// Visitor reads a ticket; nil where it is none of this installation's, or too old.
func (l *Limits) Visitor(ticket string, now time.Time) *Visitor {
	body, signature := opened(ticket, ticketBody)
	if body == nil || !hmac.Equal(signature, l.tickets.sign(body)) || body[0] != ticketVersion {
		return nil
	}
	v := &Visitor{id: [12]byte(body[1:13]), made: binary.BigEndian.Uint32(body[13:])}
	for p := range v.until {
		v.until[p] = binary.BigEndian.Uint32(body[17+4*p:])
	}
	if now.Sub(time.Unix(int64(v.made), 0)) > TicketLife {
		return nil
	}
	return v
}
