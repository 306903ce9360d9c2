package api

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"muster/allocator"
)

// searchWork is memory that searches use one after the other.
type searchWork struct {
	sites []allocator.SiteFound
	pairs []pair
}

var searchWorks = sync.Pool{New: func() any { return new(searchWork) }}

// giveBack lets the next search use the memory, emptied of what would keep sites and what people sent alive.
func (w *searchWork) giveBack() {
	clear(w.sites[:cap(w.sites)])
	clear(w.pairs[:cap(w.pairs)])
	w.sites, w.pairs = w.sites[:0], w.pairs[:0]
	searchWorks.Put(w)
}

// plainQuery reads a query string that gives known parameters, each once, without a map. Whatever else there is, query reads
// and judges.
func (x *exchange) plainQuery(work *searchWork, known []string) params {
	pairs, ok := appendPairs(work.pairs[:0], string(x.http.URI().QueryString()), known)
	work.pairs = pairs
	if !ok {
		return x.query(known...)
	}
	return params{d: x.input(), pairs: pairs}
}

// appendPairs reads what url.ParseQuery reads. It gives up, with false, on whatever query would report.
func appendPairs(pairs []pair, text string, known []string) ([]pair, bool) {
	for text != "" {
		var given string
		given, text, _ = strings.Cut(text, "&")
		if given == "" {
			continue
		}
		name, value, _ := strings.Cut(given, "=")
		if !slices.Contains(known, name) || slices.ContainsFunc(pairs, func(p pair) bool { return p.name == name }) || strings.Contains(value, ";") {
			return pairs, false
		}
		if strings.ContainsAny(value, "%+") {
			var err error
			if value, err = url.QueryUnescape(value); err != nil {
				return pairs, false
			}
		}
		if !utf8.ValidString(value) {
			return pairs, false
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, true
}
