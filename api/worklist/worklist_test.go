package worklist

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var nasty = []string{`=HYPERLINK("x","y")`, "+1+1", "-2", "@SUM(A1)", "\tx", `"quoted", comma`, "<script>alert(1)</script>", "O'Neil", "Łukasz & Søn"}

func someDay() *Day {
	d := &Day{SiteID: "FA512", SiteName: "Boots <Leeds>", Date: "2026-12-01", TimeZone: "Europe/London", AsOf: time.Date(2026, 12, 1, 8, 55, 0, 0, time.UTC)}
	for i, status := range []string{"booked", "arrived", "fulfilled", "noshow", "cancelled"} {
		d.Rows = append(d.Rows, Row{
			Start: "2026-12-01T09:1" + string(rune('0'+i)) + ":00Z", Length: 10, Service: "RSV:Adult", Reference: "0000-0000-0000-0", Status: status,
			GivenName: "Alex", FamilyName: nasty[i], DateOfBirth: "1950-02-01", NHSNumber: "9000000009", Phone: "+44 7700 900000",
		})
	}
	for _, name := range nasty[5:] {
		d.Rows = append(d.Rows, Row{Start: "2026-12-01T11:00:00Z", Length: 5, Service: "FLU", Status: "booked", FamilyName: name, Unsupported: true})
	}
	return d
}

// A spreadsheet computes nothing that a person typed, and everything else is there as it was.
func TestSpreadsheet(t *testing.T) {
	d := someDay()
	text := d.CSV()
	lines, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))).ReadAll()
	if err != nil || len(lines) != len(d.Rows)+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	at := func(name string) int {
		for i, c := range lines[0] {
			if c == name {
				return i
			}
		}
		t.Fatalf("no column %s", name)
		return 0
	}
	for i, line := range lines[1:] {
		r := &d.Rows[i]
		for _, cell := range line {
			if cell != "" && strings.ContainsRune("=-@\t\r", rune(cell[0])) {
				t.Errorf("a formula: %q", cell)
			}
		}
		if name := strings.TrimPrefix(line[at("familyName")], "'"); name != r.FamilyName {
			t.Errorf("name %q is written %q", r.FamilyName, name)
		}
		if line[at("time")] != r.Time() || line[at("phone")] != r.Phone || line[at("status")] != r.Status {
			t.Errorf("line %q of %+v", line, r)
		}
	}
}

// The page runs nothing and shows everyone.
func TestPage(t *testing.T) {
	d := someDay()
	text, err := d.Page(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Boots &lt;Leeds&gt;", "Tuesday 1 December 2026", "8 appointments", "08:55 on 1 December 2026", "900 000 0009",
		"&lt;script&gt;", "O&#39;Neil", "did not attend", "no capacity for this one", `class="cancelled"`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "http://", "https://", "src=", "href="} {
		if bytes.Contains(text, []byte(never)) {
			t.Errorf("the page has %q", never)
		}
	}
	if !bytes.Contains(text, []byte("<style>"+pageStyle+"</style>")) {
		t.Error("the policy allows another style than the page has")
	}
	none, err := (&Day{SiteName: "Nobody's"}).Page(time.UTC)
	if err != nil || !bytes.Contains(none, []byte("Nobody is booked")) {
		t.Errorf("an empty day: %v", err)
	}
}

func testKey(n byte) (ed25519.PrivateKey, []byte) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	keys, err := json.Marshal(Keys(key))
	if err != nil {
		panic(err)
	}
	return key, keys
}

// What was signed opens to the same day; what was changed, signed by others or signed as something else does not.
func TestSnapshot(t *testing.T) {
	key, keys := testKey(1)
	d := someDay()
	text, err := Sign(key, d)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Open(keys, string(text))
	if err != nil || !reflect.DeepEqual(back, d) {
		t.Fatalf("%+v, %v", back, err)
	}
	other, otherKeys := testKey(2)
	foreign, err := Sign(other, d)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	changed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte("Alex"), []byte("Alec"), 1)) + "." + parts[2]
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"muster-worklist"}`)) + "." + parts[1] + "."
	typeless, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", keyID(key.Public().(ed25519.PublicKey))))
	if err != nil {
		t.Fatal(err)
	}
	something, err := typeless.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	elsewise, err := something.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keys []byte
		text string
	}{
		"changed": {keys, changed}, "by another": {keys, string(foreign)}, "for other keys": {otherKeys, string(text)}, "unsigned": {keys, unsigned},
		"something else": {keys, elsewise}, "nothing": {keys, ""}, "noise": {keys, "a.b.c"}, "too long": {keys, strings.Repeat("x", MaxSnapshotBytes+1)},
	} {
		if d, err := Open(c.keys, c.text); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	if _, err := Open([]byte("no keys"), string(text)); err == nil {
		t.Error("opened without keys")
	}
}
