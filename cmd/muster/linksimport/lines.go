package linksimport

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

var errLongLine = errors.New("the line is longer than lines may be")

// lineReader reads lines in bounded memory, whatever the file holds.
type lineReader struct {
	source *bufio.Reader
	most   int // bytes
	long   []byte
}

// next gives a line without its end, good until the next call; io.EOF after the last. Of a line that is too long only that
// is told, with errLongLine.
func (l *lineReader) next() ([]byte, error) {
	piece, err := l.source.ReadSlice('\n')
	if err == nil {
		return l.fits(bytes.TrimRight(piece, "\r\n"))
	}
	l.long = append(l.long[:0], piece...)
	length := len(piece)
	for errors.Is(err, bufio.ErrBufferFull) {
		piece, err = l.source.ReadSlice('\n')
		if length += len(piece); length <= l.most+2 {
			l.long = append(l.long, piece...)
		}
	}
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case length == 0:
		return nil, io.EOF
	case length > l.most+2:
		return nil, errLongLine
	}
	return l.fits(bytes.TrimRight(l.long, "\r\n"))
}

func (l *lineReader) fits(line []byte) ([]byte, error) {
	if len(line) > l.most {
		return nil, errLongLine
	}
	return line, nil
}
