package keyring

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// stateOf tells a purpose's keys as NUMBER STATE, by number.
func stateOf(r *Ring, p Purpose) string {
	var all []string
	for id := range MaxID + 1 {
		if k := r.find(p, id); k != nil {
			all = append(all, fmt.Sprint(k.ID, " ", k.State))
		}
	}
	return strings.Join(all, ", ")
}

// TestRotation follows keys through their lives, and through their file at every step.
func TestRotation(t *testing.T) {
	r := New(true)
	again := func() {
		t.Helper()
		read, err := Parse(r.Encode())
		if err != nil || !bytes.Equal(read.Encode(), r.Encode()) {
			t.Fatalf("read back: %v", err)
		}
		r = read
	}
	for i, want := range []string{
		"0 retired, 1 active", "0 retired, 1 active, 2 next", "0 retired, 1 retired, 2 active", "0 retired, 1 retired, 2 active, 3 next",
	} {
		if i > 0 {
			if _, err := r.Rotate(Payload); err != nil {
				t.Fatal(err)
			}
		}
		again()
		if got := stateOf(r, Payload); got != want {
			t.Errorf("step %d: %s, want %s", i, got, want)
		}
	}
	for id, ok := range map[int]bool{0: true, 1: true, 2: false, 3: false, 9: false} {
		if err := r.Forget(Payload, id); (err == nil) != ok {
			t.Errorf("forgetting %d: %v", id, err)
		}
	}
	again()
	if got := stateOf(r, Payload) + "; " + stateOf(r, Hold); got != "2 active, 3 next; 0 retired, 1 active" {
		t.Errorf("in the end: %s", got)
	}
	if r.Wipe(); !bytes.Equal(r.Of(Hold)[0].Bytes, make([]byte, KeyBytes)) {
		t.Error("wiped keys are still there")
	}
}

// TestNumbersEnd: no number is used twice, so there is a last one.
func TestNumbersEnd(t *testing.T) {
	r := New(false)
	for range 2 * (MaxID - 1) {
		if _, err := r.Rotate(Manage); err != nil {
			t.Fatal(err)
		}
	}
	if k, err := r.Rotate(Manage); err == nil || r.Validate() != nil {
		t.Errorf("after number %d comes %v", MaxID, k.Name())
	}
}

func TestFaultsOfRings(t *testing.T) {
	change := func(edit func(r *Ring)) string {
		r := New(true)
		edit(r)
		return string(r.Encode())
	}
	for text, want := range map[string]string{
		"":           "not the JSON",
		"{}":         "0 active",
		"[1]":        "not the JSON",
		"{} {}":      "something follows",
		`{"key": 1}`: "not the JSON",
		change(func(r *Ring) { r.Keys[1].State = Retired }):                  "hold has 0 active",
		change(func(r *Ring) { r.Keys[0].State = Active }):                   "hold has 2 active",
		change(func(r *Ring) { r.Keys[1].State = "idle" }):                   `"idle"`,
		change(func(r *Ring) { r.Keys[1].Purpose = "cooking" }):              `"cooking"`,
		change(func(r *Ring) { r.Keys[1].Bytes = r.Keys[1].Bytes[1:] }):      "hold/1 has 31 bytes",
		change(func(r *Ring) { r.Keys[0].Bytes = r.Keys[1].Bytes }):          "hold/0 has bytes",
		change(func(r *Ring) { r.Keys[3].Bytes = r.Keys[1].Bytes }):          "manage/1 is the same key",
		change(func(r *Ring) { r.Keys[1].ID = 256 }):                         "outside 0 and 255",
		change(func(r *Ring) { r.Keys[0].ID, r.Keys[0].Bytes = 1, fresh() }): "hold/1 is there twice",
		change(func(r *Ring) { r.Secret = []byte("short") }):                 "the secret has 5 bytes",
		strings.Repeat(" ", MaxBytes+1):                                      "longer than",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: %v, want %q", text, err, want)
		}
	}
}

// TestFaultsTellNoKeys: what is wrong is told without what is secret.
func TestFaultsTellNoKeys(t *testing.T) {
	text := string(New(false).Encode())
	key := text[strings.Index(text, `"key": "`)+8:][:20]
	for _, broken := range []string{strings.Replace(text, key, key+"!", 1), strings.Replace(text, `"id": 1`, `"id": 900`, 1), text[:len(text)/2]} {
		if _, err := Parse([]byte(broken)); err == nil || strings.Contains(err.Error(), key[:8]) {
			t.Errorf("%v", err)
		}
	}
}

// TestRegister: which servers a ledger admits.
func TestRegister(t *testing.T) {
	first := New(false)
	second := parsed(t, first)
	rotate(t, second)
	third := parsed(t, second)
	rotate(t, third)
	register := make(Register)
	admit := func(what string, r *Ring, want string) {
		t.Helper()
		err := register.Admit(r)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
		if register, err = ParseRegister(register.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	admit("the first server", first, "")
	admit("one that accepts the next key", second, "")
	admit("one without it, as nothing was made by it yet", first, "")
	admit("one that makes by it", third, "")
	admit("one without it", first, "payload/2 is in use")
	admit("one that still makes by the other", second, "")
	admit("other keys of the same numbers", New(false), "hold/1 is another one here")
	admit("no ring", Derived(), "payload/1 is in use")
	register.Forget(Payload, 1)
	admit("one that would use a forgotten key", second, "payload/1 was forgotten")
	admit("one that still has it", third, "")
	if err := third.Forget(Payload, 1); err != nil {
		t.Fatal(err)
	}
	admit("one that has not", third, "")
	register.Use(Payload)
	admit("one that lacks what was made before there were rings", third, "payload/0 is in use")
	if _, err := ParseRegister([]byte("nonsense")); err == nil {
		t.Error("nonsense is a register")
	}
}

func parsed(t testing.TB, r *Ring) *Ring {
	t.Helper()
	again, err := Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// rotate takes a step with the keys of payloads.
func rotate(t testing.TB, r *Ring) {
	t.Helper()
	if _, err := r.Rotate(Payload); err != nil {
		t.Fatal(err)
	}
}

// TestRingsStayValid: whatever is done to a ring, in whichever order, leaves a valid one.
func TestRingsStayValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := New(rapid.Bool().Draw(t, "adopt"))
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			p := rapid.SampledFrom(Purposes).Draw(t, "purpose")
			if rapid.Bool().Draw(t, "forget") {
				_ = r.Forget(p, rapid.IntRange(0, 6).Draw(t, "number"))
			} else if _, err := r.Rotate(p); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Parse(r.Encode()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzRing(f *testing.F) {
	f.Add(New(true).Encode())
	f.Add(Derived().Encode())
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(r.Encode()); err != nil || !bytes.Equal(again.Encode(), r.Encode()) {
			t.Errorf("%s is read, and written as %s: %v", text, r.Encode(), err)
		}
	})
}
