package keyring

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

var derived = [KeyBytes]byte{1, 2, 3}

func vaultOf(r *Ring) *Vault { return NewVault(r, derived) }

func sealed(v *Vault, bind, clearText string) []byte {
	return v.Seal([]byte(bind), func(b []byte) []byte { return append(b, clearText...) })
}

// opens checks that a payload opens as something; "" where it must not.
func opens(t testing.TB, what string, v *Vault, bind string, payload []byte, want string) {
	t.Helper()
	got, err := v.Open([]byte(bind), payload)
	if want == "" && (!errors.Is(err, ErrSealed) || err.Error() != ErrSealed.Error()) || want != "" && (err != nil || string(got) != want) {
		t.Errorf("%s: %q, %v", what, got, err)
	}
}

// TestVaults: servers in the middle of a rotation open each other's payloads, and what is left of old keys moves on.
func TestVaults(t *testing.T) {
	old, first := vaultOf(Derived()), New(true)
	second := parsed(t, first)
	rotate(t, second)
	third := parsed(t, second)
	rotate(t, third)
	vaults := map[string]*Vault{"first": vaultOf(first), "next": vaultOf(second), "rotated": vaultOf(third)}
	bare, one, two := sealed(old, "A", "text"), sealed(vaults["next"], "A", "text"), sealed(vaults["rotated"], "A", "text")
	opens(t, "old, bare", old, "A", bare, "text")
	opens(t, "old, newer", old, "A", one, "")
	for name, v := range vaults {
		opens(t, name+", bare", v, "A", bare, "text")
		opens(t, name+", one", v, "A", one, "text")
	}
	opens(t, "first, two", vaults["first"], "A", two, "")
	opens(t, "next, two", vaults["next"], "A", two, "text")
	opens(t, "of other keys", vaultOf(New(false)), "A", one, "")
	for _, c := range []struct {
		by      string
		payload []byte
		key     int // of what it becomes; -1: it stays
	}{
		{"first", bare, 1}, {"first", one, -1}, {"next", one, -1}, {"next", two, -1}, {"rotated", bare, 2}, {"rotated", one, 2}, {"rotated", two, -1},
	} {
		fresh, err := vaults[c.by].Rewrap([]byte("A"), c.payload)
		if err != nil || (fresh == nil) != (c.key < 0) {
			t.Fatalf("%s: %v, %v", c.by, fresh, err)
		}
		if fresh == nil {
			continue
		}
		if id, ok := KeyOf(fresh); !ok || id != c.key {
			t.Errorf("%s makes one of key %d", c.by, id)
		}
		opens(t, "rewrapped", vaults["rotated"], "A", fresh, "text")
		opens(t, "rewrapped, of another", vaults["rotated"], "B", fresh, "")
	}
	if err := third.Forget(Payload, 1); err != nil {
		t.Fatal(err)
	}
	opens(t, "of a forgotten key", vaultOf(third), "A", one, "")
	if _, err := vaultOf(third).Rewrap([]byte("A"), one); !errors.Is(err, ErrSealed) {
		t.Errorf("rewrapping one of a forgotten key: %v", err)
	}
}

// TestTampering: no byte of a payload may change, none be missing, and it belongs to one record.
func TestTampering(t *testing.T) {
	v := vaultOf(New(true))
	rotated := New(true)
	rotate(t, rotated)
	rotate(t, rotated)
	later := vaultOf(rotated)
	for name, payload := range map[string][]byte{"bare": sealed(vaultOf(Derived()), "A", "some text"), "envelope": sealed(v, "A", "some text")} {
		opens(t, name, v, "A", payload, "some text")
		for _, bind := range []string{"", "B", "AA", "a"} {
			opens(t, name+" of "+bind, v, bind, payload, "")
		}
		for i := range payload {
			for bit := range 8 {
				changed := bytes.Clone(payload)
				changed[i] ^= 1 << bit
				opens(t, name+" changed", v, "A", changed, "")
				if _, err := later.Rewrap([]byte("A"), changed); i < bodyAt && err == nil {
					t.Fatalf("%s with byte %d changed is rewrapped", name, i)
				}
			}
			opens(t, name+" cut short", v, "A", payload[:i], "")
		}
		opens(t, name+" with more", v, "A", append(bytes.Clone(payload), 0), "")
	}
	a, b := sealed(v, "A", "some text"), sealed(v, "B", "some text")
	opens(t, "another's data key", v, "A", append(bytes.Clone(b[:bodyAt]), a[bodyAt:]...), "")
	opens(t, "another's text", v, "A", append(bytes.Clone(a[:bodyAt]), b[bodyAt:]...), "")
}

// TestSealingHides: nothing of the clear text shows, and nothing repeats.
func TestSealingHides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ring := New(false)
		v := vaultOf(ring)
		bind, text := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bind"), rapid.SliceOfN(rapid.Byte(), 16, 400).Draw(t, "text")
		seal := func() []byte { return v.Seal(bind, func(b []byte) []byte { return append(b, text...) }) }
		one, two := seal(), seal()
		if got, err := v.Open(bind, one); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%x, %v", got, err)
		}
		if bytes.Contains(one, text) || bytes.Equal(one[2:bodyAt], two[2:bodyAt]) || bytes.Equal(one[bodyAt:], two[bodyAt:]) {
			t.Fatal("the payload tells")
		}
		if len(one) != shortest+len(text) {
			t.Fatalf("%d bytes for %d", len(one), len(text))
		}
	})
}

func FuzzOpen(f *testing.F) {
	ring := New(true)
	copy(ring.Of(Payload)[0].Bytes, "the same key whenever it is fuzzed")
	v := vaultOf(ring)
	for _, payload := range [][]byte{sealed(v, "A", "text"), sealed(vaultOf(Derived()), "A", "text"), {}, {1}, {2, 1}, {2, 0, 9}, {3, 1}, make([]byte, 200)} {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if text, err := v.Open([]byte("A"), payload); err == nil && string(text) != "text" || err != nil && err != ErrSealed {
			t.Errorf("%x: %q, %v", payload, text, err)
		}
		if _, err := v.Rewrap([]byte("A"), payload); err != nil && !errors.Is(err, ErrSealed) {
			t.Errorf("%x: %v", payload, err)
		}
		if id, ok := KeyOf(payload); ok && (id < 0 || id > MaxID) {
			t.Errorf("%x is of key %d", payload, id)
		}
	})
}

func BenchmarkVault(b *testing.B) {
	text := bytes.Repeat([]byte("details "), 16)
	for name, ring := range map[string]*Ring{"bare": Derived(), "envelope": New(false)} {
		v := vaultOf(ring)
		payload := sealed(v, "0123456789abcdef", string(text))
		b.Run("seal/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sealed(v, "0123456789abcdef", string(text))
			}
		})
		b.Run("open/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Open([]byte("0123456789abcdef"), payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
