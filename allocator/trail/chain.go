// Package trail keeps the audit trail: who changed what when, for every transition of a booking, a day's capacity, a site or a
// service. A background sequencer takes the outbox's events in their order and appends each once, chained to the one before.
//
// # What an entry says
//
//	digest = SHA-256("muster/trail/event/1", the event's fields)
//	hash   = SHA-256("muster/trail/entry/1", number, cursor of the event, hash of the entry before, digest)
//	seal   = HMAC-SHA-256(key of the installation, "muster/trail/seal/1", number, hash)
//
// Fields are written one after the other, each text with its length before it and each number in 8 bytes, so that no two events
// read the same. The first entry's previous hash is all zeros. The person key is no part of it: a person's data can be erased
// without the trail changing.
//
// Every append ends with a seal, which vouches for all entries up to there, and a sequencer appends only to an entry whose seal is
// right. So whoever can write the table, and does not have the secret, can neither change an entry unnoticed nor have a server
// seal what they changed. What they can do is cut off the end; a head that was noted elsewhere shows that.
package trail

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"muster/allocator"
)

// Digest is what the trail keeps an event by.
func Digest(e *allocator.Event) [sha256.Size]byte {
	b := make([]byte, 0, 256)
	for _, text := range [...]string{
		"muster/trail/event/1", string(e.Type), e.Actor, e.Request, string(e.Site), string(e.Service), string(e.Status), e.Reason,
	} {
		b = appendText(b, text)
	}
	for _, number := range [...]int64{
		e.At.UnixMicro(), int64(e.Booking), int64(e.Slot.Start), int64(e.Slot.Length), int64(e.Date), int64(e.Version), e.Revision,
	} {
		b = binary.BigEndian.AppendUint64(b, uint64(number))
	}
	return sha256.Sum256(b)
}

// hashOf is the hash that an entry must have.
func hashOf(t *allocator.TrailEntry) [sha256.Size]byte {
	b := appendText(make([]byte, 0, 128), "muster/trail/entry/1")
	b = binary.BigEndian.AppendUint64(b, uint64(t.Seq))
	b = appendText(b, t.Event.Cursor)
	return sha256.Sum256(append(append(b, t.Previous[:]...), t.Digest[:]...))
}

func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
}

// Key seals the trail: the installation's own. See allocator.Secret.
type Key [32]byte

// seal vouches for an entry and all before it.
func (k *Key) seal(t *allocator.TrailEntry) []byte {
	b := binary.BigEndian.AppendUint64(appendText(nil, "muster/trail/seal/1"), uint64(t.Seq))
	mac := hmac.New(sha256.New, k[:])
	mac.Write(append(b, t.Hash[:]...))
	return mac.Sum(nil)
}

// sealed says whether an entry's seal is right, and so its hash and all before it as they were written.
func (k *Key) sealed(t *allocator.TrailEntry) bool { return hmac.Equal(t.Seal, k.seal(t)) }

// chain makes entries of events, after an entry; Seq 0: the first ones. The last is sealed.
func chain(end allocator.TrailEntry, events []allocator.Event, key *Key) []allocator.TrailEntry {
	entries := make([]allocator.TrailEntry, len(events))
	for i, e := range events {
		e.Person = allocator.PersonKey{}
		t := allocator.TrailEntry{Seq: end.Seq + 1, Event: e, Digest: Digest(&e), Previous: end.Hash}
		t.Hash = hashOf(&t)
		entries[i], end = t, t
	}
	if len(entries) > 0 {
		last := &entries[len(entries)-1]
		last.Seal = key.seal(last)
	}
	return entries
}
