package attack

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// scanner reads the answers to searches, which are most of what a load test reads: reading them by reflection took almost half
// of the lean engine's CPU. It walks over JSON once, reads what it is asked for, and steps over the rest. What it steps over is
// checked for brackets and strings only; what it reads must be right, or bad is set and all later reads give nothing.
type scanner struct {
	data []byte
	at   int
	deep int
	bad  bool
}

// deepest is how far lists may be nested.
const deepest = 32

// next skips white space and answers the byte after it; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take reads one byte that must be there.
func (s *scanner) take(c byte) bool {
	if s.bad || s.next() != c {
		s.bad = true
		return false
	}
	s.at++
	return true
}

// object calls visit with each key; visit must read the value, or skip it.
func (s *scanner) object(visit func(key []byte)) {
	s.list('{', '}', func() {
		key := s.raw()
		if s.take(':') {
			visit(key)
		}
	})
}

// array calls visit before each element; visit must read it, or skip it.
func (s *scanner) array(visit func()) { s.list('[', ']', visit) }

func (s *scanner) list(open, end byte, visit func()) {
	if !s.take(open) {
		return
	}
	if s.deep++; s.deep > deepest {
		s.bad = true
		return
	}
	defer func() { s.deep-- }()
	if s.next() == end {
		s.at++
		return
	}
	for !s.bad {
		visit()
		if s.bad {
			return
		}
		if s.next() == end {
			s.at++
			return
		}
		s.take(',')
	}
}

// raw reads a string without its quotes and leaves escapes as they are.
func (s *scanner) raw() []byte {
	if !s.take('"') {
		return nil
	}
	from := s.at
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			s.at++
			return s.data[from : s.at-1]
		case '\\':
			s.at++
		}
		s.at++
	}
	s.bad = true
	return nil
}

// text reads a string.
func (s *scanner) text() string {
	raw := s.raw()
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	var text string
	if json.Unmarshal(s.data[s.at-len(raw)-2:s.at], &text) != nil {
		s.bad = true
	}
	return text
}

// number reads a number.
func (s *scanner) number() float64 {
	s.next()
	from := s.at
	for s.at < len(s.data) && bytes.IndexByte([]byte("+-.eE0123456789"), s.data[s.at]) >= 0 {
		s.at++
	}
	n, err := strconv.ParseFloat(string(s.data[from:s.at]), 64)
	if err != nil {
		s.bad = true
	}
	return n
}

// skip steps over a value of any kind.
func (s *scanner) skip() {
	switch s.next() {
	case '{':
		s.object(func([]byte) { s.skip() })
	case '[':
		s.array(s.skip)
	case '"':
		s.raw()
	default:
		from := s.at
		for s.at < len(s.data) && bytes.IndexByte([]byte(",]} \t\r\n"), s.data[s.at]) < 0 {
			s.at++
		}
		if from == s.at {
			s.bad = true
		}
	}
}

// scanSites reads the answer to a search; false where it is none.
func scanSites(body []byte) (sites []foundSite, ok bool) {
	s := &scanner{data: body}
	s.object(func(key []byte) {
		if string(key) != "sites" {
			s.skip()
			return
		}
		s.array(func() { sites = append(sites, s.site()) })
	})
	return sites, s.ended()
}

// ended says whether all was read and nothing follows.
func (s *scanner) ended() bool { return !s.bad && s.next() == 0 && s.at == len(s.data) }

func (s *scanner) site() (site foundSite) {
	s.object(func(key []byte) {
		switch string(key) {
		case "siteId":
			site.SiteID = s.text()
		case "name":
			site.Name = s.text()
		case "location":
			s.object(func(key []byte) {
				switch string(key) {
				case "lat":
					site.Lat = s.number()
				case "lon":
					site.Lon = s.number()
				default:
					s.skip()
				}
			})
		case "days":
			s.array(func() { site.Days = append(site.Days, s.day()) })
		default:
			s.skip()
		}
	})
	return site
}

func (s *scanner) day() (day foundDay) {
	s.object(func(key []byte) {
		switch string(key) {
		case "date":
			day.Date = s.text()
		case "free":
			day.Free = int(s.number())
		default:
			s.skip()
		}
	})
	return day
}

// scanSlots reads the answer to a question for availability; false where it is none.
func scanSlots(body []byte) (slots []offer, ok bool) {
	s := &scanner{data: body}
	s.object(func(key []byte) {
		if string(key) != "days" {
			s.skip()
			return
		}
		s.array(func() {
			s.object(func(key []byte) {
				if string(key) != "slots" {
					s.skip()
					return
				}
				s.array(func() { slots = append(slots, s.slot()) })
			})
		})
	})
	return slots, s.ended()
}

func (s *scanner) slot() (slot offer) {
	s.object(func(key []byte) {
		switch string(key) {
		case "start":
			slot.Start = s.text()
		case "length":
			slot.Length = int(s.number())
		case "free":
			slot.Free = int(s.number())
		default:
			s.skip()
		}
	})
	return slot
}
