package smartlinks

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"

	"muster/allocator"
)

// File finds a file by its name; ok is false where there is none. Nothing is made before the file is opened and read.
//
// open's context must live as long as the reader is used. With gzip, the reader gives the file packed. It is for one
// goroutine.
func (p *Publisher) File(ctx context.Context, name string) (etag string, open func(ctx context.Context, gzip bool) io.ReadCloser, ok bool, err error) {
	kind, i, ok := p.fileOf(name)
	if !ok {
		return "", nil, false, nil
	}
	e, err := p.current(ctx)
	if err != nil {
		return "", nil, false, err
	}
	v := e.parts[i].version(kind)
	return v.etag(), func(ctx context.Context, gzip bool) io.ReadCloser {
		f := &file{ctx: ctx, publisher: p, edition: e, kind: kind, sites: e.parts[i].sites, print: v.print, gzip: gzip}
		if gzip {
			f.ready.Reset(gzipHeader)
		}
		return f
	}, true, nil
}

var (
	// gzipHeader: DEFLATE, no flags, no time, no hint, unknown system.
	gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	// lastBlock ends DEFLATE: a stored block of no bytes, marked as the last.
	lastBlock = []byte{1, 0, 0, 255, 255}
)

// file is a file that is being read.
type file struct {
	ctx       context.Context
	publisher *Publisher
	edition   *edition
	kind      string
	sites     []allocator.SiteVersion // still to come
	print     uint64                  // of its version
	gzip      bool

	ready  bytes.Reader  // to be read next
	plain  io.ReadCloser // in place of ready, where the reader wants no gzip; nil: none
	crc    uint32
	size   int64
	ending bool
}

// Read gives the next bytes, making the next site's lines where that is needed.
func (f *file) Read(b []byte) (int, error) {
	for {
		if f.plain != nil {
			if n, err := f.plain.Read(b); n > 0 || err != io.EOF {
				return n, err
			}
			f.plain = nil
		}
		if n, err := f.ready.Read(b); err == nil {
			return n, nil
		}
		if err := f.next(); err != nil {
			return 0, err
		}
	}
}

func (f *file) Close() error { return nil }

// next prepares the next piece.
func (f *file) next() error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if len(f.sites) == 0 {
		if !f.gzip || f.ending {
			return io.EOF
		}
		f.ending = true
		trailer := binary.LittleEndian.AppendUint32(bytes.Clone(lastBlock), f.crc)
		f.ready.Reset(binary.LittleEndian.AppendUint32(trailer, uint32(f.size)))
		return nil
	}
	site := f.sites[0]
	f.sites = f.sites[1:]
	piece, err := f.piece(site)
	if err != nil || piece.size == 0 {
		return err
	}
	if f.gzip {
		f.ready.Reset(piece.packed)
		f.crc, f.size = joined(f.crc, piece.crc, piece.size), f.size+piece.size
		return nil
	}
	f.plain = flate.NewReader(io.MultiReader(bytes.NewReader(piece.packed), bytes.NewReader(lastBlock)))
	return nil
}

// piece makes a site's lines.
func (f *file) piece(site allocator.SiteVersion) (piece, error) {
	p := f.publisher
	if f.kind == locations {
		details, err := p.siteOf(f.ctx, site.Site)
		if err != nil {
			return piece{}, err
		}
		line, err := appendLocation(nil, p.options.BaseURL, details, f.edition.asOf())
		return packText(line), err
	}
	r, ok := p.record(f.ctx, f.edition, site, f.kind == slots)
	if !ok {
		return piece{}, fmt.Errorf("site %s: %w", site.Site, f.ctx.Err())
	}
	if r.changes > site.Changes {
		p.readAhead(f.print)
	}
	if f.kind == slots {
		return r.slots, nil
	}
	var lines []byte
	begin := scheduleLine(f.edition.asOf())
	for line := range bytes.Lines(r.schedules) {
		lines = append(append(lines, begin...), line...)
	}
	return packText(lines), nil
}
