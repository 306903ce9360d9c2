package api

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"muster/allocator"
)

func (w *world) search(path, form string, headers ...string) answer {
	w.t.Helper()
	return w.call("POST", path, form, append([]string{"Content-Type", formTypes[0]}, headers...)...)
}

// A search that is posted answers what the same search by GET does, wherever its parameters are, and links to that.
func TestSearchByForm(t *testing.T) {
	engine := offered(7)
	w := serveEngine(t, Options{}, engine, engine.fake)
	const half, rest = "schedule=FA512.RSV-cAdult&start=ge2027-06-01T09:20:00%2B01:00", "start=le2027-06-01T09:00:00Z&_count=2&_include=Slot:schedule"
	by := string(w.call("GET", "/fhir/R4/Slot?"+half+"&"+rest, "").wants(200).body)
	for query, form := range map[string]string{"": half + "&" + rest, "?" + half: rest, "?" + half + "&" + rest: ""} {
		a := w.search("/fhir/R4/Slot/_search"+query, form)
		ids, b := a.bundle()
		if string(a.body) != by || len(ids) != 3 {
			t.Errorf("%q and %q find %s\nand by GET %s", query, form, a.body, by)
		}
		if next, _ := w.call("GET", linkOf(&b, "next"), "").bundle(); len(next) != 3 || next[0] != "match Slot/FA512.RSV-cAdult.202706010840.10" {
			t.Errorf("the next page: %v", next)
		}
	}
	schedules, _ := w.search("/fhir/R4/Schedule/_search", "actor:Location=FA512").bundle()
	if !slices.Contains(schedules, "match Schedule/FA512.RSV-cAdult") {
		t.Errorf("%v", schedules)
	}
	w.search("/fhir/R4/Appointment/_search", "location=FA512&date=2027-06-01").refused(401, allocator.CodeUnauthorised)
}

// What is wrong in a form is refused as it is in a query string.
func TestWrongForms(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	const path, good = "/fhir/R4/Slot/_search", "schedule=FA512.RSV-cAdult"
	for _, form := range []string{"", "shedule=FA512.RSV-cAdult", good + "&nonsense=1", good + "&_count=-1", good + "&_count=1&_count=2", good + "&%zz", good + "&start=soon", good + "&a;b",
		"schedule=%ff", "schedule=" + strings.Repeat("A", maxFHIRParameter+1)} {
		w.search(path, form).refused(400, allocator.CodeInvalid)
	}
	w.search(path, good+"&nonsense=1", "Prefer", "handling=lenient").wants(200)
	w.search(path, good+"&_format=xml").refused(406, allocator.CodeInvalid)
	w.search(path, good+"&_format=json", "Accept", "application/fhir+xml").wants(200)
	w.search(path, good+"&_id="+strings.Repeat("A", smallBody)).refused(413, allocator.CodeInvalid)
	w.call("POST", path, "{}", "Content-Type", "application/fhir+json").refused(415, allocator.CodeInvalid)
	w.search("/fhir/R4/Appointment/$hold", good).refused(415, allocator.CodeInvalid)
}

// A summary is how many there are, or all that there is.
func TestSummary(t *testing.T) {
	engine := offered(7)
	w := serveEngine(t, Options{}, engine, engine.fake)
	const search = "/fhir/R4/Slot?schedule=FA512.RSV-cAdult&_include=Slot:schedule"
	whole := w.call("GET", search, "").wants(200)
	ids, b := w.call("GET", search+"&_summary=count&_count=3", "").bundle()
	if len(ids) > 0 || b.Total == nil || *b.Total != 7 || linkOf(&b, "next") != "" || !strings.Contains(linkOf(&b, "self"), "_summary=count") {
		t.Errorf("%v, %+v", ids, b)
	}
	for _, summary := range []string{"true", "text", "data", "false"} {
		if a := w.call("GET", search+"&_summary="+summary, "").wants(200); string(a.body) != string(whole.body) {
			t.Errorf("%s: %s", summary, a.body)
		}
		w.call("GET", "/fhir/R4/Slot/"+fhirSlot+"?_summary="+summary, "").wants(200)
	}
	for _, wrong := range []string{"some", "", "count&_summary=true"} {
		w.call("GET", search+"&_summary="+wrong, "").refused(400, allocator.CodeInvalid)
		w.call("GET", "/fhir/R4/Slot/"+fhirSlot+"?_summary="+wrong, "").refused(400, allocator.CodeInvalid)
	}
}

// HEAD answers what GET does, without the body.
func TestHead(t *testing.T) {
	w := serve(t, Options{Dev: true}, &fake{})
	tried := 0
	for _, c := range conversation {
		path, err := url.Parse(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if c.method != "GET" || !strings.HasPrefix(path.Path, fhirBase) {
			continue
		}
		tried++
		whole, head := w.staff("GET", c.path, ""), w.staff("HEAD", c.path, "")
		for _, name := range []string{"Content-Type", "ETag", "Cache-Control"} {
			if got := head.header.Get(name); got != whole.header.Get(name) {
				t.Errorf("%s: %s is %q by HEAD, and %q by GET", c.operation, name, got, whole.header.Get(name))
			}
		}
		if head.status != whole.status || len(head.body) > 0 {
			t.Errorf("%s: %d and %d bytes by HEAD, %d by GET", c.operation, head.status, len(head.body), whole.status)
		}
	}
	if tried < 9 {
		t.Errorf("only %d routes", tried)
	}
}
