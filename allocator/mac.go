package allocator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// macKey computes HMAC-SHA-256 (RFC 2104) under one key. A hash that was reset starts from the key's own state, so what is used
// once is kept for the next message. Safe for concurrent use.
type macKey struct{ states *sync.Pool }

// macState is one computation, with room for its message and its sum.
type macState struct {
	hash    hash.Hash
	message []byte
	sum     [sha256.Size]byte
}

// newMacKey takes a key of any length.
func newMacKey(key []byte) macKey {
	return macKey{&sync.Pool{New: func() any { return &macState{hash: hmac.New(sha256.New, key)} }}}
}

// sum hashes parts so that their borders count.
func (k macKey) sum(parts ...string) [sha256.Size]byte {
	s := k.states.Get().(*macState)
	s.message = s.message[:0]
	for _, p := range parts {
		s.message = append(binary.BigEndian.AppendUint64(s.message, uint64(len(p))), p...)
	}
	return k.finish(s)
}

// sumBytes is sum of one part.
func (k macKey) sumBytes(part []byte) [sha256.Size]byte {
	s := k.states.Get().(*macState)
	s.message = append(binary.BigEndian.AppendUint64(s.message[:0], uint64(len(part))), part...)
	return k.finish(s)
}

func (k macKey) finish(s *macState) [sha256.Size]byte {
	defer k.states.Put(s)
	s.hash.Reset()
	s.hash.Write(s.message)
	s.hash.Sum(s.sum[:0])
	return s.sum
}
