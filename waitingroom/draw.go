package waitingroom

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/bits"
	"time"
)

// Instant is a place in the order of people: microseconds since 1970.
type Instant int64

func instantOf(t time.Time) Instant { return Instant(t.UnixMicro()) }

func (i Instant) plus(d time.Duration) Instant { return i + Instant(d.Microseconds()) }

func (i Instant) since(j Instant) time.Duration { return time.Duration(i-j) * time.Microsecond }

// Time is the instant as others write it; the zero time for none.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(i))
}

// drawnWithin is the stretch of the order, right before the opening, on which drawn tickets lie.
const drawnWithin = Instant(time.Hour / time.Microsecond)

// A draw that anyone can check: the room's seed is fixed when the room is made, and its SHA-256 is public from then on. It is
// published after the last ticket of the draw was given. Where the room names a beacon, a public value that nobody knows
// beforehand and everybody afterwards, not even those who know the seed can tell who will be first.

// Commitment is what is public of a seed beforehand.
func Commitment(seed [32]byte) [32]byte { return sha256.Sum256(seed[:]) }

// Draw is SHA-256("draw", seed, beacon): what ranks are made of. The beacon may be "".
func Draw(seed [32]byte, beacon string) [32]byte {
	return sha256.Sum256(append(append([]byte("draw"), seed[:]...), beacon...))
}

// Rank is a ticket's place in the draw, as a fraction of 2⁶⁴: the first 8 bytes of SHA-256(draw, ticket's id). The smallest
// is first.
func Rank(draw [32]byte, id TicketID) uint64 {
	var both [32 + len(id)]byte
	copy(both[:], draw[:])
	copy(both[32:], id[:])
	sum := sha256.Sum256(both[:])
	return binary.BigEndian.Uint64(sum[:])
}

// drawnAt is where a rank lies in the order of a room.
func drawnAt(opens Instant, rank uint64) Instant {
	within, _ := bits.Mul64(rank, uint64(drawnWithin))
	return opens - drawnWithin + Instant(within)
}

// CheckDraw makes sure that a room kept its word: that the seed is the one it had promised, both in hexadecimal digits; and
// answers the rank of a ticket, of which the smallest is first. It needs no server and no secret.
func CheckDraw(commitment, seed, beacon, ticket string) (rank uint64, err error) {
	var promised, told [32]byte
	for text, into := range map[string]*[32]byte{commitment: &promised, seed: &told} {
		if n, err := hex.Decode(into[:], []byte(text[:min(len(text), 2*len(into))])); err != nil || n != len(into) || len(text) != 2*len(into) {
			return 0, errors.New("commitment and seed have 64 hexadecimal digits each")
		}
	}
	if Commitment(told) != promised {
		return 0, errors.New("this is not the seed that was promised")
	}
	id, err := IDOf(ticket)
	if err != nil {
		return 0, errors.New("this is no ticket")
	}
	return Rank(Draw(told, beacon), id), nil
}
