package ledgersuite

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // a ledger needs zones wherever the tests run

	"muster/allocator"
)

// The services of a World. Each is given once per person.
const (
	Blue   allocator.ServiceCode = "BLUE:Adult"
	Green  allocator.ServiceCode = "GREEN:Adult"
	Orange allocator.ServiceCode = "ORANGE:Adult"
)

// Actor is who does everything in a World.
const Actor = "ledgersuite"

// World makes test data around one site and one day of it. Two Worlds of different names share nothing but the services.
// Safe for concurrent use.
type World struct {
	Ledger allocator.Ledger
	Site   allocator.SiteID
	Zone   *time.Location
	Date   allocator.Date
	Shard  int

	secret   allocator.Secret
	requests atomic.Int64
}

// NewWorld puts the site and the services.
func NewWorld(t testing.TB, l allocator.Ledger, name string) *World {
	t.Helper()
	w := BareWorld(t, l, name)
	must(t, one(l.PutSite(t.Context(), SiteOf(w.Site), Actor)))
	for _, code := range []allocator.ServiceCode{Blue, Green, Orange} {
		must(t, one(l.PutService(t.Context(), allocator.DefaultService(code), Actor)))
	}
	return w
}

// BareWorld puts nothing into the ledger.
func BareWorld(t testing.TB, l allocator.Ledger, name string) *World {
	t.Helper()
	zone, err := time.LoadLocation("Europe/London")
	must(t, err)
	date, err := allocator.ParseDate("2027-06-14")
	must(t, err)
	return &World{
		Ledger: l, Site: allocator.SiteID(name), Zone: zone, Date: date, Shard: 3,
		secret: allocator.NewSecret([]byte("what the ledger suite hashes by")),
	}
}

// SiteOf is a site with every detail set.
func SiteOf(id allocator.SiteID) allocator.Site {
	return allocator.Site{
		ID: id, Name: "Pharmacy “" + string(id) + "”", Type: "pharmacy", AddressLines: []string{"1 High Street", "Oldtown"},
		Postcode: "LS1 4AP", Lat: 53.7965, Lon: -1.5478, TimeZone: "Europe/London", ODSCode: "FA001", Region: "North East",
		ICB: "QWO", Phone: "0113 496 0000", Accessibilities: []string{"step-free", "hearing-loop"},
		Information: "Ring the bell.", Publisher: "chain-1",
	}
}

// Open is a session from 09:00 to 12:00 in slots of ten minutes.
func Open(capacity int, services ...allocator.ServiceCode) allocator.Session {
	return allocator.Session{From: 9 * 60, Until: 12 * 60, SlotLength: 10, Capacity: capacity, Services: services}
}

// Change asks for these sessions on the World's day.
func (w *World) Change(sessions ...allocator.Session) allocator.DayChange {
	return allocator.DayChange{
		Day: allocator.Day{Site: w.Site, Date: w.Date, Sessions: sessions}, Zone: w.Zone, Actor: Actor,
	}
}

// Publish publishes sessions on the World's day.
func (w *World) Publish(t testing.TB, sessions ...allocator.Session) allocator.PublishResult {
	t.Helper()
	r := w.PublishAll(t, w.Change(sessions...))[0]
	if r.Outcome != allocator.Published {
		t.Fatalf("publish: outcome %d, unknown services %v", r.Outcome, r.Unknown)
	}
	return r
}

// PublishAll publishes changes in one call.
func (w *World) PublishAll(t testing.TB, changes ...allocator.DayChange) []allocator.PublishResult {
	t.Helper()
	results, err := w.Ledger.Publish(t.Context(), changes)
	must(t, err)
	if len(results) != len(changes) {
		t.Fatalf("publish: %d results for %d changes", len(results), len(changes))
	}
	return results
}

// Slot is the nth slot of an Open session.
func (w *World) Slot(n int) allocator.SlotID {
	start := allocator.MinuteOf(w.Date.At(9*60, w.Zone)) + allocator.Minute(10*n)
	return allocator.SlotID{Site: w.Site, Start: start, Length: 10}
}

// Person is the nth person's key; none for 0.
func (w *World) Person(n int) (p allocator.PersonKey) {
	if n > 0 {
		p = w.secret.Person(string(w.Site) + "/" + strconv.Itoa(n))
	}
	return p
}

// Spot is a claim in brief. Person 0 is nobody.
type Spot struct {
	Slot    int
	Place   int32
	Service allocator.ServiceCode
	Person  int
}

// Recording asks for spots under a fresh request, without any evidence.
func (w *World) Recording(spots ...Spot) allocator.Recording {
	n := w.requests.Add(1)
	request := w.secret.Request(Actor, strconv.FormatInt(n, 10), w.Site)
	grant := allocator.HoldID{Key: request, Stamp: allocator.MakeStamp(1, n)}
	item := allocator.Recording{Actor: Actor}
	for i, s := range spots {
		service := allocator.DefaultService(s.Service)
		claim := allocator.Booking{
			Key: w.secret.Booking(request, i), Hold: grant, Slot: w.Slot(s.Slot), Date: w.Date, Place: s.Place,
			Service: s.Service, Programme: service.Programme, Dose: service.Dose, Person: w.Person(s.Person),
			OnePerson: s.Person > 0, Sealed: []byte{byte(i), 0, 255},
		}
		item.Claims = append(item.Claims, claim)
	}
	return item
}

// Pinned asks for spots under a fresh request, with evidence that equals the ledger's present state.
func (w *World) Pinned(t testing.TB, spots ...Spot) allocator.Recording {
	t.Helper()
	item := w.Recording(spots...)
	item.Pins = []allocator.Evidence{w.Evidence(t)}
	return item
}

// Evidence is what a pin shows that saw the ledger's present state.
func (w *World) Evidence(t testing.TB) allocator.Evidence {
	t.Helper()
	epochs, err := w.Ledger.Epochs(t.Context())
	must(t, err)
	day, err := w.Ledger.Day(t.Context(), w.Site, w.Date)
	must(t, err)
	return allocator.Evidence{
		Site: w.Site, Shard: w.Shard, Pinned: true, Epoch: epochs[w.Shard].Epoch, Generation: w.Generation(t),
		Revisions: map[allocator.Date]int64{w.Date: day.Revision},
	}
}

// Generation is the site's.
func (w *World) Generation(t testing.TB) int64 {
	t.Helper()
	site, _, err := w.Ledger.Site(t.Context(), w.Site)
	must(t, err)
	return site.Generation
}

// Record records a batch.
func (w *World) Record(t testing.TB, items ...allocator.Recording) []allocator.RecordResult {
	t.Helper()
	results, err := w.Ledger.Record(t.Context(), items)
	must(t, err)
	if len(results) != len(items) {
		t.Fatalf("record: %d results for %d items", len(results), len(items))
	}
	return results
}

// Book records spots without evidence, which must succeed, and gives their rows.
func (w *World) Book(t testing.TB, spots ...Spot) []allocator.Booking {
	t.Helper()
	r := w.Record(t, w.Recording(spots...))[0]
	if r.Outcome != allocator.Recorded {
		t.Fatalf("book %v: %s", spots, textOf(r))
	}
	return r.Rows
}

// VoidingOf voids what a recording asks for.
func VoidingOf(item allocator.Recording, reason allocator.Code) allocator.Voiding {
	return allocator.Voiding{Claims: item.Claims, Reason: reason}
}

// Turn changes a booking's status.
func (w *World) Turn(t testing.TB, key allocator.BookingKey, to allocator.Status, reason string) allocator.TransitionResult {
	t.Helper()
	r, err := w.Ledger.Transition(t.Context(), allocator.Transition{Key: key, To: to, Reason: reason, Actor: Actor})
	must(t, err)
	return r
}
