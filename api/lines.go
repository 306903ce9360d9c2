package api

import (
	"bufio"
	"errors"
	"io"
	"sync"
)

// Bounds of an upload, whatever its length: of a line, and of what has been read but not been worked on.
const (
	maxLineBytes  = 1 << 20
	maxQueueLines = 64
	maxQueueBytes = 2 << 20
)

// line is one line of an upload.
type line struct {
	number int // from 1, blank lines counted
	text   []byte
	tooBig bool // text is missing
	broken bool // the upload ended within this line, or before it
}

// lineQueue holds the lines that were read ahead, bounded in number and bytes.
type lineQueue struct {
	mu      sync.Mutex
	changed sync.Cond
	lines   []line
	bytes   int
	ended   bool // nothing more is coming
	stopped bool // nobody takes any more
}

func newLineQueue() *lineQueue {
	q := &lineQueue{}
	q.changed.L = &q.mu
	return q
}

// put blocks until there is room; false: nobody wants the line any more.
func (q *lineQueue) put(l line) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped && len(q.lines) > 0 && (len(q.lines) >= maxQueueLines || q.bytes+len(l.text) > maxQueueBytes) {
		q.changed.Wait()
	}
	if q.stopped {
		return false
	}
	q.lines, q.bytes = append(q.lines, l), q.bytes+len(l.text)
	q.changed.Broadcast()
	return true
}

// take blocks until there is a line, and gives all that are there. None: the upload has ended, or, where whole is false,
// was stopped.
func (q *lineQueue) take() (lines []line, whole bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 && !q.ended && !q.stopped {
		q.changed.Wait()
	}
	lines, whole = q.lines, q.ended
	q.lines, q.bytes = nil, 0
	q.changed.Broadcast()
	return lines, whole
}

func (q *lineQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.changed.Broadcast()
}

// isEnded says whether the upload was read to its end, or as far as it could be.
func (q *lineQueue) isEnded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

func (q *lineQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.changed.Broadcast()
}

// readLines puts every line of r into the queue until its end, and ends the queue then; not where the queue was stopped
// before. A line that is not finished when r
// fails is put as broken and never as if it were whole; the last line needs no line feed.
func readLines(r io.Reader, q *lineQueue) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		l, err := readLine(buffered, number)
		l.broken = err != nil && !errors.Is(err, io.EOF)
		if (len(l.text) > 0 || l.tooBig || l.broken) && !q.put(l) {
			return
		}
		if err != nil {
			q.end()
			return
		}
	}
}

// readLine reads one line, without its ending and surrounding blanks, in bounded memory.
func readLine(r *bufio.Reader, number int) (line, error) {
	l := line{number: number}
	for {
		piece, err := r.ReadSlice('\n')
		if !l.tooBig {
			l.text = append(l.text, piece...)
		}
		if len(l.text) > maxLineBytes {
			l.text, l.tooBig = nil, true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			l.text = trimBlank(l.text)
			return l, err
		}
	}
}

func trimBlank(text []byte) []byte {
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	for len(text) > 0 && blank(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	for len(text) > 0 && blank(text[0]) {
		text = text[1:]
	}
	return text
}
