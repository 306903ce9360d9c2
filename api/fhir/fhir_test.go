package fhir

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/allocator"
	"muster/api/fhir/fhirtest"
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// Whatever sites and services are called, an id is FHIR's, means the same again, or is not given at all.
func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Place{
			Offer: Offer{
				Site:    allocator.SiteID(rapid.StringMatching(`[A-Za-z0-9_.-]{1,30}`).Filter(func(s string) bool { return s != "." && s != ".." }).Draw(t, "site")),
				Service: allocator.ServiceCode(rapid.StringMatching(`[A-Za-z0-9:_+.-]{1,30}`).Draw(t, "service")),
			},
			Start: allocator.Minute(rapid.Int64Range(0, 60_000_000).Draw(t, "start")), Length: int16(rapid.IntRange(1, 480).Draw(t, "length")),
		}
		if id := p.ID(); id != "" {
			if again, ok := ParsePlace(id); !ok || again != p || !idForm.MatchString(id) {
				t.Fatalf("%+v is %q, which is %+v", p, id, again)
			}
		} else if len(p.Site)+len(p.Service) < 20 {
			t.Fatalf("%+v has no id", p)
		}
		if id := p.Offer.ID(); id != "" {
			if again, ok := ParseOffer(id); !ok || again != p.Offer || !idForm.MatchString(id) {
				t.Fatalf("%+v is %q, which is %+v", p.Offer, id, again)
			}
		}
		if again, ok := ParseLocationID(LocationID(p.Site)); !ok || again != p.Site {
			t.Fatalf("%q is %q", p.Site, again)
		}
	})
}

func FuzzIDs(f *testing.F) {
	for _, s := range []string{"FA512.RSV-cAdult.202706010810.10", "FA512.RSV-cAdult", "a", "-", "--", "a-", "a-x", "..", "a.b.c.d", "a.b.202706010810.010", "a.b.202706010810.481"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if p, ok := ParsePlace(id); ok && p.ID() != id {
			t.Errorf("%q is %+v, whose id is %q", id, p, p.ID())
		}
		if o, ok := ParseOffer(id); ok && o.ID() != id {
			t.Errorf("%q is %+v, whose id is %q", id, o, o.ID())
		}
		if site, ok := ParseLocationID(id); ok && (LocationID(site) != id || !site.Valid()) {
			t.Errorf("%q is %q", id, site)
		}
	})
}

func TestTooLongIDs(t *testing.T) {
	site := allocator.SiteID(strings.Repeat("a", 60))
	if id := (Offer{site, "RSV:Adult"}).ID(); id != "" {
		t.Errorf("%q", id)
	}
	p := Place{Offer{site, "S"}, 1, 10}
	if p.Offer.ID() == "" || p.ID() != "" {
		t.Errorf("%q %q", p.Offer.ID(), p.ID())
	}
	check(t, ProposedOf(p, "Site", time.UTC).Slot == nil)
}

func check(t *testing.T, ok bool) {
	t.Helper()
	if !ok {
		t.Error("is not so")
	}
}

func TestReferences(t *testing.T) {
	const base = "https://a.example/fhir/R4"
	for text, want := range map[string]string{"Slot/x": "x", base + "/Slot/x": "x", "Slot/x/_history/2": "x"} {
		if id, ok := ParseReference(text, "Slot", base); !ok || id != want {
			t.Errorf("%q: %q %v", text, id, ok)
		}
	}
	for _, bad := range []string{"", "x", "Slot/", "Schedule/x", "https://b.example/fhir/R4/Slot/x", "Slot/x/y", "#x"} {
		if id, ok := ParseReference(bad, "Slot", base); ok {
			t.Errorf("%q is %q", bad, id)
		}
	}
}

func TestRanges(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		t.Helper()
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		params  string
		in, out string
	}{
		{"2027-06-01", "2027-05-31T23:00:00Z 2027-06-01T22:59:59Z", "2027-05-31T22:59:59Z 2027-06-01T23:00:00Z"},
		{"ge2027-06-01 le2027-06-01", "2027-05-31T23:00:00Z 2027-06-01T22:59:59Z", "2027-06-01T23:00:00Z"},
		{"gt2027-06-01", "2027-06-01T23:00:00Z", "2027-06-01T12:00:00Z"},
		{"lt2027-06-01", "2027-05-31T22:59:59Z", "2027-05-31T23:00:00Z"},
		{"sa2027-06-01T10:00:00Z", "2027-06-01T10:00:01Z", "2027-06-01T10:00:00Z"},
		{"eb2027-06-01T10:00:00+01:00", "2027-06-01T08:59:59Z", "2027-06-01T09:00:00Z"},
		{"le2027-06-01T10:00:00Z", "2027-06-01T10:00:00Z", "2027-06-01T10:01:00Z"},
		{"2027-03", "2027-03-31T22:59:00Z", "2027-03-31T23:00:00Z 2027-02-28T23:59:00Z"},
		{"eq2027", "2027-12-31T23:59:00Z", "2028-01-01T00:00:00Z"},
		{"ge2027-06-01T10:00 ge2027-06-01T08:00", "2027-06-01T09:00:00Z", "2027-06-01T08:59:00Z"},
		{"lt2027-06-01T10:00 lt2027-06-01T12:00", "2027-06-01T08:59:00Z", "2027-06-01T09:00:00Z"},
	} {
		var r Range
		for text := range strings.FieldsSeq(c.params) {
			if err := r.Narrow(text, london); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		for in := range strings.FieldsSeq(c.in) {
			if !r.Has(at(in)) {
				t.Errorf("%s leaves out %s", c.params, in)
			}
		}
		for out := range strings.FieldsSeq(c.out) {
			if r.Has(at(out)) {
				t.Errorf("%s has %s", c.params, out)
			}
		}
	}
	for _, bad := range []string{"", "ge", "xx2027", "tomorrow", "2027-13", "ne2027", "ap2027", "2027-06-01T25:00Z", "2027-06-01T10", "0000", "20270601"} {
		if (&Range{}).Narrow(bad, london) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// valid holds a resource against HL7's schema.
func valid(t *testing.T, r any) string {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := fhirtest.Validate(data); err != nil {
		t.Errorf("%s: %v", data, err)
	}
	return string(data)
}

// Resources that have everything, and those that have next to nothing, are FHIR.
func TestResources(t *testing.T) {
	full := &allocator.Site{
		ID: "A_1", Name: "Site", AddressLines: []string{"1 High Street"}, Postcode: "LS1 4AP", Lat: 53.8, Lon: -1.5, ODSCode: "FA512", Phone: "0113 496 0000",
		Information: "Ring the bell.\nTwice.", Offline: true, Version: 3,
	}
	service := &allocator.Service{Code: "RSV:Adult", Name: "RSV"}
	for _, site := range []*allocator.Site{full, {ID: "B", Name: "B"}} {
		valid(t, LocationOf(site))
		valid(t, HealthcareServiceOf(site, service))
		valid(t, ScheduleOf(site, service))
	}
	p := Place{Offer{"A_1", "RSV:Adult"}, 30_000_000, 10}
	for _, free := range []int{0, 3} {
		valid(t, SlotOf(p, "RSV", free, time.UTC))
	}
	valid(t, ProposedOf(p, "", time.UTC))
	valid(t, Capabilities("https://a.example/fhir/R4"))
	b := &allocator.BookingView{Reference: "0000-003N-QK8N-5", ReplacedBy: "1000-003N-QK8N-5", ManageToken: "T", SiteName: "Site"}
	b.Slot, b.Service, b.Version, b.Unsupported = allocator.SlotID{Site: "A_1", Start: 30_000_000, Length: 10}, "RSV:Adult", 2, true
	b.RecordedAt, b.Reason = time.Unix(1e9, 0), "citizen"
	for _, person := range []*allocator.Person{nil, {}, {NHSNumber: "9000000009", GivenName: "Ada", FamilyName: "Example", HasBirth: true, Email: "a@b", Phone: "1", Landline: "2"}} {
		for _, status := range []allocator.Status{allocator.StatusBooked, allocator.StatusArrived, allocator.StatusFulfilled, allocator.StatusNoShow, allocator.StatusCancelled} {
			b.Status = status
			text := valid(t, BookedOf(b, person, time.UTC))
			if strings.Contains(text, "cancelationReason") != (status == allocator.StatusCancelled) {
				t.Errorf("%s", text)
			}
		}
	}
}
