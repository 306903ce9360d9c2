package framing

import (
	"bytes"
)

// Fault is what is wrong with a request, for people. It repeats nothing that was sent.
type Fault string

func (f Fault) Error() string { return string(f) }

// What is refused.
const (
	BareLF      Fault = "lines must end in CR LF"
	Folded      Fault = "a header must not go on in the next line"
	RequestLine Fault = "the request line must be a method, a target and HTTP/1.1, with one space between"
	Target      Fault = "the target must be a path, or name the host that Host names"
	Name        Fault = "a header must begin with its name and a colon, without spaces"
	Host        Fault = "Host must be given once, as a host name with perhaps a port"
	Length      Fault = "Content-Length must be given once at most, in digits"
	Encoding    Fault = "Transfer-Encoding must be given once at most, as chunked, and in HTTP/1.1 only"
	Both        Fault = "Content-Length and Transfer-Encoding must not be given together"
	ChunkSize   Fault = "a chunk must begin with its size in hexadecimal digits"
	ChunkEnd    Fault = "a chunk must end where its size says"
	Trailer     Fault = "what comes after the last chunk must be headers that say nothing about the body"
	TooLong     Fault = "the request line and headers are too large"
	TooMany     Fault = "there are too many headers"
)

// maxLines bounds request line and headers of one request.
const maxLines = 100

// maxLengthDigits keeps a length within 64 bits.
const maxLengthDigits = 18

// head is what the lines of a request said so far.
type head struct {
	lines     int
	blank     bool // an empty line came before all others
	old       bool // HTTP/1.0
	hasHost   bool
	hasLength bool
	chunked   bool
	length    int64
	host      []byte // kept only where there is an authority to compare it with
	authority []byte // of a target that names one
}

// line takes the next line; the first is the request line.
func (h *head) line(line []byte) error {
	if len(line) == 0 { // RFC 9112, section 2.2: one empty line before a request is not looked at
		if h.blank {
			return RequestLine
		}
		h.blank = true
		return nil
	}
	if h.lines++; h.lines > maxLines {
		return TooMany
	}
	if h.lines == 1 {
		return h.requestLine(line)
	}
	if line[0] == ' ' || line[0] == '\t' {
		return Folded
	}
	name, value, ok := field(line)
	if !ok {
		return Name
	}
	switch len(name) { // of the names that matter each has another length
	case len(hostName):
		if bytes.EqualFold(name, hostName) {
			return h.setHost(bytes.Trim(value, spaces))
		}
	case len(lengthName):
		if bytes.EqualFold(name, lengthName) {
			return h.setLength(bytes.Trim(value, spaces))
		}
	case len(encodingName):
		if bytes.EqualFold(name, encodingName) {
			return h.setEncoding(bytes.Trim(value, spaces))
		}
	}
	return nil
}

// spaces may stand around a value.
const spaces = " \t"

var hostName, lengthName, encodingName = []byte("Host"), []byte("Content-Length"), []byte("Transfer-Encoding")

// framing says that a header decides where a request ends or whom it is for.
func framing(name []byte) bool {
	return bytes.EqualFold(name, hostName) || bytes.EqualFold(name, lengthName) || bytes.EqualFold(name, encodingName)
}

// field cuts a header line into its name and its value, with the spaces around it.
func field(line []byte) (name, value []byte, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || !token(line[:colon]) {
		return nil, nil, false
	}
	return line[:colon], line[colon+1:], true
}

func (h *head) requestLine(line []byte) error {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	h.old = string(version) == "HTTP/1.0"
	if len(method) == 0 || !token(method) || len(target) == 0 || !h.old && string(version) != "HTTP/1.1" {
		return RequestLine
	}
	if bytes.IndexByte(target, '#') >= 0 {
		return Target
	}
	if target[0] == '/' {
		if len(target) > 1 && target[1] == '/' { // which some read as a host
			return Target
		}
		return nil
	}
	if string(target) == "*" && string(method) == "OPTIONS" {
		return nil
	}
	rest, found := cutPrefixFold(target, "http://")
	if !found {
		rest, found = cutPrefixFold(target, "https://")
	}
	if end := bytes.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	if !found || !authority(rest) {
		return Target
	}
	h.authority = bytes.Clone(rest)
	return nil
}

func cutPrefixFold(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || !bytes.EqualFold(b[:len(prefix)], []byte(prefix)) {
		return nil, false
	}
	return b[len(prefix):], true
}

func (h *head) setHost(value []byte) error {
	if h.hasHost || !authority(value) {
		return Host
	}
	h.hasHost = true
	if h.authority != nil {
		h.host = bytes.Clone(value)
	}
	return nil
}

func (h *head) setLength(value []byte) error {
	if h.hasLength || len(value) == 0 || len(value) > maxLengthDigits {
		return Length
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return Length
		}
		h.length = h.length*10 + int64(c-'0')
	}
	h.hasLength = true
	return nil
}

func (h *head) setEncoding(value []byte) error {
	if h.chunked || h.old || !bytes.EqualFold(value, []byte("chunked")) {
		return Encoding
	}
	h.chunked = true
	return nil
}

// ended looks at the head as a whole.
func (h *head) ended() error {
	switch {
	case h.hasLength && h.chunked:
		return Both
	case !h.hasHost && !h.old:
		return Host
	case h.authority != nil && !bytes.EqualFold(h.authority, h.host):
		return Target
	}
	return nil
}

// authority says whether text is a host, with perhaps a port, and nothing else.
func authority(text []byte) bool { return len(text) > 0 && all(text, &hostBytes) }

// token says whether text has the bytes of a method or a header's name only (RFC 9110, section 5.6.2).
func token(text []byte) bool { return all(text, &tokenBytes) }

func all(text []byte, of *[256]bool) bool {
	for _, c := range text {
		if !of[c] {
			return false
		}
	}
	return true
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

var tokenBytes, hostBytes = set(letters + "!#$%&'*+-.^_`|~"), set(letters + "-._~:[]%")

func set(of string) (table [256]bool) {
	for _, c := range []byte(of) {
		table[c] = true
	}
	return table
}
