package callers

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"muster/allocator"
)

const (
	// ProofParts is how many numbers a proof has. Several small searches in place of one large make the time that it takes
	// even: a tenth of all who search for one number would wait more than twice the mean, with eight nearly nobody does.
	ProofParts = 8
	// ChallengeLife is how long there is to answer a challenge.
	ChallengeLife = 2 * time.Minute

	partBits         = 3 // 2³ parts
	maxProofBits     = 26
	challengeVersion = 2             // a ticket's is 1: the same key signs both
	challengeBody    = 1 + 1 + 4 + 8 // so short that a proof's texts are one block of SHA-256, as docs/proof.js wants them
	bitsShift        = 5             // how many bits of a byte the price takes; the purpose has the others
	maxProofText     = 256
	// skew is how far the clocks of an installation's servers may differ.
	skew = 30 * time.Second
)

// challenge asks a visitor for a proof: signed and bound to visitor, purpose, price and time, and kept nowhere.
//
// The proof is the challenge and eight numbers, such that for each, counted from 0, SHA-256 of the text
// "CHALLENGE.COUNT.NUMBER" begins with bits-3 zero bits: on average 2^bits hashes in all.
func (l *Limits) challenge(v *Visitor, p Purpose, bits int, now time.Time) string {
	b := append(make([]byte, 0, challengeBody+idBytes+allocator.SealBytes), challengeVersion, byte(p)<<bitsShift|byte(bits))
	b = binary.BigEndian.AppendUint32(b, uint32(now.Unix()))
	b = b[:challengeBody]
	_, _ = rand.Read(b[challengeBody-8:])             // never fails
	b = l.options.Seals.Append(append(b, v.id[:]...)) // the visitor is signed and not told
	return encoding.EncodeToString(append(b[:challengeBody], b[challengeBody+idBytes:]...))
}

var errProof = errors.New("not a proof for this")

// prove checks a proof, and answers the price that it paid. A proof is good once.
func (l *Limits) prove(v *Visitor, p Purpose, proof string, now time.Time) (paid int, err error) {
	text, numbers, _ := strings.Cut(proof, ":")
	body := l.opened(text, challengeVersion, challengeBody, v.id[:]...)
	if len(proof) > maxProofText || body == nil {
		return 0, errProof
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint32(body[2:])), 0))
	if Purpose(body[1]>>bitsShift) != p || age < -skew || age > ChallengeLife {
		return 0, errProof
	}
	parts := strings.Split(numbers, ",")
	if len(parts) != ProofParts {
		return 0, errProof
	}
	paid = int(body[1] & (1<<bitsShift - 1))
	for i, number := range parts {
		if zeroBits(text, i, number) < paid-partBits {
			return 0, errProof
		}
	}
	if !l.spent.Once(text, now) {
		return 0, errProof
	}
	return paid, nil
}

// zeroBits is with how many zero bits the hash of one part begins.
func zeroBits(challenge string, part int, number string) int {
	var room [96]byte
	b := append(append(room[:0], challenge...), '.')
	b = append(append(strconv.AppendInt(b, int64(part), 10), '.'), number...)
	sum := sha256.Sum256(b)
	return bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:8]))
}

// Solve is what a client does: it finds the proof for a challenge that asks for so many bits. It takes 2^bits hashes on average.
func Solve(challenge string, bits int) string {
	b := append([]byte(challenge), ':')
	for part := range ProofParts {
		if part > 0 {
			b = append(b, ',')
		}
		for n := int64(0); ; n++ {
			if number := strconv.FormatInt(n, 10); zeroBits(challenge, part, number) >= bits-partBits {
				b = append(b, number...)
				break
			}
		}
	}
	return string(b)
}
