package api

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"mime"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/api/fhir"
)

// The façade speaks FHIR R4 over the same operations as the routes below /v1. What it answers is made in package fhir.
const fhirBase = "/fhir/R4"

// isFHIR says whether a request is one to the façade, also where it found no route there.
func (x *exchange) isFHIR() bool {
	if x.route.path != "-" {
		return strings.HasPrefix(x.route.path, fhirBase+"/")
	}
	return bytes.HasPrefix(x.http.Path(), []byte(fhirBase+"/"))
}

// fhirTypes are the media types of FHIR in JSON, and JSON itself.
var fhirTypes = []string{fhir.MediaType, "application/json", "application/json+fhir"}

// inFHIR wraps a handler of the façade: it refuses callers that want something else than JSON.
func inFHIR(handle handler) handler {
	return func(s *Server, ctx context.Context, x *exchange) (reply, error) {
		if given, once := x.header("X-Correlation-Id"); once && given != "" && requestID(given) == given {
			x.http.Response.Header.Set("X-Correlation-Id", given)
		}
		if !x.wantsJSON() {
			return reply{}, refuseWith(fasthttp.StatusNotAcceptable, "resources are written as "+fhir.MediaType+" only")
		}
		r, err := handle(s, ctx, x)
		r.contentType = fhir.MediaType
		return r, err
	}
}

// wantsJSON says whether the caller takes JSON, by _format or else by Accept.
func (x *exchange) wantsJSON() bool {
	if values, _ := x.fhirValues(); values.Has("_format") {
		kind, _, _ := strings.Cut(strings.ReplaceAll(values.Get("_format"), " ", "+"), ";")
		return kind == "json" || contains(fhirTypes, strings.TrimSpace(kind))
	}
	all := x.http.Request.Header.PeekAll("Accept")
	for _, part := range strings.Split(string(bytes.Join(all, []byte(","))), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if weight, e := strconv.ParseFloat(params["q"], 64); err != nil || e == nil && weight == 0 {
			continue
		}
		if kind == "*/*" || kind == "application/*" || contains(fhirTypes, kind) {
			return true
		}
	}
	return len(all) == 0
}

// hostForm is a host that may stand in a link.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?$`)

// fhirURL is the façade's address as the caller knows it, or as the options say.
func (x *exchange) fhirURL() string {
	if u := x.server.options.PublicURL; u != "" {
		return strings.TrimSuffix(u, "/") + fhirBase
	}
	host := string(x.http.Host())
	if !hostForm.MatchString(host) {
		return fhirBase
	}
	scheme := "http://"
	if x.http.IsTLS() {
		scheme = "https://"
	}
	return scheme + host + fhirBase
}

// outcome is a problem as an OperationOutcome.
func (x *exchange) outcome(p *problem, e *allocator.Error) *fhir.OperationOutcome {
	r := fhir.Refusal{Status: p.Status, Code: p.Code, Title: p.Title, Detail: p.Detail}
	for _, f := range p.Errors {
		expression, where := expressionOf(strings.Map(visibleInFHIR, f.Pointer))
		r.Faults = append(r.Faults, fhir.Fault{Expression: expression, Issue: issueOf(f.Detail), Detail: strings.TrimSpace(where + " " + f.Detail)})
	}
	for i, a := range p.Alternatives {
		start := e.Alternatives[i].Start
		r.Alternatives = append(r.Alternatives, fhir.Alternative{
			Place: fhir.Place{Offer: fhir.Offer{Site: a.SiteID, Service: a.Service}, Start: start, Length: a.Length},
			Text:  a.Name + ", " + a.Start + ", " + itoa(a.Free) + " free, " + itoa(a.DistanceMetres) + " m away",
		})
	}
	return fhir.OutcomeOf(&r)
}

// visibleInFHIR replaces what FHIR's strings must not have, of names that clients made up: control characters, and spaces of other
// kinds than the usual one.
func visibleInFHIR(r rune) rune {
	if r != ' ' && (unicode.IsSpace(r) || unicode.IsControl(r)) {
		return '?'
	}
	return r
}

// issueOf is the type of issue that a fault is.
func issueOf(detail string) string {
	switch {
	case detail == "is required":
		return "required"
	case strings.HasPrefix(detail, "is not a known "):
		return "not-supported"
	case strings.HasPrefix(detail, "is not valid JSON"):
		return "structure"
	}
	return "value"
}

// expressionOf makes FHIRPath of a pointer into the body, and words of one to another part of the request.
func expressionOf(pointer string) (expression, where string) {
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	switch steps[0] {
	case "query", "path", "header":
		return "", strings.Join(steps, " ")
	}
	var b strings.Builder
	for _, s := range steps {
		if _, err := strconv.Atoi(s); err == nil {
			b.WriteString("[" + s + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s)
	}
	return b.String(), ""
}

func (s *Server) fhirMetadata(_ context.Context, x *exchange) (reply, error) {
	if _, err := x.fhirQuery("mode"); err != nil {
		return reply{}, err
	}
	return reply{body: fhir.Capabilities(x.fhirURL())}, nil
}

// fhirParams are the parameters of a search, each as often as it was given.
type fhirParams struct {
	d       *decoder
	values  url.Values
	ignored []string
	// counting says that no matches are wanted, only how many there are.
	counting bool
}

// fhirSearchSuffix ends the paths of searches that are posted: parameters may name people, and addresses get into logs.
const fhirSearchSuffix = "/_search"

// posted says whether the request is a search by form.
func (x *exchange) posted() bool { return strings.HasSuffix(x.route.path, fhirSearchSuffix) }

// fhirValues are the parameters of the query string, and those of the form of a search that is posted; what can be read of
// them where there is an error.
func (x *exchange) fhirValues() (url.Values, error) {
	values, err := url.ParseQuery(string(x.http.URI().QueryString()))
	if !x.posted() {
		return values, err
	}
	form, wrong := url.ParseQuery(x.body)
	for name, all := range form {
		values[name] = append(values[name], all...)
	}
	return values, errors.Join(err, wrong)
}

// fhirSummaries are the values of _summary. Whatever else than a count is asked for is answered in full, as FHIR allows.
var fhirSummaries = []string{"true", "text", "data", "count", "false"}

// fhirCommon checks a parameter that every request to the façade may have; known is false where it is another one.
func fhirCommon(d *decoder, at, name string, all []string) (known bool) {
	if name == "_summary" && (len(all) > 1 || !contains(fhirSummaries, all[0])) {
		d.fault(at, "must be one of: %s", strings.Join(fhirSummaries, ", "))
	}
	return name == "_format" || name == "_pretty" || name == "_summary"
}

// fhirQuery reads the parameters. Those that are not known are refused, or, where the caller prefers that, left out.
func (x *exchange) fhirQuery(known ...string) (fhirParams, error) {
	q := fhirParams{d: x.input(), values: url.Values{}}
	values, err := x.fhirValues()
	if err != nil {
		q.d.fault("/query", "is not a well-formed query string")
	}
	q.counting = values.Get("_summary") == "count"
	lenient := x.prefersLenient()
	for name, all := range values {
		switch at := "/query" + escapePointer(strings.ToValidUTF8(name, "?")); {
		case fhirCommon(q.d, at, name, all):
		case contains(known, name):
			for _, text := range all {
				if _, fault := trimmed(strings.ToValidUTF8(text, "\x00"), required, maxFHIRParameter); fault != "" {
					q.d.fault(at, "%s", fault)
				}
			}
			q.values[name] = all
		case lenient:
			q.ignored = append(q.ignored, name)
		default:
			q.d.fault(at, "is not a known parameter")
		}
	}
	return q, q.d.fail()
}

const maxFHIRParameter = 2048

// prefersLenient says whether the caller wants parameters ignored that are not known (Prefer: handling=lenient).
func (x *exchange) prefersLenient() bool {
	for _, header := range x.http.Request.Header.PeekAll("Prefer") {
		for _, part := range strings.FieldsFunc(string(header), func(r rune) bool { return r == ',' || r == ';' }) {
			if strings.EqualFold(strings.ReplaceAll(strings.TrimSpace(part), `"`, ""), "handling=lenient") {
				return true
			}
		}
	}
	return false
}

func (q *fhirParams) at(name string) string { return "/query" + escapePointer(name) }

// one is a parameter that may be given once.
func (q *fhirParams) one(name string) string {
	if all := q.values[name]; len(all) > 1 {
		q.d.fault(q.at(name), "is given twice")
	}
	return q.values.Get(name)
}

// count is how many matches a page may have.
func (q *fhirParams) count() int {
	n := defaultPage
	if text := q.one("_count"); text != "" {
		given, err := strconv.Atoi(text)
		if err != nil || given < 0 || len(text) > 9 {
			q.d.fault(q.at("_count"), "must be a whole number, 0 or more")
			return n
		}
		n = given
	}
	if q.counting {
		return 0
	}
	return min(n, maxPage)
}

const (
	defaultPage = 50
	maxPage     = 500
)

// ids reads a parameter that names resources of a type: an id, Type/id or a URL, several after commas.
func (q *fhirParams) ids(name, resource, base string) (lists [][]string) {
	for _, text := range q.values[name] {
		var ids []string
		for _, one := range strings.Split(text, ",") {
			id, ok := one, !strings.Contains(one, "/")
			if !ok {
				id, ok = fhir.ParseReference(one, resource, base)
			}
			if !ok || id == "" {
				q.d.fault(q.at(name), "must name a %s", resource)
				continue
			}
			ids = append(ids, id)
		}
		lists = append(lists, ids)
	}
	return lists
}

// codes reads a token parameter: code or system|code, several after commas. Codes of other systems mean nothing here.
func (q *fhirParams) codes(name, system string) (codes []string, given bool) {
	for _, text := range q.values[name] {
		given = true
		for _, one := range strings.Split(text, ",") {
			if of, code, ok := strings.Cut(one, "|"); !ok {
				codes = append(codes, one)
			} else if of == system || of == "" {
				codes = append(codes, code)
			}
		}
	}
	return codes, given
}

// link is the search as it was understood, with one parameter set to a value, or without it.
func (q *fhirParams) link(address, name, value string) string {
	values := maps.Clone(q.values)
	if q.counting {
		values.Set("_summary", "count")
	}
	values.Del(name)
	if value != "" {
		values.Set(name, value)
	}
	if len(values) == 0 {
		return address
	}
	return address + "?" + values.Encode()
}

// tell adds to a bundle what was ignored.
func (q *fhirParams) tell(b *fhir.Bundle) {
	if len(q.ignored) > 0 {
		b.Tell("warning", "not-supported", itoa(len(q.ignored))+" parameters are not known and were ignored; the link self shows those that were used")
	}
}
