package geo

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// PostcodeAttribution must be shown wherever the embedded postcodes are
// published or passed on. The licence asks for it:
// https://www.ons.gov.uk/methodology/geography/licences
const PostcodeAttribution = "Source: Office for National Statistics licensed under the Open Government Licence v3.0. " +
	"Contains OS data © Crown copyright and database right 2025. " +
	"Contains Royal Mail data © Royal Mail copyright and database right 2025. " +
	"Contains National Statistics data © Crown copyright and database right 2025."

// The file is the postcodes of Great Britain from the ONS National Statistics
// Postcode Lookup of May 2025. Those of Northern Ireland (BT) are licensed for
// non-commercial use only and are left out; see LoadPostcodes.
//
//go:generate go run ./internal/postcodegen -o postcodes.bin $MUSTER_POSTCODES_TAR
//go:embed postcodes.bin
var embeddedPostcodes []byte

// A file is, in little-endian,
//
//	fileMagic, u32 outcodes, u32 units
//	for each outcode, ascending: u32 key, u32 units, i32 latitude, i32 longitude
//	                             of the mean in 1e-5 degree, u32 bytes of its block
//	the blocks, without padding; then blockPadding zeros
const (
	fileMagic         = "geopost1"
	fileHeaderBytes   = len(fileMagic) + 8
	outcodeEntryBytes = 20
)

var errPostcodeFile = errors.New("geo: not a postcode file of this version, or damaged")

// EmbeddedPostcodes returns the postcodes shipped with the program: 2.6 million
// of England, Scotland and Wales, without those of Northern Ireland, Jersey,
// Guernsey and Man. It reads a directory of 3,000 outcodes (a tenth of a
// millisecond, 140 KB); the units are used where they lie in the executable,
// and the operating system loads the pages looked at. Publish with PostcodeAttribution.
//
// An error means that the program was built with a damaged file.
func EmbeddedPostcodes() (*Postcodes, error) { return openPostcodes(embeddedPostcodes) }

// openPostcodes keeps data. It checks the directory; the blocks are trusted, as
// they are checked in with a test that reads all of them.
func openPostcodes(data []byte) (*Postcodes, error) {
	if len(data) < fileHeaderBytes || string(data[:len(fileMagic)]) != fileMagic {
		return nil, errPostcodeFile
	}
	outcodes := int(binary.LittleEndian.Uint32(data[len(fileMagic):]))
	units := int(binary.LittleEndian.Uint32(data[len(fileMagic)+4:]))
	if outcodes > (len(data)-fileHeaderBytes)/outcodeEntryBytes {
		return nil, errPostcodeFile
	}
	p := &Postcodes{outcodes: make([]outcode, outcodes)}
	start := fileHeaderBytes + outcodes*outcodeEntryBytes
	for i := range p.outcodes {
		e := data[fileHeaderBytes+i*outcodeEntryBytes:]
		end := start + int(binary.LittleEndian.Uint32(e[16:]))
		if end+blockPadding > len(data) {
			return nil, errPostcodeFile
		}
		p.outcodes[i] = outcode{
			key:   binary.LittleEndian.Uint32(e),
			first: int32(p.units),
			units: int32(binary.LittleEndian.Uint32(e[4:])),
			mean:  fixed{int32(binary.LittleEndian.Uint32(e[8:])), int32(binary.LittleEndian.Uint32(e[12:]))},
			block: block(data[start : end+blockPadding : end+blockPadding]),
		}
		if i > 0 && p.outcodes[i-1].key >= p.outcodes[i].key {
			return nil, errPostcodeFile
		}
		p.units += int(p.outcodes[i].units)
		start = end
	}
	if start+blockPadding != len(data) || p.units != units {
		return nil, errPostcodeFile
	}
	return p, nil
}

// WriteTo writes the postcodes in the form that is embedded. It implements
// io.WriterTo; only the generator needs it.
func (p *Postcodes) WriteTo(w io.Writer) (int64, error) {
	head := []byte(fileMagic)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(p.outcodes)))
	head = binary.LittleEndian.AppendUint32(head, uint32(p.units))
	for _, o := range p.outcodes {
		head = binary.LittleEndian.AppendUint32(head, o.key)
		head = binary.LittleEndian.AppendUint32(head, uint32(o.units))
		head = binary.LittleEndian.AppendUint32(head, uint32(o.mean.lat))
		head = binary.LittleEndian.AppendUint32(head, uint32(o.mean.lon))
		head = binary.LittleEndian.AppendUint32(head, uint32(len(o.block)-blockPadding))
	}
	var written int64
	write := func(b []byte) error {
		n, err := w.Write(b)
		written += int64(n)
		return err
	}
	if err := write(head); err != nil {
		return written, fmt.Errorf("geo: writing postcodes: %w", err)
	}
	for _, o := range p.outcodes {
		if err := write(o.block[:len(o.block)-blockPadding]); err != nil {
			return written, fmt.Errorf("geo: writing postcodes: %w", err)
		}
	}
	if err := write(make([]byte, blockPadding)); err != nil {
		return written, fmt.Errorf("geo: writing postcodes: %w", err)
	}
	return written, nil
}
