package allocator

import "crypto/hmac"

// Seals sign what waiting rooms and limits per caller hand out, and know rooms' seeds. Safe for concurrent use.
type Seals struct {
	signers signers
	seeds   macKey // of waiting rooms only
}

// SealBytes is how much longer Append makes a text.
const SealBytes = 1 + signatureBytes

// Seals are those of the installation's waiting rooms.
func (s *Secret) Seals() *Seals { return &s.seals }

// VisitorSeals are those of visitors' tickets.
func (s *Secret) VisitorSeals() *Seals { return &s.visitors }

// Append adds the number of the key that signs at present, and its signature of all that.
func (s *Seals) Append(text []byte) []byte {
	text = append(text, s.signers.active)
	signature := s.signers.keys[s.signers.active].sumBytes(text)
	return append(text, signature[:signatureBytes]...)
}

// Open is the text that Append signed, as long as its key is known; ok is false for any other. It allocates nothing.
func (s *Seals) Open(sealed []byte) (text []byte, ok bool) {
	if len(sealed) < SealBytes {
		return nil, false
	}
	signed, signature := sealed[:len(sealed)-signatureBytes], sealed[len(sealed)-signatureBytes:]
	id := signed[len(signed)-1]
	if !s.signers.knows(id) {
		return nil, false
	}
	right := s.signers.keys[id].sumBytes(signed)
	return signed[:len(signed)-1], hmac.Equal(right[:signatureBytes], signature)
}

// Seed is what a room draws by: the same for ever, whichever key signs, and known to nobody before it is told.
func (s *Seals) Seed(room []byte) [32]byte { return s.seeds.sumBytes(room) }
