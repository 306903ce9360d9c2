package api

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// plain is a parsed value as encoding/json would have it.
func plain(v value) any {
	switch v.kind {
	case kindBool:
		return v.text == "true"
	case kindNumber:
		return json.Number(v.text)
	case kindString:
		return v.text
	case kindArray:
		out := make([]any, len(v.items))
		for i, item := range v.items {
			out[i] = plain(item)
		}
		return out
	case kindObject:
		out := make(map[string]any, len(v.items))
		for i, item := range v.items {
			out[v.names[i]] = plain(item)
		}
		return out
	}
	return nil
}

// checkJSON compares the parser with encoding/json: what it accepts is valid and means the same, and what it refuses is
// invalid, too deep, or has a duplicate name or half a surrogate pair.
func checkJSON(t *testing.T, data []byte) {
	v, faults, whole := parseJSON(data)
	if len(faults) > maxFaults+1 {
		t.Errorf("%d faults", len(faults))
	}
	for _, f := range faults {
		if f.Detail == "" || f.Pointer != "" && f.Pointer[0] != '/' || !utf8.ValidString(f.Pointer) {
			t.Errorf("fault %+v", f)
		}
	}
	if whole && !json.Valid(data) {
		t.Fatalf("%q is taken for JSON", data)
	}
	if whole && len(faults) == 0 {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if got := plain(v); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %#v, want %#v", data, got, want)
		}
	}
	if !whole && json.Valid(data) && utf8.Valid(data) && len(data) < 2*maxValues {
		if text := string(data); !strings.Contains(strings.ToLower(text), `\ud`) && strings.Count(text, "[")+strings.Count(text, "{") < maxDepth {
			t.Fatalf("%q is refused: %v", data, faults)
		}
	}
}

var jsonSeeds = []string{
	goodHold, `{"a":[1,-0.5e+10,true,false,null,"\u00e9\ud83d\ude00\n"],"b":{}}`, `[]`, ` 1 `, `"\`, `"\ud800\u0041"`, `{"a":1,"a":2}`, `-`, `01`, `1.`,
	`[1,]`, `{"a"}`, `{,}`, `tru`, "\xff", "\"\x00\"", strings.Repeat("[", 20) + strings.Repeat("]", 20), `{"a/b~c":[{"d":]}`, `1e`, `"\x"`, `""""`,
}

func FuzzJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(checkJSON)
}

// FuzzBodies: no body makes a decoder panic, and what is refused is refused with faults.
func FuzzBodies(f *testing.F) {
	for _, s := range append(jsonSeeds, confirmWith(goodPerson), dayLine("A", "2027-06-01"), `{"name":"A","address":{"lines":["x"]},"location":{"lat":1,"lon":2}}`) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, o := decodeBody(data)
		decodeClaim(o)
		decodePerson(o, required, 20_000)
		decodeSessions(o)
		o.only("siteId")
		o.paragraphs("name", 10)
		o.choice("status", optional, "a", "b")
		o.number("lat", optional, -1, 1)
		if len(d.faults) > maxFaults+1 {
			t.Errorf("%d faults", len(d.faults))
		}
		if err := d.fail(); (err == nil) != (len(d.faults) == 0) {
			t.Error(err)
		}
		if req, err := DecodeCapacity(data); err == nil && (!req.Site.Valid() || len(req.Day.Sessions) > allocator.MaxSessionsPerDay) {
			t.Errorf("%+v", req)
		}
	})
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, s := range []string{"a", `"a"`, `"a\"b\\"`, `"a`, `a"b`, `""`, "", " x ", "a b", "é", `"\a"`, strings.Repeat("k", 255), strings.Repeat("k", 256)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		key, ok := parseIdempotencyKey(header)
		if !ok {
			return
		}
		if !visible(key) {
			t.Fatalf("%q gives %q", header, key)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
		if again, ok := parseIdempotencyKey(quoted); !ok || again != key {
			t.Fatalf("%q quoted is %q, which gives %q", key, quoted, again)
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{"Bearer dev", "bearer  x", "Manage ABC==", "Bearer", "Bearer a b", "Bearer a,b", " Bearer x ", "Bearer eyJ.e30.x", "B€ x", "=", "Basic Zm9v="} {
		f.Add(s)
	}
	i := newIssuer(f)
	s, err := New(Options{Issuer: "i", Audience: "a", JWKSFile: i.file}, &fake{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		scheme, token, ok := parseAuthorization(header)
		if !ok {
			if scheme != "" || token != "" {
				t.Fatalf("%q: refused, but %q %q", header, scheme, token)
			}
			return
		}
		if scheme != strings.ToLower(scheme) || token == "" || strings.ContainsAny(token, " \t\r\n\",;") {
			t.Fatalf("%q: %q %q", header, scheme, token)
		}
		if g, err := s.identify(token); err == nil || g.known() {
			t.Fatalf("%q is believed: %+v", token, g)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n  c"), 3)
	f.Add([]byte(strings.Repeat("x", 100)+"\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		q := newLineQueue()
		go readLines(&pieces{data: data, size: 1 + (piece&0xff)%64}, q)
		var got []line
		for {
			lines, whole := q.take()
			if len(lines) == 0 && whole {
				break
			}
			got = append(got, lines...)
		}
		var want []string
		for n, text := range strings.Split(string(data), "\n") {
			if text = strings.Trim(text, " \t\r\n"); text != "" {
				want = append(want, strconv.Itoa(n+1)+" "+text)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
		for i, l := range got {
			if have := strconv.Itoa(l.number) + " " + string(l.text); have != want[i] && len(l.text) <= maxLineBytes {
				t.Fatalf("line %q, want %q", have, want[i])
			}
		}
	})
}

// pieces is a reader that gives little at a time.
type pieces struct {
	data []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.data)
	p.data = p.data[n:]
	return n, nil
}

// FuzzQueries: no path and no query makes a handler panic or fail in another way that is our fault, on any public GET route.
func FuzzQueries(f *testing.F) {
	for _, r := range routes() {
		if r.method == get && len(r.scopes) == 0 {
			f.Add(r.path, "")
		}
	}
	for _, q := range badQueries {
		path, query, _ := strings.Cut(q.path, "?")
		f.Add(path, query)
	}
	f.Add("/v1/sites", "service=RSV:Adult&postcode=LS1+4AP&from=2027-06-01&to=2027-06-30&people=2&access=step_free,parking&includeFull=true")
	f.Add("/v1/sites/%41/availability", "service=%2B&people=5")
	f.Add("/smart-scheduling/$bulk-publish", "_since=2027-06-01T09:00:00+01:00")
	f.Add("/fhir/R4/Slot", "schedule=Schedule/A&start=ge2027-06-01&_count=5&_format=json")
	s, err := New(Options{}, &fake{})
	if err != nil {
		f.Fatal(err)
	}
	handler := s.router()
	f.Fuzz(func(t *testing.T, path, query string) {
		var ctx fasthttp.RequestCtx
		var r fasthttp.Request
		r.Header.SetHost("muster.test")
		r.SetRequestURI("/" + strings.TrimPrefix(path, "/") + "?" + query)
		ctx.Init(&r, nil, nil)
		handler(&ctx)
		if status := ctx.Response.StatusCode(); status >= 500 {
			t.Errorf("%q ? %q: %d %s", path, query, status, ctx.Response.Body())
		}
	})
}
