package worklist

import (
	"crypto/ed25519"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzSnapshots: whatever opens as a snapshot is the one that was signed.
func FuzzSnapshots(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	keys, err := json.Marshal(Keys(key))
	if err != nil {
		f.Fatal(err)
	}
	d := someDay()
	signed, err := Sign(key, d)
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(string(signed), ".")
	for _, text := range []string{string(signed), parts[0] + ".." + parts[2], "eyJhbGciOiJub25lIn0." + parts[1] + ".", parts[1] + "." + parts[0] + "." + parts[2], "", "..", "{}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := Open(keys, text); err == nil && !reflect.DeepEqual(got, d) {
			t.Errorf("%q opens as %+v", text, got)
		}
	})
}
