package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp/fasthttputil"

	"muster/allocator"
	"muster/api/fhir"
	"muster/api/fhir/fhirtest"
)

var _ Engine = (*allocator.Allocator)(nil)

// fake is an Engine whose answers are functions; what is nil answers something plausible that echoes the request.
type fake struct {
	mu          sync.Mutex
	hold        func(context.Context, allocator.HoldRequest) (allocator.Hold, error)
	confirm     func(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error)
	booking     func(context.Context, allocator.BookingAccess) (allocator.BookingView, error)
	walkIn      func(context.Context, allocator.WalkInRequest) (allocator.BookingView, error)
	publish     func(context.Context, allocator.PublishRequest) (allocator.PublishReply, error)
	publishMany func(context.Context, []allocator.PublishRequest) ([]allocator.PublishReply, []error)
	search      func(context.Context, allocator.SearchRequest) (allocator.SearchReply, error)
	site        func(context.Context, allocator.SiteID) (allocator.Site, error)
	events      func(context.Context, string, int) ([]allocator.Event, string, error)
	missing     []string
	unpublished bool // every day
	batches     []int
	lastSite    allocator.Site
	lastService allocator.Service
	lastSearch  allocator.SearchRequest
	lastPublish allocator.PublishRequest
	lastCaller  allocator.Caller
	lastPlan    allocator.PlanRequest
	lastReason  string
}

var (
	slotStart = time.Date(2027, 6, 1, 8, 10, 0, 0, time.UTC)
	someKey   = allocator.BookingKey(123456789)
)

func (f *fake) Ready(context.Context) []string { return f.missing }

func (f *fake) Hold(ctx context.Context, req allocator.HoldRequest) (allocator.Hold, error) {
	if f.hold != nil {
		return f.hold(ctx, req)
	}
	h := allocator.Hold{Token: "h1.token", ExpiresAt: slotStart.Add(5 * time.Minute), Server: slotStart}
	for _, c := range req.Claims {
		h.Claims = append(h.Claims, allocator.HeldClaim{
			Slot: allocator.SlotID{Site: c.Site, Start: allocator.MinuteOf(c.Start), Length: int16(max(c.Length, 10))}, Service: c.Service,
			TimeZone: "Europe/London",
		})
	}
	return h, nil
}

func (f *fake) Inspect(ctx context.Context, token string) (allocator.HoldView, error) {
	h, err := f.Extend(ctx, token)
	return allocator.HoldView{Hold: h, State: "held"}, err
}

func (f *fake) Release(_ context.Context, token string) error {
	_, err := f.Extend(context.Background(), token)
	return err
}

func (f *fake) Extend(ctx context.Context, token string) (allocator.Hold, error) {
	if !strings.HasPrefix(token, "h1.") {
		return allocator.Hold{}, allocator.Refuse(allocator.CodeHoldUnknown, "no such hold")
	}
	h, err := f.Hold(ctx, allocator.HoldRequest{Claims: []allocator.ClaimRequest{{Site: "FA512", Service: "RSV:Adult", Start: slotStart, Length: 10}}})
	h.Token = token
	return h, err
}

func someBooking() allocator.BookingView {
	born, _ := allocator.ParseDate("1950-02-01")
	return allocator.BookingView{
		Booking: allocator.Booking{
			Key: someKey, Slot: allocator.SlotID{Site: "FA512", Start: allocator.MinuteOf(slotStart), Length: 10}, Service: "RSV:Adult",
			Status: allocator.StatusBooked,
		},
		Reference: someKey.Reference(), ManageToken: "TOKEN0TOKEN0TOKEN0TOKEN000", TimeZone: "Europe/London", SiteName: "Example Pharmacy",
		Person: &allocator.Person{
			NHSNumber: "9000000009", GivenName: "Alex", FamilyName: "Example", DateOfBirth: born, HasBirth: true, Email: "alex@example.org",
		},
	}
}

func (f *fake) Confirm(ctx context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error) {
	if f.confirm != nil {
		return f.confirm(ctx, req)
	}
	return []allocator.BookingView{someBooking()}, nil
}

func (f *fake) Booking(ctx context.Context, access allocator.BookingAccess) (allocator.BookingView, error) {
	if f.booking != nil {
		return f.booking(ctx, access)
	}
	return someBooking(), nil
}

func (f *fake) Cancel(ctx context.Context, access allocator.BookingAccess, reason string, caller allocator.Caller) (allocator.BookingView, error) {
	f.mu.Lock()
	f.lastReason, f.lastCaller = reason, caller
	f.mu.Unlock()
	b, err := f.Booking(ctx, access)
	b.Status, b.Reason = allocator.StatusCancelled, reason
	return b, err
}

func (f *fake) SetStatus(_ context.Context, _ string, status allocator.Status, _ allocator.Caller) (allocator.BookingView, error) {
	b := someBooking()
	b.Status, b.Unsupported = status, true
	return b, nil
}

func (f *fake) WalkIn(ctx context.Context, req allocator.WalkInRequest) (allocator.BookingView, error) {
	if f.walkIn != nil {
		return f.walkIn(ctx, req)
	}
	b := someBooking()
	b.Status = allocator.StatusArrived
	return b, nil
}

func (f *fake) DayBookings(context.Context, allocator.SiteID, allocator.Date) ([]allocator.BookingView, error) {
	return []allocator.BookingView{someBooking()}, nil
}

func (f *fake) PutSite(_ context.Context, site allocator.Site, caller allocator.Caller) (allocator.Site, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastSite, f.lastCaller = site, caller
	return site, true, nil
}

func (f *fake) Site(ctx context.Context, id allocator.SiteID) (allocator.Site, error) {
	if f.site != nil {
		return f.site(ctx, id)
	}
	return allocator.Site{ID: id, Name: "Example Pharmacy", TimeZone: "Europe/London", Lat: 53.79, Lon: -1.54}, nil
}

func (f *fake) PutService(_ context.Context, service allocator.Service, caller allocator.Caller) (allocator.Service, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastService, f.lastCaller = service, caller
	return service, false, nil
}

func (f *fake) Services(context.Context) ([]allocator.Service, error) {
	s := allocator.DefaultService("RSV:Adult")
	s.FirstDate, s.BookingOpens, s.Eligibility.MinAge = 20000, slotStart.UnixMilli(), 75
	return []allocator.Service{s}, nil
}

func (f *fake) Day(_ context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, error) {
	if f.unpublished {
		return allocator.Day{Site: site, Date: date}, nil
	}
	return allocator.Day{Site: site, Date: date, Revision: 7, Sessions: []allocator.Session{{
		ID: "a", From: 540, Until: 1440, SlotLength: 10, Capacity: 2, Services: []allocator.ServiceCode{"RSV:Adult"},
		Breaks: []allocator.Break{{From: 600, Until: 610}}, Invited: true,
	}}}, nil
}

func (f *fake) PublishDay(ctx context.Context, req allocator.PublishRequest) (allocator.PublishReply, error) {
	f.mu.Lock()
	f.lastPublish = req
	f.mu.Unlock()
	if f.publish != nil {
		return f.publish(ctx, req)
	}
	return allocator.PublishReply{Revision: 7, Added: 12, Supported: 3}, nil
}

func (f *fake) PublishMany(ctx context.Context, reqs []allocator.PublishRequest) ([]allocator.PublishReply, []error) {
	f.mu.Lock()
	f.batches = append(f.batches, len(reqs))
	f.mu.Unlock()
	if f.publishMany != nil {
		return f.publishMany(ctx, reqs)
	}
	replies, errs := make([]allocator.PublishReply, len(reqs)), make([]error, len(reqs))
	for i, r := range reqs {
		replies[i], errs[i] = allocator.PublishReply{Revision: int64(len(r.Day.Sessions))}, nil
	}
	return replies, errs
}

func (f *fake) Search(ctx context.Context, req allocator.SearchRequest) (allocator.SearchReply, error) {
	f.mu.Lock()
	f.lastSearch = req
	f.mu.Unlock()
	if f.search != nil {
		return f.search(ctx, req)
	}
	return allocator.SearchReply{
		AsOf: slotStart, Age: 85 * time.Millisecond, Lat: 53.8, Lon: -1.5, Postcode: "LS1 4AP", Precision: "unit",
		Sites: []allocator.SiteFound{{
			SiteOffer: &allocator.SiteOffer{
				SiteSheet: &allocator.SiteSheet{
					Site: allocator.Site{ID: "FA512", Name: "Example Pharmacy", TimeZone: "Europe/London", AddressLines: []string{"1 Street"}},
				},
				NextAvailable: slotStart, Days: []allocator.DayFree{{Date: 20000, Free: 17}},
			},
			DistanceMetres: 812,
		}},
	}, nil
}

func (f *fake) Availability(context.Context, allocator.AvailabilityRequest) (allocator.AvailabilityReply, error) {
	zone, err := time.LoadLocation("Europe/London")
	return allocator.AvailabilityReply{AsOf: slotStart, Zone: zone, Days: []allocator.DaySlots{{
		Date: 20970, Slots: []allocator.SlotFree{{Start: allocator.MinuteOf(slotStart), Length: 10, Free: 3}},
	}}}, err
}

func (f *fake) Plan(_ context.Context, site allocator.SiteID) (allocator.SitePlan, []allocator.Date, error) {
	session := allocator.Session{ID: "a", From: 540, Until: 720, SlotLength: 10, Capacity: 2, Services: []allocator.ServiceCode{"RSV:Adult"}}
	return allocator.SitePlan{Site: site, Revision: 7, Plan: allocator.Plan{
		Closures: []allocator.Closure{{From: 20_000, Until: 20_001, Reason: "Easter"}},
		Series: []allocator.Series{{
			ID: "weekly", From: 20_000, Until: 20_100, Weekdays: []time.Weekday{1, 0}, EveryWeeks: 2, Sessions: allocator.Sessions{session},
			Closures: []allocator.Closure{{From: 20_010, Until: 20_010}},
			Overrides: []allocator.Override{{Date: 20_021}, {Date: 20_022, Edits: []allocator.DayEdit{
				{Do: allocator.EditBlock, From: 540, Until: 600, Sessions: []string{"a"}}, {Do: allocator.EditCapacity, Capacity: 1}, {Do: allocator.EditStop},
			}}},
		}},
	}}, []allocator.Date{20_050}, nil
}

func (f *fake) PutPlan(_ context.Context, req allocator.PlanRequest) (allocator.PlanReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastPlan = req
	if req.IfMatch != nil && *req.IfMatch != 7 {
		return allocator.PlanReply{}, allocator.Refuse(allocator.CodeRevisionMismatch, "the plan has revision 7")
	}
	days, err := f.EditDays(context.Background(), allocator.EditRequest{})
	return allocator.PlanReply{Revision: 8, Days: days}, err
}

func (f *fake) EditDays(_ context.Context, req allocator.EditRequest) ([]allocator.EditedDay, error) {
	days := []allocator.EditedDay{{Date: req.From, Reply: allocator.PublishReply{Revision: 3, Removed: 12, NewlyUnsupported: []string{someKey.Reference()}}}}
	if req.DryRun {
		days = append(days, allocator.EditedDay{Date: req.To, Err: allocator.Refuse(allocator.CodeRevisionMismatch, "changed meanwhile")})
	}
	return days, nil
}

func (f *fake) Suspend(_ context.Context, req allocator.SuspensionRequest) (allocator.SuspensionReply, error) {
	return allocator.SuspensionReply{Changed: !req.Resume, Days: 28, Bookings: 12, Free: 340}, nil
}

func (f *fake) Suspensions(context.Context, allocator.SiteID, allocator.Caller) ([]allocator.Suspension, error) {
	return []allocator.Suspension{{Service: "FLU:65+"}, {Service: "RSV:Adult", Until: 20970, Reason: "no vials"}}, nil
}

func (f *fake) FreeCapacity(_ context.Context, req allocator.FreeCapacityRequest) (allocator.FreeCapacityReply, error) {
	return allocator.FreeCapacityReply{AsOf: slotStart, From: 20970, To: 20997, Rows: []allocator.FreeCapacity{
		{Area: string(req.By) + " =1", Service: "RSV:Adult", Week: 20969, Sites: 3, Open: 2, Places: 40, Booked: 11, Free: 29},
	}}, nil
}

func (f *fake) Locate(postcode string) (string, float64, float64, string, error) {
	if !strings.HasPrefix(postcode, "LS1") {
		return "", 0, 0, "", allocator.Refuse(allocator.CodePostcodeUnknown, "no such postcode")
	}
	return "LS1 4AP", 53.7963, -1.5477, "unit", nil
}

func (f *fake) ExportPerson(_ context.Context, number string, _ allocator.Caller) (allocator.PersonExport, error) {
	if _, ok := allocator.ValidNHSNumber(number); !ok {
		return allocator.PersonExport{}, allocator.Refuse(allocator.CodeNHSNumberInvalid, "not a valid NHS number")
	}
	return allocator.PersonExport{Bookings: []allocator.ExportedBooking{
		{Reference: someKey.Reference(), Site: "FA512", Start: slotStart, Length: 10, Service: "RSV:Adult", Status: allocator.StatusBooked,
			RecordedAt: slotStart, Details: &allocator.ExportedDetails{NHSNumber: "9000000009", DateOfBirth: "1950-02-01"}},
		{Reference: someKey.Reference(), Site: "FA512", Start: slotStart, Length: 10, Service: "RSV:Adult", Status: allocator.StatusCancelled,
			Reason: "citizen", RecordedAt: slotStart},
	}}, nil
}

func (f *fake) ErasePerson(context.Context, string, allocator.Caller) (allocator.Erasure, error) {
	return allocator.Erasure{Erased: 2, Upcoming: []string{someKey.Reference()}}, nil
}

func (f *fake) Events(ctx context.Context, after string, limit int) ([]allocator.Event, string, error) {
	if f.events != nil {
		return f.events(ctx, after, limit)
	}
	return []allocator.Event{
		{Cursor: "1", Type: allocator.EventCapacity, At: slotStart, Actor: "publisher:dev", Site: "FA512", Date: 20970, Revision: 7},
		{Cursor: "2", Type: allocator.EventBooked, At: slotStart, Actor: "public", Site: "FA512", Date: 20970, Booking: someKey,
			Slot: allocator.SlotID{Site: "FA512", Start: allocator.MinuteOf(slotStart), Length: 10}, Service: "RSV:Adult",
			Person: allocator.PersonKey{1}, Status: allocator.StatusBooked, Version: 1},
	}, "2", nil
}

func (f *fake) Trail(_ context.Context, q allocator.TrailQuery) ([]allocator.TrailEntry, error) {
	all := []allocator.TrailEntry{
		{Seq: 1, Event: allocator.Event{Cursor: "1", Type: allocator.EventSite, At: slotStart, Actor: "publisher:dev", Request: "R1", Site: "FA512", Revision: 3}},
		{Seq: 2, Event: allocator.Event{Cursor: "2", Type: allocator.EventService, At: slotStart, Actor: "staff:a", Service: "RSV:Adult", Revision: 1}},
		{Seq: 3, Event: allocator.Event{Cursor: "5", Type: allocator.EventBooked, At: slotStart, Actor: "public", Site: "FA512", Date: 20970, Booking: someKey,
			Slot: allocator.SlotID{Site: "FA512", Start: allocator.MinuteOf(slotStart), Length: 10}, Service: "RSV:Adult", Status: allocator.StatusBooked, Version: 1},
			Digest: [32]byte{1}, Previous: [32]byte{2}, Hash: [32]byte{0xab}, Seal: []byte{0xcd}},
	}
	all = slices.DeleteFunc(all, func(t allocator.TrailEntry) bool { return t.Seq <= q.After })
	return all[:min(q.Limit, len(all))], nil
}

// world is a server over an in-memory listener, with a client.
type world struct {
	t        testing.TB
	server   *Server
	engine   *fake
	client   *http.Client
	listener *fasthttputil.InmemoryListener
	logs     *syncBuffer
	metrics  *prometheus.Registry
	served   chan error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func serve(t testing.TB, o Options, engine *fake) *world {
	t.Helper()
	return serveEngine(t, o, engine, engine)
}

// serveEngine serves an engine that has a fake within.
func serveEngine(t testing.TB, o Options, served Engine, engine *fake) *world {
	t.Helper()
	w := &world{t: t, engine: engine, listener: fasthttputil.NewInmemoryListener(), logs: &syncBuffer{}, metrics: prometheus.NewRegistry(), served: make(chan error, 1)}
	o.Logger = slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Registerer = w.metrics
	s, err := New(o, served)
	if err != nil {
		t.Fatal(err)
	}
	s.spread = func(int) int { return 0 }
	w.server = s
	transport := &http.Transport{
		DialContext:         func(context.Context, string, string) (net.Conn, error) { return w.listener.Dial() },
		MaxIdleConnsPerHost: 64,
	}
	w.client = &http.Client{Transport: transport}
	go func() { w.served <- s.Serve(w.listener) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return w
}

// answer is a reply that was read whole.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// call sends a request; headers are name and value in turn. Bodies are JSON unless the headers say otherwise.
func (w *world) call(method, path, body string, headers ...string) answer {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://muster.test"+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	if body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return w.do(req)
}

func (w *world) do(req *http.Request) answer {
	w.t.Helper()
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return answer{w.t, res.StatusCode, res.Header, data}
}

// staff adds the development token.
func (w *world) staff(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.call(method, path, body, append(headers, "Authorization", "Bearer dev")...)
}

func (a answer) wants(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// refused checks the whole form of a problem, or of an outcome where the reply is FHIR's.
func (a answer) refused(status int, code allocator.Code) problem {
	a.t.Helper()
	a.wants(status)
	if a.header.Get("Content-Type") == fhir.MediaType {
		return a.outcome(status, code)
	}
	var p problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		a.t.Fatalf("not a problem: %v: %s", err, a.body)
	}
	if p.Code != code || p.Status != status || p.Title == "" || p.Type == "" || p.Instance == "" {
		a.t.Fatalf("problem %s, want %d %s", a.body, status, code)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("content type %q", got)
	}
	if status == 429 || status == 503 {
		if after := a.header.Get("Retry-After"); after == "" || after == "0" {
			a.t.Errorf("Retry-After %q", after)
		}
	}
	return p
}

// outcome checks the whole form of an OperationOutcome, and gives the problem that it tells of.
func (a answer) outcome(status int, code allocator.Code) problem {
	a.t.Helper()
	if err := fhirtest.Validate(a.body); err != nil {
		a.t.Fatalf("not FHIR: %v: %s", err, a.body)
	}
	var o fhir.OperationOutcome
	a.json(&o)
	if o.ResourceType != "OperationOutcome" || len(o.Issue) == 0 {
		a.t.Fatalf("no outcome: %s", a.body)
	}
	p := problem{Code: code, Status: status}
	for _, i := range o.Issue {
		if i.Severity != "error" {
			continue
		}
		if i.Details == nil || len(i.Details.Coding) != 2 || i.Details.Coding[0].System != fhir.SystemErrors || i.Details.Coding[1] != (fhir.Coding{System: fhir.SystemProblem, Code: string(code)}) {
			a.t.Fatalf("outcome %s, want %s", a.body, code)
		}
		p.Title, p.Detail = i.Details.Text, i.Diagnostics
		p.Errors = append(p.Errors, faultView{strings.Join(i.Expression, ""), i.Diagnostics})
	}
	if after := a.header.Get("Retry-After"); (status == 429 || status == 503) && (after == "" || after == "0") {
		a.t.Errorf("Retry-After %q", after)
	}
	return p
}

func (a answer) json(into any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
}

func pointers(p problem) string {
	var all []string
	for _, e := range p.Errors {
		all = append(all, e.Pointer)
	}
	return fmt.Sprint(all)
}
