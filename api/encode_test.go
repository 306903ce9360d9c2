package api

import (
	"encoding/json"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"muster/allocator"
)

// text draws what JSON has to escape as often as what it need not.
func text(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9:+./ -]{0,30}`), rapid.String(),
		rapid.SampledFrom([]string{"", "<b>&", "\"\\\n\u2028\u007f", "Zoë", "\xff", "\x00"})).Draw(t, label)
}

func drawHold(t *rapid.T) *holdView {
	v := &holdView{HoldID: text(t, "hold"), State: text(t, "state"), ExpiresAt: text(t, "expires"), ServerTime: text(t, "server")}
	if rapid.Bool().Draw(t, "listed") {
		v.Claims = make([]claimView, rapid.IntRange(0, 3).Draw(t, "claims"))
	}
	for i := range v.Claims {
		v.Claims[i] = claimView{
			SiteID: allocator.SiteID(text(t, "site")), Service: allocator.ServiceCode(text(t, "service")), Start: text(t, "start"),
			Length: rapid.Int16().Draw(t, "length"),
		}
	}
	return v
}

func drawBookings(t *rapid.T) []bookingView {
	if rapid.Bool().Draw(t, "none") {
		return nil
	}
	views := make([]bookingView, rapid.IntRange(0, 3).Draw(t, "bookings"))
	for i := range views {
		views[i] = bookingView{
			Reference: text(t, "reference"), ManageToken: text(t, "token"), Status: allocator.Status(text(t, "status")),
			SiteID: allocator.SiteID(text(t, "site")), SiteName: text(t, "name"), Service: allocator.ServiceCode(text(t, "service")),
			Start: text(t, "start"), Length: rapid.Int16().Draw(t, "length"), Unsupported: rapid.Bool().Draw(t, "unsupported"),
			Reason: text(t, "reason"), ReplacedBy: text(t, "replaced"),
		}
		if rapid.Bool().Draw(t, "person") {
			views[i].Person = &personView{NHSNumber: text(t, "number"), GivenName: text(t, "given"), Contact: &contactView{Email: text(t, "email")}}
		}
	}
	return views
}

func drawItem(t *rapid.T) itemView {
	v := itemView{Status: rapid.Int().Draw(t, "status"), RetryAfter: rapid.IntRange(0, 9).Draw(t, "retry")}
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		v.Hold = drawHold(t)
	case 1:
		v.Bookings = drawBookings(t)
	default:
		v.Problem = &problem{
			Type: text(t, "type"), Title: text(t, "title"), Status: rapid.Int().Draw(t, "code"), Detail: text(t, "detail"), Instance: text(t, "instance"),
			Code: allocator.Code(text(t, "code")), Errors: rapid.SliceOfN(rapid.Just(faultView{text(t, "at"), text(t, "fault")}), 0, 2).Draw(t, "faults"),
			Alternatives: rapid.SliceOfN(rapid.Just(alternativeView{
				SiteID: allocator.SiteID(text(t, "site")), Name: text(t, "name"), Service: allocator.ServiceCode(text(t, "service")),
				DistanceMetres: rapid.Int().Draw(t, "metres"), Start: text(t, "start"), Length: rapid.Int16().Draw(t, "length"), Free: rapid.Int().Draw(t, "free"),
			}), 0, 2).Draw(t, "alternatives"),
		}
		if rapid.Bool().Draw(t, "with the document") {
			v.Problem.Current = map[string]string{text(t, "member"): text(t, "value")}
		}
	}
	return v
}

func TestRepliesAreWrittenAsEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		results := make([]itemView, rapid.IntRange(0, 3).Draw(t, "items"))
		for i := range results {
			results[i] = drawItem(t)
		}
		views := []encoder{drawHold(t), &bookingsView{drawBookings(t)}, &resultsView{results}, &resultsView{}}
		for _, view := range views {
			want, err := json.Marshal(view)
			if err != nil {
				t.Fatal(err)
			}
			got, err := view.appendJSON([]byte("kept "))
			if err != nil || string(got) != "kept "+string(want) {
				t.Fatalf("%s, %v; want %s", got, err, want)
			}
		}
	})
}

func TestTheFormOfInstants(t *testing.T) {
	form := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	almost := rapid.StringMatching(`\d{3,5}-\d\d[-/]\d\d[Tt ]\d\d:\d\d(:\d\d)?(\.\d{0,10})?([Zz]|[+-][0-3]\d:?[0-9]\d)?`)
	right := rapid.StringMatching(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-4]):[0-6]\d)`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(right, almost, rapid.String()).Draw(t, "text")
		if instantForm(text) != form.MatchString(text) {
			t.Fatalf("%q: %v", text, instantForm(text))
		}
	})
}

// TestAParserForgets reads documents one after the other with the same parser: each is read as by a new one.
func TestAParserForgets(t *testing.T) {
	document := rapid.SampledFrom(append([]string{`{"a":{"b":[1,2,{"c":"d"}]},"a":1}`, `[[[1],[2]],{}]`}, jsonSeeds...))
	rapid.Check(t, func(t *rapid.T) {
		p := &parser{}
		for _, text := range rapid.SliceOfN(document, 1, 5).Draw(t, "documents") {
			got, faults, whole := p.parse(text)
			want, wantFaults, wantWhole := parseJSON([]byte(text))
			if whole != wantWhole || len(faults) != len(wantFaults) || whole && !same(plain(got), plain(want)) {
				t.Fatalf("%q: %v %v %v; want %v %v %v", text, got, faults, whole, want, wantFaults, wantWhole)
			}
			if !p.reset() {
				t.Fatal("a small document grew the parser too large to be used again")
			}
		}
	})
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// TestManyNamesOfAnObject finds duplicates where names are compared one by one, where they are looked up, and in between.
func TestManyNamesOfAnObject(t *testing.T) {
	for _, n := range []int{1, 15, 16, 17, 18, 100} {
		body := "{"
		for i := range n {
			body += `"n` + itoa(i) + `":0,`
		}
		for _, again := range []int{0, n / 2, n - 1} {
			_, faults, whole := parseJSON([]byte(body + `"n` + itoa(again) + `":0}`))
			if !whole || len(faults) != 1 || faults[0].Pointer != "/n"+itoa(again) {
				t.Errorf("%d names and %d again: %v", n, again, faults)
			}
		}
		if _, faults, whole := parseJSON([]byte(body + `"other":0}`)); !whole || len(faults) > 0 {
			t.Errorf("%d names: %v", n, faults)
		}
	}
}
