package bulk

import (
	"bufio"
	"bytes"
	"io"
)

// MaxLineBytes bounds a line of any file; of a longer one only the fact is kept.
const MaxLineBytes = 1 << 20

// line is one line of a file, without its end.
type line struct {
	number  int    // counted from 1
	text    []byte // valid until the next call
	tooLong bool
	end     int64 // offset of the next line
}

// lineReader reads lines in bounded memory, whatever the file holds.
type lineReader struct {
	source *bufio.Reader
	number int
	offset int64
}

func newLineReader(source io.Reader) *lineReader {
	return &lineReader{source: bufio.NewReaderSize(source, MaxLineBytes)}
}

// next reads a line; io.EOF after the last. A last line without an end is a line.
func (r *lineReader) next() (line, error) {
	text, err := r.source.ReadSlice('\n')
	l := line{number: r.number + 1}
	r.offset += int64(len(text))
	for err == bufio.ErrBufferFull {
		l.tooLong = true
		var rest []byte
		rest, err = r.source.ReadSlice('\n')
		r.offset += int64(len(rest))
	}
	if err != nil && (err != io.EOF || len(text) == 0 && !l.tooLong) {
		return line{}, err
	}
	r.number++
	l.end = r.offset
	if !l.tooLong {
		l.text = bytes.TrimRight(text, "\r\n")
	}
	if l.number == 1 {
		l.text = bytes.TrimPrefix(l.text, []byte("\ufeff"))
	}
	return l, nil
}
