package smartlinks

import (
	"bytes"
	"context"
	"hash/crc32"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"

	"muster/allocator"
)

// piece is some lines of a file, packed so that other pieces may come before and after it.
type piece struct {
	packed []byte
	crc    uint32 // of the lines
	size   int64  // of the lines, in bytes
}

// record is what was worked out of one site.
type record struct {
	changes   uint64 // of the site, as it was then
	print     uint64 // of services and tick
	at        time.Time
	schedules []byte // lines, each without its beginning (see scheduleLine)
	slots     piece
	dropped   bool // slots did not fit into what is kept
}

// room is memory that sites are worked out in, one after the other.
type room struct {
	lines  []byte
	packed bytes.Buffer
	writer *flate.Writer
}

var rooms = sync.Pool{New: func() any {
	writer, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &room{writer: writer}
}}

// record finds or works out what a site shows in an edition; false where it shows nothing.
func (p *Publisher) record(ctx context.Context, e *edition, site allocator.SiteVersion, whole bool) (*record, bool) {
	if r := p.known(e, site, whole); r != nil {
		return r, true
	}
	select {
	case p.making <- struct{}{}:
		defer func() { <-p.making }()
	case <-ctx.Done():
		return nil, false
	}
	if r := p.known(e, site, whole); r != nil {
		return r, true
	}
	offering, ok := p.source.Offering(ctx, allocator.OfferingRequest{Site: site.Site, From: e.tick, Until: e.until, Days: p.options.Days})
	if !ok {
		return &record{changes: site.Changes, print: e.print}, true
	}
	made := p.make(&offering, e)
	p.keep(site.Site, made)
	return made, true
}

// known finds a record that still stands.
func (p *Publisher) known(e *edition, site allocator.SiteVersion, whole bool) *record {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.kept[site.Site]
	later := r != nil && (r.print == e.print || r.at.After(e.at)) // a slow reader's edition may be long gone
	if !later || r.changes < site.Changes || whole && r.dropped {
		return nil
	}
	return r
}

// keep remembers a record, without its slots where there is no room.
func (p *Publisher) keep(site allocator.SiteID, made *record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.kept[site]; old != nil {
		p.bytes -= len(old.slots.packed)
	}
	if p.bytes+len(made.slots.packed) > p.options.KeepBytes {
		short := *made
		short.slots, short.dropped = piece{}, true
		made = &short
	}
	p.bytes += len(made.slots.packed)
	p.kept[site] = made
}

func (p *Publisher) make(o *allocator.Offering, e *edition) *record {
	r := &record{changes: o.Changes, print: e.print, at: e.at}
	room := rooms.Get().(*room)
	defer rooms.Put(room)
	room.lines = room.lines[:0]
	for i := range o.Services {
		w := newSlotWriter(p.options.BaseURL, o, &o.Services[i].Service)
		state := "unknown"
		if o.Known {
			state = "none"
			for _, s := range o.Services[i].Slots {
				if s.Free > 0 {
					state = "some"
				}
				room.lines = w.append(room.lines, s)
			}
		}
		r.schedules = appendSchedule(r.schedules, p.options.BaseURL, o, &o.Services[i].Service, state)
	}
	r.slots = room.pack()
	return r
}

// pack compresses the lines into a piece.
func (m *room) pack() piece {
	if len(m.lines) == 0 {
		return piece{}
	}
	m.packed.Reset()
	m.writer.Reset(&m.packed)
	_, _ = m.writer.Write(m.lines) // a buffer takes all
	_ = m.writer.Flush()
	return piece{bytes.Clone(m.packed.Bytes()), crc32.ChecksumIEEE(m.lines), int64(len(m.lines))}
}

// packText makes a piece of some lines.
func packText(lines []byte) piece {
	room := rooms.Get().(*room)
	defer rooms.Put(room)
	room.lines = append(room.lines[:0], lines...)
	return room.pack()
}

// asOf says until when what a server knows of its sites was true.
func (e *edition) asOf() string { return e.at.UTC().Format(time.RFC3339) }
