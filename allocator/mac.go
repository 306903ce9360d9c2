package allocator

import (
	"crypto/sha256"
	"encoding/binary"
)

// macKey computes HMAC-SHA-256 (RFC 2104) under one key, without using memory for messages of a few hundred bytes. It is the
// key in the two forms that the function begins its hashes with.
type macKey struct{ inner, outer [sha256.BlockSize]byte }

// newMacKey takes a key of any length.
func newMacKey(key []byte) (k macKey) {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	copy(k.inner[:], key)
	copy(k.outer[:], key)
	for i := range k.inner {
		k.inner[i] ^= 0x36
		k.outer[i] ^= 0x5c
	}
	return k
}

// sum hashes parts so that their borders count.
func (k *macKey) sum(parts ...string) [sha256.Size]byte {
	var room [512]byte
	message := append(room[:0], k.inner[:]...)
	for _, p := range parts {
		message = binary.BigEndian.AppendUint64(message, uint64(len(p)))
		message = append(message, p...)
	}
	return k.finish(message)
}

// sumBytes is sum of one part.
func (k *macKey) sumBytes(part []byte) [sha256.Size]byte {
	var room [512]byte
	message := append(room[:0], k.inner[:]...)
	message = binary.BigEndian.AppendUint64(message, uint64(len(part)))
	return k.finish(append(message, part...))
}

func (k *macKey) finish(message []byte) [sha256.Size]byte {
	var outer [sha256.BlockSize + sha256.Size]byte
	copy(outer[:], k.outer[:])
	inner := sha256.Sum256(message)
	copy(outer[sha256.BlockSize:], inner[:])
	return sha256.Sum256(outer[:])
}
