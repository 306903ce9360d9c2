package framing

import "bytes"

// state is what the next byte is part of.
type state uint8

const (
	inHead state = iota // request line, headers, and the empty line after them
	inBody              // anything after the head
)

// part is which part of a chunked body comes next.
type part uint8

const (
	whole    part = iota // left bytes, and then the next request
	size                 // a line with a chunk's size
	data                 // left bytes of a chunk
	dataEnd              // the empty line after them
	trailers             // lines, the last of them empty
)

// reader follows the requests of one connection, however they are cut into pieces.
type reader struct {
	maxHead int
	state   state
	part    part
	head    head
	left    int64  // of a body or a chunk
	begun   []byte // a line of which the end has not come
	seen    int    // bytes of this head, or of the lines between chunks
}

// read looks at the next piece. Where there is a fault, good is how many bytes are before the head that it is in, or before
// the fault where it is in a body.
func (r *reader) read(b []byte) (good int, fault error) {
	for i := 0; i < len(b); {
		if r.state == inBody && (r.part == whole || r.part == data) {
			n := min(r.left, int64(len(b)-i))
			i += int(n)
			if r.left -= n; r.left == 0 {
				r.contentEnded()
			}
			good = i
			continue
		}
		end := bytes.IndexByte(b[i:], '\n')
		piece := b[i:]
		if end >= 0 {
			piece = piece[:end+1]
		}
		if r.seen += len(piece); r.seen > r.maxHead {
			return good, TooLong
		}
		if end < 0 {
			r.begun = append(r.begun, piece...)
			return good, nil
		}
		i += len(piece)
		if fault = r.line(piece); fault != nil {
			return good, fault
		}
		if r.state == inBody || r.head.lines == 0 {
			good = i
		}
	}
	return good, nil
}

// line takes a line of which piece is the end.
func (r *reader) line(piece []byte) error {
	line := piece
	if len(r.begun) > 0 {
		r.begun = append(r.begun, piece...)
		line = r.begun
		defer func() { r.begun = r.begun[:0] }()
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return BareLF
	}
	line = line[:len(line)-2]
	if r.state == inBody {
		return r.between(line)
	}
	if len(line) > 0 || r.head.lines == 0 {
		return r.head.line(line)
	}
	if err := r.head.ended(); err != nil {
		return err
	}
	r.headEnded()
	return nil
}

// headEnded goes on to the body that the head announced.
func (r *reader) headEnded() {
	chunked, length := r.head.chunked, r.head.length
	r.head, r.seen = head{}, 0
	switch {
	case chunked:
		r.state, r.part = inBody, size
	case length > 0:
		r.state, r.part, r.left = inBody, whole, length
	}
}

// contentEnded goes on after the last byte of a body or a chunk.
func (r *reader) contentEnded() {
	if r.part == whole {
		r.state = inHead
		return
	}
	r.part = dataEnd
}

// between takes a line between chunks or after the last of them.
func (r *reader) between(line []byte) error {
	switch r.part {
	case size:
		n, ok := chunkSize(line)
		if !ok {
			return ChunkSize
		}
		r.part, r.left = data, n
		if n == 0 {
			r.part = trailers
			return nil // and what is seen counts on: trailers are bounded together
		}
	case dataEnd:
		if len(line) > 0 {
			return ChunkEnd
		}
		r.part = size
	case trailers:
		if len(line) > 0 {
			name, _, ok := field(line)
			if !ok || framing(name) {
				return Trailer
			}
			return nil
		}
		r.state, r.part = inHead, whole
	}
	r.seen = 0
	return nil
}

// maxSizeDigits bounds a chunk: 7 hexadecimal digits are 256 MiB.
const maxSizeDigits = 7

// chunkSize reads hexadecimal digits, and after a semicolon an extension, which means nothing here.
func chunkSize(line []byte) (int64, bool) {
	digits, extension, _ := bytes.Cut(line, []byte(";"))
	if len(digits) == 0 || len(digits) > maxSizeDigits || !printable(extension) {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int64(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | int64(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

func printable(text []byte) bool {
	return bytes.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0
}
