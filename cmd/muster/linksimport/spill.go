package linksimport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"

	"muster/allocator"
)

// Slots come in any order, and a day is published as a whole. So all of them wait in files, those of a site in one, until
// the last was read. Which file that is cannot be foreseen by a publisher.
const buckets = 256

const slotBytes = 8 + 4 + 4 + 2 + 1

// spill is the files in which slots wait.
type spill struct {
	folder  string
	seed    maphash.Seed
	files   [buckets]*os.File
	writers [buckets]*bufio.Writer
}

func newSpill() (*spill, error) {
	folder, err := os.MkdirTemp("", "muster-import-*")
	return &spill{folder: folder, seed: maphash.MakeSeed()}, err
}

func (s *spill) remove() {
	for _, f := range s.files {
		if f != nil {
			_ = f.Close() // it is deleted next
		}
	}
	_ = os.RemoveAll(s.folder)
}

// add makes a site's slot wait.
func (s *spill) add(site int32, line *slotLine) error {
	i := maphash.Comparable(s.seed, site) % buckets
	if s.files[i] == nil {
		file, err := os.CreateTemp(s.folder, "slots-*")
		if err != nil {
			return err
		}
		s.files[i], s.writers[i] = file, bufio.NewWriterSize(file, 8<<10)
	}
	var b [slotBytes]byte
	binary.LittleEndian.PutUint64(b[:], uint64(line.start))
	binary.LittleEndian.PutUint32(b[8:], uint32(line.schedule))
	binary.LittleEndian.PutUint32(b[12:], uint32(line.places))
	binary.LittleEndian.PutUint16(b[16:], uint16(line.length))
	if line.busy {
		b[18] = 1
	}
	_, err := s.writers[i].Write(b[:])
	return err
}

// bucket reads one file back.
func (s *spill) bucket(i int) (lines []slotLine, err error) {
	if s.files[i] == nil {
		return nil, nil
	}
	if err := s.writers[i].Flush(); err != nil {
		return nil, err
	}
	if _, err := s.files[i].Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	reader := bufio.NewReaderSize(s.files[i], 64<<10)
	var b [slotBytes]byte
	for {
		_, err := io.ReadFull(reader, b[:])
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, fmt.Errorf("waiting slots: %w", err)
		}
		lines = append(lines, slotLine{
			start: allocator.Minute(binary.LittleEndian.Uint64(b[:])), schedule: int32(binary.LittleEndian.Uint32(b[8:])),
			places: int32(binary.LittleEndian.Uint32(b[12:])), length: int16(binary.LittleEndian.Uint16(b[16:])), busy: b[18] == 1,
		})
	}
}
