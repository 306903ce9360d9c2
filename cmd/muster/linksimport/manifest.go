package linksimport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"muster/publicweb"
)

// output is a file that the manifest names.
type output struct {
	Type string `json:"type"`
	URL  string `json:"url"`
	at   *url.URL
}

var byteOrderMark = []byte("\ufeff")

func (r *run) readManifest(ctx context.Context) ([]output, error) {
	d, err := r.fetch.open(ctx, r.fetch.manifest, "application/json", r.Limits.ManifestBytes)
	if err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	defer d.close()
	text, err := io.ReadAll(d)
	if err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	r.ofDocument(d, "application/json", "application/fhir+json")
	return r.outputsOf(text, d.at)
}

// outputsOf reads a manifest that was found at an address.
func (r *run) outputsOf(text []byte, at *url.URL) ([]output, error) {
	var m struct {
		Output []output `json:"output"`
	}
	if plain, found := bytes.CutPrefix(text, byteOrderMark); found {
		r.tolerate("byte-order-mark")
		text = plain
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("the manifest is not one: %w", err)
	}
	if len(m.Output) == 0 {
		return nil, errors.New("the manifest names no files")
	}
	if len(m.Output) > r.Limits.Files {
		return nil, publicweb.Refuse("the manifest names %d files, more than %d", len(m.Output), r.Limits.Files)
	}
	return r.resolve(m.Output, at)
}

// resolve completes the files' addresses, and takes each once.
func (r *run) resolve(named []output, base *url.URL) (outputs []output, err error) {
	seen := make(map[string]bool)
	for _, o := range named {
		if !slices.Contains([]string{"Location", "Schedule", "Slot"}, o.Type) {
			r.tolerate("unknown-type-of-file")
			continue
		}
		at, err := url.Parse(o.URL)
		if err != nil {
			return nil, fmt.Errorf("the manifest names %.200q, which is not an address", o.URL)
		}
		if !at.IsAbs() {
			r.tolerate("relative-url")
		}
		o.at = base.ResolveReference(at)
		o.at.Fragment = ""
		if err := publicweb.CheckURL(o.at); err != nil {
			return nil, err
		}
		if o.at.String() == base.String() || o.at.String() == r.fetch.manifest.String() || strings.HasSuffix(o.at.Path, "/$bulk-publish") {
			return nil, publicweb.Refuse("the manifest names a manifest as one of its files: %s", o.at)
		}
		if seen[o.at.String()] {
			r.tolerate("file-named-twice")
			continue
		}
		seen[o.at.String()] = true
		outputs = append(outputs, o)
	}
	return outputs, nil
}

// ofDocument counts what is wrong with how a file was sent.
func (r *run) ofDocument(d *document, usual ...string) {
	if !slices.Contains(usual, d.contentType) {
		r.tolerate("wrong-content-type")
	}
	if d.gunzipped {
		r.tolerate("packed-without-saying-so")
	}
}

// readFile takes each line of a file. A line that fails is told; an error is one of the whole file.
func (r *run) readFile(ctx context.Context, o output, take func(ctx context.Context, line []byte) error) error {
	d, err := r.fetch.open(ctx, o.at, "application/fhir+ndjson", r.Limits.PlainBytes)
	if err != nil {
		return err
	}
	defer d.close()
	r.ofDocument(d, "application/fhir+ndjson", "application/ndjson", "application/x-ndjson")
	r.report.Files++
	r.file, r.line = o.at.String(), 0
	lines := &lineReader{source: d.Reader, most: r.Limits.LineBytes}
	for {
		text, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return err
		}
		r.line++
		r.report.Lines++
		r.progress.Show(r.report.Lines, r.report.Failed, 0)
		if err == nil {
			err = r.takeLine(ctx, text, take)
		}
		var whole *fatal
		if errors.As(err, &whole) {
			return whole.error
		}
		if err != nil {
			r.refuse(err)
		}
	}
}

// fatal is an error that ends the import.
type fatal struct{ error }

func (f *fatal) Unwrap() error { return f.error }

func (r *run) takeLine(ctx context.Context, text []byte, take func(ctx context.Context, line []byte) error) error {
	if plain, found := bytes.CutPrefix(text, byteOrderMark); found {
		r.tolerate("byte-order-mark")
		text = plain
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		r.tolerate("blank-line")
		return nil
	}
	return take(ctx, text)
}
