package redisinventory

import (
	"errors"

	"muster/allocator"
)

// Numbers cross the border to Lua packed, big-endian, in as many bytes as scripts/common.lua says.

// number appends the low bytes of n. What does not fit is clamped: no bound of allocator comes near.
func number(b []byte, n int64, bytes int) []byte {
	n = max(0, min(n, 1<<(8*bytes)-1))
	for i := bytes - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// short appends a text with its length in front.
func short(b []byte, text string) []byte {
	return append(append(b, byte(len(text))), text...)
}

// errReply says that a script's answer was not understood.
var errReply = errors.New("a script's reply is malformed")

// reader takes a packed reply apart. Reading past the end sets short and gives zeros.
type reader struct {
	text  string
	short bool
}

func (r *reader) bytes(n int) string {
	if n > len(r.text) {
		r.short, r.text = true, ""
		return ""
	}
	head := r.text[:n]
	r.text = r.text[n:]
	return head
}

func (r *reader) number(bytes int) (n int64) {
	for _, b := range []byte(r.bytes(bytes)) {
		n = n<<8 | int64(b)
	}
	return n
}

func (r *reader) rest() string { return r.bytes(len(r.text)) }

func (r *reader) id() (id allocator.HoldID) {
	id, _ = allocator.HoldIDFrom(r.bytes(allocator.HoldIDBytes))
	return id
}

func (r *reader) stamp() (s allocator.Stamp) {
	copy(s[:], r.bytes(len(s)))
	return s
}

// places reads n1 place3 × n; nil where there are none.
func (r *reader) places() (places []int32) {
	for range r.number(1) {
		places = append(places, int32(r.number(3)))
	}
	return places
}

// placesAndRevisions reads n1 {place3 revision4}n.
func (r *reader) placesAndRevisions() (places []int32, revisions []int64) {
	n := int(r.number(1))
	places, revisions = make([]int32, n), make([]int64, n)
	for i := range n {
		places[i], revisions[i] = int32(r.number(3)), r.number(4)
	}
	return places, revisions
}

// placed reads {start4 len2 place3 #service1 service}* to the end: claims of a grant at a site.
func (r *reader) placed(site string) (list []allocator.Placed) {
	for len(r.text) > 0 {
		slot, _ := slotFrom(site + r.bytes(6))
		p := allocator.Placed{Slot: slot, Place: int32(r.number(3))}
		p.Service = allocator.ServiceCode(r.bytes(int(r.number(1))))
		list = append(list, p)
	}
	return list
}

// counts reads services1 {#code1 code count3}*.
func (r *reader) counts() allocator.Counts {
	counts := allocator.Counts{}
	for range r.number(1) {
		code := allocator.ServiceCode(r.bytes(int(r.number(1))))
		counts[code] = int(r.number(3))
	}
	return counts
}

func (r *reader) err() error {
	if r.short {
		return errReply
	}
	return nil
}
