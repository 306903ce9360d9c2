package redisinventory

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"muster/allocator"
)

// keys are the names of a shard's keys in Redis. All carry the shard's hash tag, so they live in one hash slot, on one
// node, and one script may touch them all. The number of shards is part of the name: with another number a site may belong
// to another shard, and nothing of the old division may be seen.
type keys struct {
	epoch  string // the current incarnation: "<epoch> <identity>"
	site   string // hash: site → state, revisions
	slot   string // hash: slot → counts by service, bitmap of places
	more   string // hash: slot and chunk → further bitmaps of large slots
	own    string // hash: slot and place → owner, booked, service
	grant  string // hash: request key → grant
	days   string // hash: site → days in which slots are in use
	used   string // hash: site and day → slots in use
	expiry string // list: when holds lapse, first in, first out
	later  string // sorted set: when those lapse that the list has no place for
	keep   string // list: when request keys may be forgotten, first in, first out
	stuck  string // list: pins that lapsed
	aside  string // prefix of lists: what was set aside for a site that is being rebuilt
	feed   string // stream: what changed
}

// keysOf builds the keys of a shard.
func keysOf(prefix string, shards, shard int) keys {
	base := fmt.Sprintf("%s/%d/{%s}:", prefix, shards, tagOf(shards, shard))
	return keys{
		epoch: base + "epoch", site: base + "site", slot: base + "slot", more: base + "more", own: base + "own",
		grant: base + "grant", days: base + "days", used: base + "used", expiry: base + "exp",
		later: base + "later", keep: base + "keep",
		stuck: base + "stuck", aside: base + "aside:", feed: base + "feed",
	}
}

const hashSlots = 16384

// tagOf is the smallest number whose hash slot lies in the shard's equal part of all hash slots, so that the shards
// spread over a cluster as evenly as its nodes do.
func tagOf(shards, shard int) string {
	first, end := shard*hashSlots/shards, (shard+1)*hashSlots/shards
	for n := 0; ; n++ {
		tag := strconv.Itoa(n)
		if s := int(crc16(tag)) % hashSlots; s >= first && s < end {
			return tag
		}
	}
}

// crc16 is CRC-16/XMODEM, which Redis Cluster hashes keys with.
func crc16(text string) (crc uint16) {
	for i := range len(text) {
		crc ^= uint16(text[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// slotKeyTail is what follows the site in a slot's key: start4 length2.
func slotKeyTail(b []byte, s allocator.SlotID) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(s.Start))
	return binary.BigEndian.AppendUint16(b, uint16(s.Length))
}

func slotKey(s allocator.SlotID) string {
	b := make([]byte, 0, len(s.Site)+6)
	return string(slotKeyTail(append(b, s.Site...), s))
}

// slotFrom reads what slotKey wrote.
func slotFrom(key string) (s allocator.SlotID, ok bool) {
	at := len(key) - 6
	if at < 1 {
		return s, false
	}
	r := reader{text: key[at:]}
	return allocator.SlotID{Site: allocator.SiteID(key[:at]), Start: allocator.Minute(r.number(4)), Length: int16(r.number(2))}, true
}
