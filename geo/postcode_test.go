package geo

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestParsePostcode(t *testing.T) {
	for _, c := range []struct {
		text, want string
		precision  Precision
	}{
		{"LS1 4AP", "LS1 4AP", PrecisionUnit},
		{"ls14ap", "LS1 4AP", PrecisionUnit},
		{"TW101AA", "TW10 1AA", PrecisionUnit},
		{"  l S 1\t4 a p\n", "LS1 4AP", PrecisionUnit},
		{"LS14 AP", "LS1 4AP", PrecisionUnit},
		{"ＬＳ１　４ＡＰ", "LS1 4AP", PrecisionUnit},
		{"ｌｓ１４ａｐ", "LS1 4AP", PrecisionUnit},
		{"\ufeffLS1\u00a04AP\u200b", "LS1 4AP", PrecisionUnit},
		{"LS1\u00ad4AP", "LS1 4AP", PrecisionUnit},
		{"M11AE", "M1 1AE", PrecisionUnit},
		{"B338TH", "B33 8TH", PrecisionUnit},
		{"w1a0ax", "W1A 0AX", PrecisionUnit},
		{"EC1A1BB", "EC1A 1BB", PrecisionUnit},
		{"GIR0AA", "GIR 0AA", PrecisionUnit},
		{"npt0va", "NPT 0VA", PrecisionUnit},
		{"LS1", "LS1", PrecisionOutcode},
		{"LS14", "LS14", PrecisionOutcode},
		{"LS 14", "LS14", PrecisionOutcode},
		{"E1W", "E1W", PrecisionOutcode},
		{"EC1A", "EC1A", PrecisionOutcode},
		{"NPT", "NPT", PrecisionOutcode},
		{"LS1 4", "LS1 4", PrecisionSector},
		{"LS14 4", "LS14 4", PrecisionSector},
		{"LS144", "LS14 4", PrecisionSector},
		{"E1 4 ", "E1 4", PrecisionSector},
		{"EC1A1", "EC1A 1", PrecisionSector},
		{"E1W4", "E1W 4", PrecisionSector},
		{"GIR0", "GIR 0", PrecisionSector},
	} {
		p, err := ParsePostcode(c.text)
		if err != nil || p.String() != c.want || p.Precision() != c.precision {
			t.Errorf("%q: %q %v %v, want %q %v", c.text, p, p.Precision(), err, c.want, c.precision)
		}
	}
	if _, err := ParsePostcode("SW1A 1AA?"); strings.Contains(err.Error(), "SW1A") {
		t.Errorf("the error repeats where someone lives: %v", err)
	}
	if zero := (Postcode{}); zero.String() != "" || zero.Precision() != 0 || zero.Precision().String() != "unknown" {
		t.Errorf("zero value: %q %v", zero, zero.Precision())
	}
}

func TestParsePostcodeMalformed(t *testing.T) {
	for _, text := range []string{
		"", " ", "\u200b", "L", "LS", "LSA", "1", "14AP", "LS1 4A", "LS1 AAP", "LS1-4AP", "LS1.4AP", "LS1 4AP!",
		"LS1 4AC", "LS1 4IA", "LS1 4KK", "LS1 4AM", "LS1 4OA", // letters never used
		"LS1 OAA",                                                                                        // letter O where the digit zero belongs: not guessed
		"LSX 4AP", "ABC1 2DE", "LS123 4AP", "A1AA 1AA", "LS1 4AP LS1 4AP", "99999", "ÄB1 2CD", "LS1 4АР", // Cyrillic
		"LS١ 4AP", "\xff\xfe", "LS1\x004AP", "';--", strings.Repeat(" ", 100) + "LS1", strings.Repeat("L", 1<<20),
	} {
		p, err := ParsePostcode(text)
		var typed *PostcodeError
		if !errors.Is(err, ErrPostcodeMalformed) || !errors.As(err, &typed) || typed.Reason == "" || p != (Postcode{}) {
			t.Errorf("%.20q: %q, %v, want ErrPostcodeMalformed", text, p, err)
		}
	}
}

func drawPostcode(t *rapid.T) string {
	out := rapid.OneOf(rapid.StringMatching(`[A-Z]{1,2}[0-9][0-9A-Z]?`), rapid.SampledFrom([]string{"GIR", "NPT"})).Draw(t, "outcode")
	return out + " " + rapid.StringMatching(`[0-9][ABDEFGHJLNP-Z]{2}`).Draw(t, "inward")
}

func TestParsePostcodeAnySpacingAndCase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawPostcode(t)
		var odd strings.Builder
		for _, r := range strings.ReplaceAll(want, " ", "") {
			odd.WriteString(rapid.SampledFrom([]string{"", "", " ", "\t", "\u00a0", "\u3000", "\u2009", "\u200b"}).Draw(t, "space"))
			switch rapid.IntRange(0, 2).Draw(t, "form") {
			case 0:
				r += '！' - '!'
			case 1:
				r = []rune(strings.ToLower(string(r)))[0]
			}
			odd.WriteRune(r)
		}
		p, err := ParsePostcode(odd.String())
		if err != nil || p.String() != want || p.Precision() != PrecisionUnit {
			t.Fatalf("%q: %q %v, want %q", odd.String(), p, err, want)
		}
	})
}

func FuzzParsePostcode(f *testing.F) {
	for _, seed := range []string{
		"LS1 4AP", "ls14ap", "TW101AA", "LS1", "LS1 4", "LS14", "LS 1 4", "W1A 0AX", "EC1A", "GIR 0AA", "NPT0VA",
		"ＬＳ１　４ＡＰ", "\ufeffLS1\u00a04AP", "LS1 4AC", "", " ", "\xff", "LS1-4AP", "A99A9AA", "A9A9A", "0AA", "AA9 9 AA",
	} {
		f.Add(seed)
	}
	postcodes := embedded(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePostcode(text)
		if err != nil {
			if !errors.Is(err, ErrPostcodeMalformed) || p != (Postcode{}) {
				t.Fatalf("%q: %q %v", text, p, err)
			}
			return
		}
		if !utf8.ValidString(text) {
			t.Fatalf("%q is no text, yet %q", text, p)
		}
		canonical := p.String()
		again, err := ParsePostcode(canonical)
		if err != nil || again != p {
			t.Fatalf("%q: canonical %q parses to %q, %v", text, canonical, again, err)
		}
		located, err := postcodes.Locate(p)
		if err != nil {
			if !errors.Is(err, ErrPostcodeUnknown) {
				t.Fatal(err)
			}
			return
		}
		if located.Postcode != canonical || located.Precision < p.Precision() || located.Point.Validate() != nil {
			t.Fatalf("%q: %+v", text, located)
		}
	})
}
