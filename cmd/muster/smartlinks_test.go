package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/smartlinks/linkstest"
)

const linksManifest = "/smart-scheduling/$bulk-publish"

// links reads what a server publishes, by an independent reader that finds no fault with it.
func (s *server) links(t testing.TB) *linkstest.Published {
	t.Helper()
	published, err := linkstest.Read(t.Context(), http.DefaultClient, s.base+linksManifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range published.Faults {
		t.Error(fault)
	}
	return published
}

// freeSlots tells where, what and when something is free, and how much.
func freeSlots(p *linkstest.Published) map[string]int {
	free := make(map[string]int)
	for _, slot := range p.Slots {
		schedule := p.Schedules[slot.Schedule]
		if slot.Status == "free" {
			free[strings.Join([]string{p.Locations[schedule.Location].Name, schedule.Service, slot.Start.UTC().Format(time.RFC3339), slot.End.Sub(slot.Start).String()}, " ")] = slot.Capacity
		}
	}
	return free
}

// What one installation publishes, another imports, and publishes the same free capacity.
func TestSmartLinksRoundTrip(t *testing.T) {
	first := serve(t, "--dev", "--data", t.TempDir())
	at := soon()
	first.world("A1", 2)
	first.site("A_2")
	first.publish("A_2", at,
		object{"from": "10:00", "until": "13:00", "slotLength": 15, "capacity": 3, "services": []string{"RSV:Adult", "COVID:18+"}, "breaks": []object{{"from": "11:00", "until": "11:30"}}},
		object{"from": "10:00", "until": "12:00", "slotLength": 15, "capacity": 1, "services": []string{"FLU:65+"}, "access": "invited"},
		object{"from": "12:00", "until": "24:00", "slotLength": 60, "capacity": 1, "services": []string{"MMR"}})
	first.confirm(first.hold("A1", at), person(1)).want(201)
	first.hold("A1", at)
	first.hold("A1", at.Add(time.Hour))
	first.search(t, "A1", 21)
	before := first.links(t)
	if len(before.Locations) != 2 || len(before.Schedules) != 4 || len(before.Slots) != 12+2*10+12 {
		t.Fatalf("%d locations, %d schedules, %d slots", len(before.Locations), len(before.Schedules), len(before.Slots))
	}

	data := t.TempDir()
	manifest := first.base + linksManifest
	if code, _, complaints := run(t, "import", "smart-links", manifest, "--data", data); code != 1 || !strings.Contains(complaints, "not an address of the public internet") {
		t.Errorf("exit %d\n%s", code, complaints)
	}
	if code, _, complaints := run(t, "import", "smart-links", manifest, "--data", data, "--allow-private"); code != 1 || !strings.Contains(complaints, "--create-services creates them") {
		t.Errorf("exit %d\n%s", code, complaints)
	}
	for range 2 {
		code, out, complaints := run(t, "import", "smart-links", manifest, "--data", data, "--allow-private", "--create-services")
		if code != 0 || out != "2 sites and 2 days loaded\n" {
			t.Fatalf("exit %d\n%s%s", code, out, complaints)
		}
	}
	after := serve(t, "--dev", "--data", data).links(t)
	got, want := freeSlots(after), freeSlots(before)
	if len(want) != 11+20+12 {
		t.Errorf("%d slots have something free", len(want))
	}
	for slot, places := range want {
		if got[slot] != places {
			t.Errorf("%s: %d free, want %d", slot, got[slot], places)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d slots have something free, want %d", len(got), len(want))
	}
}

// A change shows within seconds, in the files of its part alone; readers who have the others are told so.
func TestSmartLinksFollowChanges(t *testing.T) {
	s := serve(t, "--dev", "--data", t.TempDir())
	at := soon()
	s.world("A1", 2)
	s.world("A2", 2)
	before := s.links(t)
	s.confirm(s.hold("A1", at), person(1)).want(201)
	since := before.TransactionTime.Add(time.Minute).Format(time.RFC3339) // beyond what _since reaches back for the sake of other servers
	changed := make(map[string]bool)
	s.await("the slot shows one place less", func() bool {
		changed = make(map[string]bool)
		for _, f := range before.Files {
			status := s.call("GET", strings.TrimPrefix(f.URL, s.base), nil, "If-None-Match", f.ETag).status
			changed[f.URL] = status == 200
		}
		free := freeSlots(s.links(t))
		for slot, places := range freeSlots(before) {
			if free[slot] != places {
				return true
			}
		}
		return false
	})
	if s.call("GET", linksManifest+"?_since="+since, nil).want(200).count("output") > 0 {
		t.Error("a file changed in the future")
	}
	for _, f := range before.Files {
		if f.Type == "Location" && changed[f.URL] {
			t.Errorf("%s changed by a booking", f.URL)
		}
	}
}
