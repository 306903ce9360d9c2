package bulk

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"muster/allocator"
	"muster/api/daytable"
)

// Sites loads files of sites.
type Sites struct {
	Postcodes allocator.Postcodes // places sites without a location
	Publisher string              // of sites whose file names none
}

const (
	// siteBatch is how many sites are taken in before they are written.
	siteBatch = 128
	// siteWriters is how many of them are written at the same time: each is a transaction of its own.
	siteWriters = 16
)

// Load loads one file of sites.
func (s Sites) Load(ctx context.Context, job Job) (Report, error) {
	return job.run(ctx, &siteLoader{Sites: s, ledger: job.Ledger, actor: job.Actor, messages: job.Messages})
}

var errNoHeader = errors.New("there is no header before it")

type siteLoader struct {
	Sites
	ledger   allocator.Ledger
	actor    string
	messages interface{ Write([]byte) (int, error) }
	columns  columns
	width    int
	batch    []numberedSite
	taken    map[allocator.SiteID]bool
}

type numberedSite struct {
	line int
	site allocator.Site
}

func (s *siteLoader) header(text []byte) (bool, error) {
	if !utf8.Valid(text) {
		return false, errors.New("the header is not valid UTF-8")
	}
	fields, err := daytable.Split(string(text))
	if err != nil {
		return false, err
	}
	s.taken = make(map[allocator.SiteID]bool)
	var unused []string
	s.columns, unused, err = columnsOf(fields)
	if err != nil {
		return false, err
	}
	if len(unused) > 0 {
		fmt.Fprintf(s.messages, "columns that are not used: %s\n", strings.Join(unused, ", "))
	}
	s.width = len(fields)
	return true, nil
}

func (s *siteLoader) line(number int, text []byte) (bool, error) {
	if len(strings.TrimSpace(string(text))) == 0 {
		return false, nil
	}
	if s.width == 0 {
		return false, errNoHeader
	}
	if !utf8.Valid(text) {
		return false, errors.New("is not valid UTF-8")
	}
	fields, err := daytable.Split(string(text))
	if err != nil {
		return false, err
	}
	if len(fields) != s.width {
		return false, fmt.Errorf("has %d fields, and the header has %d", len(fields), s.width)
	}
	site, err := s.site(fields)
	if err != nil {
		return false, err
	}
	if s.taken[site.ID] {
		return false, fmt.Errorf("is the same site as a line shortly before it (%s)", site.ID)
	}
	s.taken[site.ID] = true
	s.batch = append(s.batch, numberedSite{number, site})
	return len(s.batch) >= siteBatch, nil
}

// generatedID names a site by what it is and where, so that loading its line again finds the same site.
func generatedID(kind, name, postcode string) allocator.SiteID {
	sum := sha256.Sum256([]byte(strings.ToLower(kind + "\x00" + name + "\x00" + strings.ReplaceAll(postcode, " ", ""))))
	return allocator.SiteID("S" + base32.HexEncoding.EncodeToString(sum[:])[:11])
}

// write writes the sites of the batch side by side.
func (s *siteLoader) write(ctx context.Context, failed func(int, error)) error {
	faults := make([]error, len(s.batch))
	var writers errgroup.Group
	writers.SetLimit(siteWriters)
	for i := range s.batch {
		writers.Go(func() error {
			_, faults[i] = s.ledger.PutSite(ctx, s.batch[i].site, s.actor)
			return nil
		})
	}
	_ = writers.Wait() // each has a fault of its own
	var refusal *allocator.Error
	for _, fault := range faults {
		if fault != nil && !errors.As(fault, &refusal) {
			return fault
		}
	}
	for i, fault := range faults {
		if fault != nil {
			failed(s.batch[i].line, fault)
		}
	}
	s.batch = s.batch[:0]
	clear(s.taken)
	return nil
}
