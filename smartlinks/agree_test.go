package smartlinks

import (
	"maps"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

// Servers that know the same have the same ETags, whatever they went through before, as long as they write the same.
func TestServersAgree(t *testing.T) {
	s := newTown(20)
	s.fill(3)
	first := tags(t, publisher(t, s, Options{Parts: 4}))
	s.before, s.now = 1000, s.now.Add(time.Minute)
	if second := tags(t, publisher(t, s, Options{Parts: 4})); !maps.Equal(first, second) {
		t.Errorf("%v on one server, %v on another", first, second)
	}
	for name, tag := range tags(t, publisher(t, s, Options{Parts: 4, Days: 7})) {
		if tag == first[name] {
			t.Errorf("%s has the same ETag where fewer days are published", name)
		}
	}
	s.sites["S_3"].slots["RSV:Adult"][0].Free = 77
	s.sites["S_3"].changes++
	part := fileName(slots, allocator.ShardOf("S_3", 4))
	for name, tag := range tags(t, publisher(t, s, Options{Parts: 4})) {
		changed := name == part || name == strings.Replace(part, "slot", "schedule", 1) || name == ManifestName
		if (tag != first[name]) != changed {
			t.Errorf("%s: %s before, %s after", name, first[name], tag)
		}
	}
}

// A reader who got what was there for a moment only is not told, when that is gone again, that nothing changed.
func TestMomentsAreNotKept(t *testing.T) {
	s := newTown(5)
	s.fill(3)
	p := publisher(t, s, Options{Parts: 1})
	before, tag := readFile(t, p, "slot-00.ndjson")
	slot := &s.sites["S_3"].slots["RSV:Adult"][0]
	slot.Free = 77
	s.sites["S_3"].changes++
	moment, same := readFile(t, p, "slot-00.ndjson")
	s.now = s.now.Add(time.Minute)
	slot.Free = 0
	s.sites["S_3"].changes++
	s.sites["S_3"].undone = 2
	after, other := readFile(t, p, "slot-00.ndjson")
	if same != tag || moment != before || after != before || other != tag {
		t.Errorf("nobody looked, and the ETags are %s, %s and %s", tag, same, other)
	}

	s.now = s.now.Add(time.Minute)
	if _, tag, err := p.Manifest(t.Context(), time.Time{}); err != nil || tag == "" {
		t.Fatal(err)
	}
	slot.Free = 77
	s.sites["S_3"].changes++
	p.kept = make(map[allocator.SiteID]*record) // as where there is no room
	if moment, same = readFile(t, p, "slot-00.ndjson"); same != tag || moment == before {
		t.Fatalf("the moment is not seen, under %s and %s", tag, same)
	}
	s.now = s.now.Add(time.Minute)
	slot.Free = 0
	s.sites["S_3"].changes++
	s.sites["S_3"].undone = 4
	for range 2 {
		if after, other = readFile(t, p, "slot-00.ndjson"); after != before || other == tag {
			t.Errorf("what was before is there again under %s", other)
		}
		s.now = s.now.Add(time.Minute)
	}
}

// tags are the ETags of a publisher's files and of its manifest.
func tags(t testing.TB, p *Publisher) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for name := range files(t, p) {
		_, all[name] = readFile(t, p, name)
	}
	_, tag, err := p.Manifest(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	all[ManifestName] = tag
	return all
}
