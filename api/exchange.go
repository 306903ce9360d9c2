package api

import (
	"cmp"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/api/callers"
)

// exchange is one request and its reply. All that it hands out is copied out of fasthttp's buffers.
type exchange struct {
	server  *Server
	http    *fasthttp.RequestCtx
	route   *route
	id      string // request id
	started time.Time
	grant   grant
	body    string
	decoder decoder // of path, query, headers and body
	code    allocator.Code
	stay    stay             // the place that the exchange has
	unlook  func()           // gives a look-up by date of birth back; nil where there was none
	memory  *scratch         // see scratch; nil: none yet
	visitor *callers.Visitor // see who; nil: not asked for yet
	from    netip.Prefix     // see address; zero: not asked for yet

	traced func(status int, code string) // ends the exchange's span; nil where requests are not traced

	bodyRead bool
	cutOff   bool // the announced body is too large and was not waited for
}

// scratch is memory that exchanges use one after the other.
type scratch struct {
	body   []byte // as it is read
	reply  []byte // as it is written
	parser parser
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// scratch is the exchange's own until it is finished. Nothing that outlives the exchange may lie in it.
func (x *exchange) scratch() *scratch {
	if x.memory == nil {
		x.memory = scratches.Get().(*scratch)
	}
	return x.memory
}

// giveBack lets the next exchange use this one's memory, emptied of what people sent, unless it grew large.
func (x *exchange) giveBack() {
	const most = 16 << 10
	m := x.memory
	if x.memory = nil; m == nil || cap(m.body) > most || cap(m.reply) > most || !m.parser.reset() {
		return
	}
	wipe(m.body)
	wipe(m.reply)
	scratches.Put(m)
}

// wipe empties memory that another exchange gets next. Tests fill it with what nobody sends, so that whoever still reads it is
// found out.
var wipe = func(b []byte) { clear(b) }

// param is a path parameter, percent-decoded. What does not decode is as good as unknown: "".
func (x *exchange) param(name string) string {
	raw, _ := x.http.UserValue(name).(string)
	text, err := url.PathUnescape(strings.Clone(raw)) // PathUnescape returns its argument where nothing is escaped
	if err != nil || !utf8.ValidString(text) {
		return ""
	}
	return text
}

// header is a request header; ok is false where it is given more than once.
func (x *exchange) header(name string) (text string, ok bool) {
	all := x.http.Request.Header.PeekAll(name)
	switch len(all) {
	case 0:
		return "", true
	case 1:
		return string(all[0]), true
	default:
		return "", false
	}
}

// itoa keeps strconv out of the handlers.
func itoa(n int) string { return strconv.Itoa(n) }

// siteID reads the path's site. No site has an id of another form, so such a one is unknown; dots alone are a relative
// path, and a mistake of the client's.
func (x *exchange) siteID() (allocator.SiteID, error) {
	id := allocator.SiteID(x.param("siteId"))
	if onlyDots(id) {
		x.input().fault("/path/siteId", "must not be . or ..")
		return "", x.input().fail()
	}
	if !id.Valid() {
		return "", allocator.Refuse(allocator.CodeSiteUnknown, "no such site")
	}
	return id, nil
}

// onlySite reads a request that says nothing but which site.
func (x *exchange) onlySite() (allocator.SiteID, error) {
	site, err := x.siteID()
	return site, cmp.Or(err, x.noQuery())
}

// noQuery refuses all parameters of a query.
func (x *exchange) noQuery() error {
	x.query()
	return x.input().fail()
}

// onlyDots finds the ids that no client library leaves in a path.
func onlyDots(id allocator.SiteID) bool { return id == "." || id == ".." }

// today is the date in the time zone that sites have unless they say otherwise.
func (x *exchange) today() allocator.Date {
	return allocator.DateOf(x.server.options.Now().In(x.server.zones.find(defaultZone)))
}

const defaultZone = "Europe/London"

func (x *exchange) siteDate() (allocator.SiteID, allocator.Date, error) {
	site, err := x.siteID()
	if err != nil {
		return "", 0, err
	}
	d := x.input()
	date, _ := d.date("/path/date", x.param("date"))
	return site, date, d.fail()
}

// input gathers faults of path, query and headers; their pointers start with /path, /query and /header.
func (x *exchange) input() *decoder { return &x.decoder }

// query reads the query string once, and reports parameters that are not known, given twice or not decodable.
func (x *exchange) query(known ...string) params {
	d := x.input()
	if len(x.http.URI().QueryString()) == 0 {
		return params{d: d}
	}
	values, err := url.ParseQuery(string(x.http.URI().QueryString()))
	if err != nil {
		d.fault("/query", "is not a well-formed query string")
	}
	p := params{d: d, values: make(map[string]string, len(values))}
	for name, all := range values {
		at := "/query" + escapePointer(strings.ToValidUTF8(name, "?"))
		switch {
		case x.isFHIR() && fhirCommon(d, at, name, all):
		case !contains(known, name):
			d.fault(at, "is not a known parameter")
		case len(all) > 1:
			d.fault(at, "is given twice")
		case !utf8.ValidString(all[0]):
			d.fault(at, "is not valid UTF-8")
		default:
			p.values[name] = all[0]
		}
	}
	return p
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// address is where the request came from, with IPv6 cut to the /56 that one household has. What runs at the same time may ask
// for it where it was asked for before: looking at headers changes them.
func (x *exchange) address() netip.Prefix {
	if x.from.IsValid() {
		return x.from
	}
	address, _ := netip.AddrFromSlice(x.http.RemoteIP())
	if name := x.server.options.AddressHeader; name != "" {
		all := x.http.Request.Header.PeekAll(name)
		if len(all) > 0 {
			elements := strings.Split(string(all[len(all)-1]), ",")
			if a, err := netip.ParseAddr(strings.TrimSpace(elements[len(elements)-1])); err == nil {
				address = a
			}
		}
	}
	x.from = household(address)
	return x.from
}

// newRequestID makes an id that nobody else makes. It need not be hard to guess.
func newRequestID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var id [26]byte
	high, low := rand.Uint64(), rand.Uint64()
	for i := range id {
		if i == len(id)/2 {
			high = low
		}
		id[i] = alphabet[high&31]
		high >>= 5
	}
	return string(id[:])
}

// requestID takes the client's own id where it is short and plain. What could be an NHS number, ten digits however they
// are separated, is not taken: it must not reach the logs this way.
func requestID(given string) string {
	if len(given) < 1 || len(given) > maxRequestID {
		return newRequestID()
	}
	letters, digits := 0, 0
	for _, c := range []byte(given) {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letters++
		case c >= '0' && c <= '9':
			digits++
		case strings.IndexByte("._:/+=@-", c) < 0:
			return newRequestID()
		}
	}
	if letters == 0 && digits == 10 {
		return newRequestID()
	}
	return given
}

const maxRequestID = 128

// attrs describes the exchange for a log line, without anything personal.
func (x *exchange) attrs(more ...string) []slog.Attr {
	out := []slog.Attr{
		slog.String("requestId", x.id), slog.String("operation", x.route.operation), slog.String("route", x.route.path),
		slog.Int("status", x.http.Response.StatusCode()), slog.String("code", string(x.code)),
	}
	for i := 0; i+1 < len(more); i += 2 {
		out = append(out, slog.String(more[i], more[i+1]))
	}
	return out
}
