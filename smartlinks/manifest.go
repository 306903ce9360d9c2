package smartlinks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muster/allocator"
)

// Root is the folder of all that is published, and ManifestName the manifest's name in it.
const (
	Root         = "/smart-scheduling/"
	ManifestName = "$bulk-publish"
)

// The kinds of files.
const (
	locations = "Location"
	schedules = "Schedule"
	slots     = "Slot"
)

var kinds = []string{locations, schedules, slots}

// overlap is how far _since reaches back beyond what is asked: another server of the installation may have noticed a
// change earlier than the one that wrote the reader's last manifest.
const overlap = 30 * time.Second

type manifest struct {
	TransactionTime string   `json:"transactionTime"`
	Request         string   `json:"request"`
	Output          []output `json:"output"`
	Error           []output `json:"error"`
}

type output struct {
	Type      string     `json:"type"`
	URL       string     `json:"url"`
	Extension *extension `json:"extension,omitempty"`
}

type extension struct {
	State []string `json:"state"`
}

const instantForm = "2006-01-02T15:04:05.000Z07:00"

// Manifest lists the files; where since is not zero, only those that changed after it. It answers the document and its
// ETag.
func (p *Publisher) Manifest(ctx context.Context, since time.Time) (body []byte, etag string, err error) {
	e, err := p.current(ctx)
	if err != nil {
		return nil, "", err
	}
	m := manifest{TransactionTime: e.at.UTC().Format(instantForm), Request: p.options.BaseURL + Root + ManifestName, Output: []output{}, Error: []output{}}
	if !since.IsZero() {
		m.Request += "?_since=" + url.QueryEscape(since.Format(time.RFC3339Nano))
	}
	tag := version{print: p.hash(func(h io.Writer) {
		for i := range e.parts {
			for _, kind := range kinds {
				v := e.parts[i].version(kind)
				if len(e.parts[i].sites) == 0 || !since.IsZero() && !v.changed.After(since.Add(-overlap)) {
					continue
				}
				fmt.Fprintln(h, kind, v.print)
				m.Output = append(m.Output, p.output(e, kind, i))
			}
		}
		fmt.Fprintln(h, m.Request)
	})}
	body, err = json.Marshal(m)
	return body, tag.etag(), err
}

func (p *Publisher) output(e *edition, kind string, i int) output {
	o := output{Type: kind, URL: p.options.BaseURL + Root + fileName(kind, i)}
	if regions := e.parts[i].regions; len(regions) > 0 {
		o.Extension = &extension{regions}
	}
	return o
}

func (p *part) version(kind string) version {
	if kind == locations {
		return p.details
	}
	return p.offers
}

func fileName(kind string, i int) string {
	return fmt.Sprintf("%s-%02d.ndjson", strings.ToLower(kind), i)
}

// fileOf reads a file's name.
func (p *Publisher) fileOf(name string) (kind string, i int, ok bool) {
	for _, kind := range kinds {
		number, found := strings.CutPrefix(name, strings.ToLower(kind)+"-")
		if !found {
			continue
		}
		number, _ = strings.CutSuffix(number, ".ndjson")
		i, err := strconv.Atoi(number)
		return kind, i, err == nil && i >= 0 && i < p.options.Parts && fileName(kind, i) == name
	}
	return "", 0, false
}

// siteOf finds a site that was listed a moment ago.
func (p *Publisher) siteOf(ctx context.Context, id allocator.SiteID) (*allocator.Site, error) {
	site, err := p.source.Site(ctx, id)
	return &site, err
}
