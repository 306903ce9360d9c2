package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

// fakeLinks has a manifest and one file.
type fakeLinks struct {
	since  time.Time
	breaks error // in the middle of the file
}

func (f *fakeLinks) Manifest(_ context.Context, since time.Time) ([]byte, string, error) {
	f.since = since
	return []byte(`{"transactionTime":"2026-11-30T10:00:00.120Z","request":"https://muster.test/","output":[],"error":[]}`), `W/"m1"`, nil
}

func (f *fakeLinks) File(_ context.Context, name string) (string, func(context.Context, bool) io.ReadCloser, bool, error) {
	open := func(_ context.Context, packed bool) io.ReadCloser {
		const line = `{"resourceType":"Slot"}` + "\n"
		var b bytes.Buffer
		if packed {
			w := gzip.NewWriter(&b)
			_, _ = w.Write([]byte(line))
			_ = w.Close()
		} else {
			b.WriteString(line)
		}
		if f.breaks != nil {
			return io.NopCloser(io.MultiReader(&b, failing{f.breaks}))
		}
		return io.NopCloser(&b)
	}
	return `W/"f1"`, open, name == "slot-00.ndjson", nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestLinks: readers are told what they have already, get files packed or not, and never a file that looks whole and is not.
func TestLinks(t *testing.T) {
	links := &fakeLinks{}
	w := serve(t, Options{Links: links}, &fake{})
	const manifest, file = "/smart-scheduling/$bulk-publish", "/smart-scheduling/slot-00.ndjson"
	a := w.call("GET", manifest, "").wants(200)
	if a.header.Get("ETag") != `W/"m1"` || a.header.Get("Cache-Control") != "public, max-age=60" || a.header.Get("Content-Type") != "application/json" || !links.since.IsZero() {
		t.Errorf("%v", a.header)
	}
	for tag, status := range map[string]int{`W/"m1"`: 304, `"m1"`: 304, `"x", W/"m1"`: 304, "*": 304, `"m2"`: 200} {
		if got := w.call("GET", manifest, "", "If-None-Match", tag).wants(status); status == 304 && len(got.body) > 0 {
			t.Errorf("304 with %q", got.body)
		}
	}
	w.call("GET", manifest+"?_since=2026-11-30T11:00:00+01:00", "").wants(200)
	if !links.since.Equal(time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("since %v", links.since)
	}
	if p := w.call("GET", manifest+"?_since=yesterday", "").refused(400, allocator.CodeInvalid); pointers(p) != "[/query/_since]" {
		t.Errorf("%v", p)
	}
	const line = `{"resourceType":"Slot"}` + "\n"
	a = w.call("GET", file, "", "Accept-Encoding", "identity").wants(200)
	if string(a.body) != line || a.header.Get("Content-Type") != "application/fhir+ndjson" || a.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v %s", a.header, a.body)
	}
	packed := w.call("GET", file, "", "Accept-Encoding", "gzip").wants(200)
	if r, err := gzip.NewReader(bytes.NewReader(packed.body)); err != nil {
		t.Error(err)
	} else if text, err := io.ReadAll(r); err != nil || string(text) != line {
		t.Errorf("%q, %v", text, err)
	}
	w.call("GET", file, "", "If-None-Match", `W/"f1"`).wants(304)
	w.call("HEAD", file, "").wants(200)
	w.call("GET", "/smart-scheduling/slot-01.ndjson", "").refused(404, CodeNotFound)
	serve(t, Options{}, &fake{}).call("GET", manifest, "").refused(404, CodeNotFound)

	links.breaks = errors.New("no more")
	res, err := w.client.Get("http://muster.test" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a file that broke off looks whole: %q", text)
	}
	if !strings.Contains(w.logs.String(), "no more") {
		t.Error("nobody is told")
	}
}
