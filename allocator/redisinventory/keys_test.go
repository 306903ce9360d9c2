package redisinventory

import (
	"strings"
	"testing"

	"muster/allocator"
)

// Redis's own documentation gives the CRC of "123456789".
func TestCRC16(t *testing.T) {
	if got := crc16("123456789"); got != 0x31C3 {
		t.Fatalf("%x", got)
	}
}

func TestTagsSpread(t *testing.T) {
	for _, shards := range []int{1, 4, 12, 24, 1000} {
		for _, masters := range []int{1, 3, 6} {
			perMaster := make([]int, masters)
			tags := make(map[string]bool)
			for i := range shards {
				tag := tagOf(shards, i)
				tags[tag] = true
				perMaster[int(crc16(tag))%hashSlots*masters/hashSlots]++
			}
			if len(tags) != shards {
				t.Errorf("%d shards have %d tags", shards, len(tags))
			}
			for _, n := range perMaster {
				if shards%masters == 0 && n != shards/masters {
					t.Errorf("%d shards on %d masters: %v", shards, masters, perMaster)
				}
			}
		}
	}
}

func TestSlotKeys(t *testing.T) {
	s := allocator.SlotID{Site: "Ab-1", Start: 29_000_123, Length: 480}
	if got, ok := slotFrom(slotKey(s)); !ok || got != s {
		t.Fatalf("%+v became %+v", s, got)
	}
	if _, ok := slotFrom("short"); ok {
		t.Fatal("a key without a site was read")
	}
}

// Nothing but a script's own incarnation tells two of its texts apart, and binary text survives as a literal.
func TestScriptTexts(t *testing.T) {
	sources, err := scriptSources()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{}.WithDefaults()
	k := keysOf("p", 4, 0)
	a, b := scriptsOf(&sources, k, 1, "x", &o), scriptsOf(&sources, k, 2, "x", &o)
	seen := make(map[string]bool)
	for m := range a {
		if a[m].sha == b[m].sha || seen[a[m].sha] {
			t.Errorf("script %d of two epochs, or of two methods, is one", m)
		}
		seen[a[m].sha] = true
	}
	if got := luaString("\x00\"\n9"); got != `"\000\034\010\057"` {
		t.Fatal(got)
	}
	for _, part := range []string{"EVAL ", "loadstring"} {
		for m := range a {
			if strings.Contains(a[m].text, part) {
				t.Errorf("script %d has %q", m, part)
			}
		}
	}
}
