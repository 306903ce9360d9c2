package allocator

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
)

// leg is one site's part of a hold: a grant with what is needed to confirm it even when the inventory has lost it.
type leg struct {
	ID         HoldID
	Site       SiteID
	Epoch      int64
	DeadlineMs int64
	GraceMs    int64
	Claims     []legClaim
}

// legClaim is one claim of a leg. Index is its position in the request.
type legClaim struct {
	Index   int
	Start   Minute
	Length  int16
	Date    Date
	Service ServiceCode
	Place   int32
}

func (l *leg) slot(i int) SlotID { return SlotID{l.Site, l.Claims[i].Start, l.Claims[i].Length} }

// ticket is what a hold's token carries.
type ticket struct{ Legs []leg }

// claims counts the claims of all legs.
func (t *ticket) claims() (n int) {
	for i := range t.Legs {
		n += len(t.Legs[i].Claims)
	}
	return n
}

const (
	ticketVersion  = 1 // signed by key 0
	numberedTicket = 2 // the key's number follows
	signatureBytes = 16
	maxTokenBytes  = 4096
)

var tokenEncoding = base64.RawURLEncoding.Strict()

// sign writes a ticket as an opaque token: URL-safe, self-contained, and refused when any byte of it differs.
func (s *Secret) sign(t *ticket) string {
	var room [256]byte
	b := append(room[:0], ticketVersion)
	if id := s.hold.active; id != 0 {
		b = append(room[:0], numberedTicket, id)
	}
	b = append(b, byte(len(t.Legs)))
	for i := range t.Legs {
		l := &t.Legs[i]
		b = append(append(b, l.ID.Key[:]...), l.ID.Stamp[:]...)
		b = appendText(b, string(l.Site))
		b = binary.AppendUvarint(b, uint64(l.Epoch))
		b = binary.AppendUvarint(b, uint64(l.DeadlineMs))
		b = binary.AppendUvarint(b, uint64(l.GraceMs))
		b = append(b, byte(len(l.Claims)))
		for _, c := range l.Claims {
			b = append(b, byte(c.Index))
			b = binary.AppendVarint(b, int64(c.Start))
			b = binary.AppendUvarint(b, uint64(c.Length))
			b = binary.AppendVarint(b, int64(c.Date))
			b = appendText(b, string(c.Service))
			b = binary.AppendUvarint(b, uint64(c.Place))
		}
	}
	signature := s.hold.keys[s.hold.active].sumBytes(b)
	b = append(b, signature[:signatureBytes]...)
	var text [512]byte
	return string(tokenEncoding.AppendEncode(text[:0], b))
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

var errToken = errors.New("not a token of this installation")

// open reads what sign wrote.
func (s *Secret) open(token string) (*ticket, error) {
	if len(token) > maxTokenBytes {
		return nil, errToken
	}
	var room [512]byte
	b, err := tokenEncoding.AppendDecode(room[:0], []byte(token))
	if err != nil || len(b) < signatureBytes+3 || tokenEncoding.EncodedLen(len(b)) != len(token) { // base64 skips line ends
		return nil, errToken
	}
	body, signature := b[:len(b)-signatureBytes], b[len(b)-signatureBytes:]
	id, rest := byte(0), body[1:]
	if body[0] == numberedTicket {
		id, rest = body[1], body[2:]
	}
	if !s.hold.knows(id) {
		return nil, errToken
	}
	right := s.hold.keys[id].sumBytes(body)
	if !hmac.Equal(right[:signatureBytes], signature) || body[0] > numberedTicket || body[0] == 0 {
		return nil, errToken
	}
	r := &reader{rest: rest[1:]}
	t := &ticket{Legs: make([]leg, rest[0])}
	for i := range t.Legs {
		r.leg(&t.Legs[i])
	}
	if r.bad || len(r.rest) != 0 || len(t.Legs) == 0 {
		return nil, errToken
	}
	return t, nil
}

// reader takes a signed body apart. A fault makes every later read return zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) leg(l *leg) {
	l.ID, _ = HoldIDFrom(r.take(HoldIDBytes))
	l.Site = SiteID(r.text())
	l.Epoch, l.DeadlineMs, l.GraceMs = int64(r.uvarint()), int64(r.uvarint()), int64(r.uvarint())
	n := r.take(1)
	if r.bad {
		return
	}
	l.Claims = make([]legClaim, n[0])
	for i := range l.Claims {
		index := r.take(1)
		if r.bad {
			return
		}
		l.Claims[i] = legClaim{
			Index: int(index[0]), Start: Minute(r.varint()), Length: int16(r.uvarint()), Date: Date(r.varint()),
			Service: ServiceCode(r.text()), Place: int32(r.uvarint()),
		}
	}
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || len(r.rest) < n {
		r.bad = true
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) text() string { return string(r.take(int(min(r.uvarint(), maxTokenBytes)))) }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.take(n); n <= 0 {
		r.bad = true
		return 0
	}
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if r.take(n); n <= 0 {
		r.bad = true
		return 0
	}
	return v
}

// sealedPerson is the form in which a person's details are encrypted.
type sealedPerson struct {
	NHSNumber   string `json:"nhs,omitempty"`
	GivenName   string `json:"given,omitempty"`
	FamilyName  string `json:"family,omitempty"`
	DateOfBirth string `json:"born,omitempty"`
	Email       string `json:"email,omitempty"`
	Phone       string `json:"phone,omitempty"`
	Landline    string `json:"landline,omitempty"`
}

// appendPerson writes a person's sealedPerson as encoding/json does.
func appendPerson(b []byte, p *Person) []byte {
	b = append(b, '{')
	first := len(b)
	member := func(name, value string) {
		if value == "" {
			return
		}
		if len(b) > first {
			b = append(b, ',')
		}
		b = AppendJSON(append(append(append(b, '"'), name...), '"', ':'), value)
	}
	member("nhs", p.NHSNumber)
	member("given", p.GivenName)
	member("family", p.FamilyName)
	if p.HasBirth {
		member("born", p.DateOfBirth.String())
	}
	member("email", p.Email)
	member("phone", p.Phone)
	member("landline", p.Landline)
	return append(b, '}')
}

// readPerson reads what appendPerson wrote.
func readPerson(plain []byte) (p *Person, err error) {
	var doc sealedPerson
	if err := json.Unmarshal(plain, &doc); err != nil {
		return nil, err
	}
	p = &Person{
		NHSNumber: doc.NHSNumber, GivenName: doc.GivenName, FamilyName: doc.FamilyName, Email: doc.Email, Phone: doc.Phone, Landline: doc.Landline,
	}
	if doc.DateOfBirth != "" {
		p.DateOfBirth, err = ParseDate(doc.DateOfBirth)
		p.HasBirth = err == nil
	}
	return p, err
}
