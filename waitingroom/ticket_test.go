package waitingroom

import (
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/keyring"
)

func TestSlipsAreReadAsWritten(t *testing.T) {
	seals := testSeals()
	area, _ := AreaOf("LS1")
	want := slip{Kind: ticketKind, Room: RoomID{1}, ID: newTicketID(), At: instantOf(begin), Area: area}
	got, err := read(seals, ticketKind, []byte(want.write(seals)))
	if err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	if id, err := IDOf(want.write(seals)); err != nil || id != want.ID {
		t.Errorf("id %x, %v", id, err)
	}
	if got.Area.Text() != "LS1" {
		t.Errorf("area %q", got.Area.Text())
	}
}

// Whatever is changed in a ticket, it is none any more; and a ticket is no pass.
func TestForgedSlips(t *testing.T) {
	seals := testSeals()
	genuine := slip{Kind: ticketKind, Room: RoomID{1}, ID: newTicketID(), At: instantOf(begin)}
	text := genuine.write(seals)
	bad := func(what, forged string) {
		t.Helper()
		if _, err := read(seals, ticketKind, []byte(forged)); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	for i := range text {
		other := "A"
		if text[i] == 'A' {
			other = "B"
		}
		bad("a changed character", text[:i]+other+text[i+1:])
	}
	bad("nothing", "")
	bad("a shorter one", text[:len(text)-4])
	bad("a longer one", text+"AAAA")
	bad("what is no base64", strings.Repeat("!", len(text)))
	elsewhere := allocator.NewSecret([]byte("another installation's"))
	bad("another installation's", genuine.write(elsewhere.Seals()))
	if _, err := read(seals, passKind, []byte(text)); err == nil {
		t.Error("a ticket was taken for a pass")
	}
}

// TestSealsRotate: what a retired key signed is still good, and a forgotten one's is not; a room's seed stays.
func TestSealsRotate(t *testing.T) {
	ring := keyring.New(false)
	seals := func() *allocator.Seals {
		s := allocator.NewSecretWith([]byte("sixteen bytes at least"), ring)
		return s.Seals()
	}
	s := slip{Kind: ticketKind, ID: newTicketID()}
	first, seed := s.write(seals()), seals().Seed([]byte("room"))
	for range 2 { // next, then active
		if _, err := ring.Rotate(keyring.Room); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := read(seals(), ticketKind, []byte(first)); err != nil {
		t.Error("a ticket did not outlive its key's retirement")
	}
	if s.write(seals()) == first {
		t.Error("the retired key signs")
	}
	if err := ring.Forget(keyring.Room, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := read(seals(), ticketKind, []byte(first)); err == nil {
		t.Error("a forgotten key's ticket was taken")
	}
	if seals().Seed([]byte("room")) != seed {
		t.Error("the seed changed with the key")
	}
}

func TestAreas(t *testing.T) {
	for text, want := range map[string]bool{"LS1": true, "SW1A": true, "E1": true, "ls1": false, "": false, "L": false, "LS1 4": false, "LS14AP": false, "É1": false} {
		if _, ok := AreaOf(text); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}

func FuzzSlips(f *testing.F) {
	seals := testSeals()
	s := slip{Kind: passKind, Room: RoomID{7}, ID: newTicketID(), At: instantOf(begin.Add(time.Hour))}
	f.Add([]byte(s.write(seals)))
	f.Add([]byte(""))
	f.Add([]byte(strings.Repeat("A", slipLength)))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := read(seals, passKind, text)
		if err == nil && got.write(seals) != string(text) {
			t.Errorf("%q was taken, and written differently", text)
		}
	})
}
