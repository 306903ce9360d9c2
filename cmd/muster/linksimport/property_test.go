package linksimport

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
	"muster/cmd/muster/bulk"
)

// The sessions of a day make the slots that they were made of, with the same places for the same services, also on days on
// which the clocks change.
func TestSessionsMakeTheirSlots(t *testing.T) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	services := []allocator.ServiceCode{"FLU", "RSV"}
	serviceOf := func(schedule int32) allocator.ServiceCode { return services[schedule] }
	rapid.Check(t, func(r *rapid.T) {
		date, err := allocator.ParseDate(rapid.SampledFrom([]string{"2027-03-22", "2027-03-28", "2027-10-31"}).Draw(r, "date"))
		if err != nil {
			r.Fatal(err)
		}
		first := allocator.MinuteOf(date.At(3*60, zone)) // after the clocks changed
		var slots []slotLine
		want := map[string]int{}
		for range rapid.IntRange(1, 30).Draw(r, "slots") {
			length := rapid.SampledFrom([]int16{5, 10, 15}).Draw(r, "length")
			s := slotLine{
				start: first + allocator.Minute(5*rapid.IntRange(0, 40).Draw(r, "start")), length: length,
				schedule: int32(rapid.IntRange(0, 1).Draw(r, "service")), places: int32(rapid.IntRange(1, 3).Draw(r, "places")), busy: rapid.Bool().Draw(r, "busy"),
			}
			slots = append(slots, s)
			want[fmt.Sprint(s.start, s.length, services[s.schedule], s.busy)] += int(s.places)
		}
		sessions, err := sessionsOf(slots, serviceOf, zone)
		if err != nil {
			r.Fatal(err)
		}
		got := map[string]int{}
		for _, slot := range (allocator.Day{Site: "S", Date: date, Sessions: sessions}).Slots(zone) {
			for _, p := range slot.Pools {
				got[fmt.Sprint(slot.ID.Start, slot.ID.Length, p.Services[0], p.Access == allocator.AccessStopped)] += p.Capacity
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			r.Fatalf("%+v\nmake %v\nwant %v", sessions, got, want)
		}
	})
}

// An hour that comes twice cannot be told by a session; to guess which one is meant would send people at the wrong time.
func TestRepeatedHourIsRefused(t *testing.T) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	second := allocator.MinuteOf(time.Date(2027, 10, 31, 1, 0, 0, 0, time.UTC)) // 01:00 for the second time
	for start, refused := range map[allocator.Minute]bool{second - 60: true, second: true, second + 60: false} {
		sessions, err := sessionsOf([]slotLine{{start: start, length: 60, places: 1}}, func(int32) allocator.ServiceCode { return "FLU" }, zone)
		if (err != nil) != refused {
			t.Errorf("%v: %v, %v", start.Time(), sessions, err)
		}
	}
}

// FuzzLines: no line of any file makes an import panic, stop, or write what a ledger would not take from a publisher.
func FuzzLines(f *testing.F) {
	f.Add([]byte(locationLine("1")), []byte(scheduleLine("c1", "1", "FLU")), []byte(slotLineOf("c1", "free", "2027-03-22T09:00:00Z", "2027-03-22T09:10:00Z", 2)))
	f.Add([]byte("\ufeff"), []byte("\n\n"), []byte(`{"resourceType":"Slot","extension":[{"valueInteger":"x"}]}`))
	f.Add([]byte(`{"resourceType":"Location","id":"\u0000","name":"\ufffd","position":{"latitude":1e400}}`), []byte(`{"resourceType":"Schedule","id":"c1","actor":[{"reference":"1"}]}`), []byte(`{"resourceType":"Slot","start":"0000-01-01T00:00:00Z","end":"9999-12-31T23:59:00+14"}`))
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, location, schedule, slot []byte) {
		l := memoryledger.New(now)
		r := newRun(job("http://them.test", l))
		r.zone, r.progress = zone, bulk.NewProgress(io.Discard, "lines")
		r.Limits = r.Limits.withDefaults()
		if r.spill, err = newSpill(); err != nil {
			t.Fatal(err)
		}
		defer r.spill.remove()
		for _, line := range [][]byte{location, []byte(locationLine("1"))} {
			_ = r.takeLine(t.Context(), line, r.location)
		}
		for _, line := range bytes.Split(schedule, []byte("\n")) {
			_ = r.takeLine(t.Context(), line, r.schedule)
		}
		for _, line := range bytes.Split(slot, []byte("\n")) {
			_ = r.takeLine(t.Context(), line, r.slot)
		}
		if err := r.writeSites(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.writeDays(t.Context()); err != nil {
			t.Fatal(err)
		}
		days, err := l.Days(t.Context(), allocator.DayRevision{}, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, day := range days {
			if faults := day.Validate(zone); len(faults) > 0 {
				t.Errorf("%v: %v", day, faults)
			}
		}
	})
}

// FuzzManifest: no manifest makes the import panic, call what it must not, or call anything twice.
func FuzzManifest(f *testing.F) {
	for _, outputs := range []string{
		named("Location", "/l"), named("Slot", "s") + "," + named("Slot", "./s#x"), named("Slot", "https://user:password@them.test/s"), named("Slot", "//other.test/s"),
		named("Slot", "?_since=x"), named("Slot", "/%24bulk-publish"), named("Slot", "FTP://them.test/"), named("Other", "::"), named("Slot", "http://[::1%25eth0]/"), named("Slot", "//:80/s"),
	} {
		f.Add([]byte(`{"transactionTime":"x","output":[` + outputs + `]}`))
	}
	f.Add([]byte("\ufeff[]"))
	base, err := url.Parse("https://them.test" + manifestPath)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := newRun(job("https://them.test", nil))
		r.Limits = r.Limits.withDefaults()
		r.fetch = newFetcher(base, false, r.Limits)
		outputs, err := r.outputsOf(text, base)
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, o := range outputs {
			again, err := url.Parse(o.at.String())
			if err != nil {
				t.Fatalf("%q is called as %q: %v", o.URL, o.at, err)
			}
			if again.Hostname() == "" || again.Scheme != "https" && again.Scheme != "http" || again.User != nil || again.Fragment != "" {
				t.Errorf("%q is called as %q", o.URL, o.at)
			}
			if seen[o.at.String()] || again.Host == base.Host && again.Path == base.Path {
				t.Errorf("%q is called again", o.at)
			}
			seen[o.at.String()] = true
		}
	})
}
