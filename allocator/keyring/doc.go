// Package keyring holds the keys that an installation may change: a set of numbered keys for each purpose, of which one makes
// what is new and all open what is there.
//
// # A key's life
//
// A new key is *next*: servers accept what it made, and make nothing by it. When every server has it, it becomes *active*,
// and the one before it *retired*: still accepted. So servers of two configurations work side by side, whichever of them is
// the older one. A retired key is *forgotten* when nothing is left that it made; its number is never used again.
//
// Number 0 is the key that follows from the installation's secret. It has no bytes here: an installation that began without
// a ring has it as the active one, and after its first ring as a retired one.
//
// # What a payload looks like
//
// Version 2, an envelope: a data key for this payload alone, wrapped by a key of the ring.
//
//	2 | key number | nonce, data key, tag (12 + 32 + 16) | nonce, ciphertext, tag (12 + n + 16)
//
// Both parts are AES-256-GCM with random nonces. Additional data bind them to the record that they belong to, and the first
// to the key number too. A data key seals one payload, so its nonce could be any; a ring's key wraps at most 2³² data keys by
// the rule for random nonces of 96 bits (NIST SP 800-38D), which is 70 times the population of England.
//
// Version 1 is the ciphertext of key 0 itself: 1 | nonce, ciphertext, tag. It is read, and written where no ring is given.
package keyring
