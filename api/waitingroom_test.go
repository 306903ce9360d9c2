package api

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
	"muster/waitingroom"
)

// queue is a server's waiting rooms, with a clock of their own.
type queue struct {
	*waitingroom.Rooms
	t    testing.TB
	mu   sync.Mutex
	now  time.Time
	free int
}

func newQueue(t testing.TB) *queue {
	t.Helper()
	q := &queue{t: t, now: time.Now().Truncate(time.Second), free: 5}
	secret := allocator.NewSecret([]byte("sixteen bytes at least"))
	rooms, err := waitingroom.New(waitingroom.Options{
		Documents: memoryledger.New(time.Now), Seals: secret.Seals(), Now: q.clock,
		Free: func(context.Context, allocator.ServiceCode) (int, error) { return q.free, nil },
		Near: func(context.Context, allocator.ServiceCode, string) (int, error) { return 0, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	q.Rooms = rooms
	return q
}

func (q *queue) clock() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.now
}

func (q *queue) pass(seconds int) {
	q.t.Helper()
	for range seconds {
		q.mu.Lock()
		q.now = q.now.Add(time.Second)
		q.mu.Unlock()
		if err := q.Step(q.t.Context()); err != nil {
			q.t.Fatal(err)
		}
	}
}

const (
	roomPath    = "/v1/services/RSV:Adult/waiting-room"
	ticketsPath = "/v1/waiting-room/tickets"
	onePlace    = `{"siteId":"FA512","service":"RSV:Adult","start":"2027-06-01T10:10:00+02:00"}`
	joining     = `{"service":"RSV:Adult","area":"ls1"}`
)

// throughDoor is a fake engine behind its waiting rooms.
type throughDoor struct {
	*fake
	door *waitingroom.Door
}

func (d throughDoor) Hold(ctx context.Context, req allocator.HoldRequest) (allocator.Hold, error) {
	return d.door.Hold(ctx, req)
}

func serveQueue(t testing.TB) (*world, *queue) {
	q, f := newQueue(t), &fake{}
	return serveEngine(t, Options{Dev: true, Rooms: q.Rooms}, throughDoor{f, q.Door(f)}, f), q
}

// TestQueueing goes the whole way: a hold is refused, a ticket is taken, its owner is called, takes a pass and holds.
func TestQueueing(t *testing.T) {
	w, q := serveQueue(t)
	w.call("POST", ticketsPath, joining).wants(200)
	w.call("POST", "/v1/holds", onePlace).wants(201)
	w.staff("PUT", roomPath, `{"mode":"on"}`).wants(200)

	refused := w.call("POST", "/v1/holds", onePlace)
	refused.refused(429, allocator.CodeWaitingRoom)
	if refused.header.Get("Retry-After") == "" {
		t.Error("nobody is told when to come back")
	}
	var place placeView
	w.call("POST", ticketsPath, joining).wants(201).json(&place)
	ticket := place.Ticket
	if ticket == "" || place.Phase != waitingroom.Waiting {
		t.Fatalf("%+v", place)
	}
	w.call("POST", "/v1/waiting-room/passes", "", ticketHeader, ticket).refused(429, allocator.CodeWaitingRoom)
	q.pass(4)
	looked := w.call("GET", "/v1/waiting-room/ticket", "", ticketHeader, ticket).wants(200)
	looked.json(&place)
	if place.Phase != waitingroom.Called || place.Near == nil || !place.Near.SoldOut || place.Near.Area != "LS1" || *place.Free != 5 {
		t.Fatalf("%s", looked.body)
	}
	var pass passView
	w.call("POST", "/v1/waiting-room/passes", "", ticketHeader, ticket).wants(201).json(&pass)
	w.call("POST", "/v1/holds", onePlace, passHeader, pass.Pass, "Idempotency-Key", "one").wants(201)
	w.call("POST", "/v1/holds", onePlace, passHeader, pass.Pass, "Idempotency-Key", "two").refused(429, allocator.CodeWaitingRoom)
	w.staff("POST", "/v1/holds", onePlace).wants(201)
}

// Every way to a hold asks for a pass: a batch item by item, and FHIR.
func TestEveryHoldNeedsAPass(t *testing.T) {
	w, q := serveQueue(t)
	w.staff("PUT", roomPath, `{"mode":"on"}`).wants(200)
	var place placeView
	w.call("POST", ticketsPath, joining).wants(201).json(&place)
	q.pass(4)
	var pass passView
	w.call("POST", "/v1/waiting-room/passes", "", ticketHeader, place.Ticket).wants(201).json(&pass)
	var results struct {
		Results []struct {
			Status  int
			Problem struct{ Code allocator.Code }
		}
	}
	item := onePlace[:len(onePlace)-1]
	w.call("POST", "/v1/holds:batch", `{"holds":[`+onePlace+`,`+item+`,"waitingRoomPass":"`+pass.Pass+`"}]}`).wants(200).json(&results)
	if r := results.Results; r[0].Status != 429 || r[0].Problem.Code != allocator.CodeWaitingRoom || r[1].Status != 201 {
		t.Errorf("%+v", results)
	}
	w.call("POST", "/fhir/R4/Appointment/$hold", fhirHoldBody).wants(429)
	w.call("POST", "/fhir/R4/Appointment/$book", fhirBookBody).wants(429)
	w.call("POST", "/fhir/R4/Appointment", fhirAppointment).wants(429)
}

func TestTicketsThatAreNone(t *testing.T) {
	w, _ := serveQueue(t)
	for _, ticket := range []string{"", "nonsense", "AQx1", string(bytes.Repeat([]byte("A"), 72))} {
		w.call("GET", "/v1/waiting-room/ticket", "", ticketHeader, ticket).refused(404, allocator.CodeTicketUnknown)
		w.call("POST", "/v1/waiting-room/passes", "", ticketHeader, ticket).refused(404, allocator.CodeTicketUnknown)
	}
	w.call("GET", "/v1/waiting-room/ticket?ticket=AQx1", "").refused(400, allocator.CodeInvalid)
	w.call("POST", ticketsPath, `{"service":"RSV:Adult","area":"LS1 4AP"}`).refused(400, allocator.CodeInvalid)
	w.call("PUT", roomPath, `{"mode":"on"}`).refused(401, allocator.CodeUnauthorised)
	w.staff("PUT", "/v1/services/NO:Such/waiting-room", `{"mode":"on"}`).refused(404, allocator.CodeServiceUnknown)
	p := w.staff("PUT", roomPath, `{"mode":"on","openAt":"2020-01-01T00:00:00Z"}`).refused(400, allocator.CodeInvalid)
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/openAt" {
		t.Errorf("%+v", p.Errors)
	}
}

// An address gets so many tickets and no more; another one still gets its own.
func TestTicketsPerAddress(t *testing.T) {
	q, f := newQueue(t), &fake{}
	w := serveEngine(t, Options{Dev: true, Rooms: q.Rooms, AddressHeader: "X-Forwarded-For", TicketsPerAddress: Rate{Burst: 3, Every: time.Hour}}, f, f)
	w.staff("PUT", roomPath, `{"mode":"on"}`).wants(200)
	for range 3 {
		w.call("POST", ticketsPath, joining, "X-Forwarded-For", "192.0.2.1").wants(201)
	}
	a := w.call("POST", ticketsPath, joining, "X-Forwarded-For", "192.0.2.1")
	a.refused(429, allocator.CodeRateLimited)
	if a.header.Get("Retry-After") == "" {
		t.Error("nobody is told when to come back")
	}
	w.call("POST", ticketsPath, joining, "X-Forwarded-For", "192.0.2.2").wants(201)
}

// What GET shows, PUT takes; and a server without rooms has none of it.
func TestRoomDocument(t *testing.T) {
	w, _ := serveQueue(t)
	shown := w.call("GET", roomPath, "").wants(200)
	w.staff("PUT", roomPath, string(shown.body)).wants(200)
	shown = w.call("GET", roomPath, "").wants(200)
	var v roomView
	shown.json(&v)
	if v.State == nil || v.State.Active || v.State.Seed != "" || v.Mode != waitingroom.Off {
		t.Errorf("%s", shown.body)
	}
	w.staff("PUT", roomPath, string(shown.body)).wants(200)
	if shown.header.Get("Cache-Control") != "public, max-age=2" {
		t.Error(shown.header)
	}
	without := serve(t, Options{Dev: true}, &fake{})
	without.call("GET", roomPath, "").refused(404, CodeNotFound)
	without.call("POST", ticketsPath, joining).refused(404, CodeNotFound)
}

func TestPlacesAreWrittenAsEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1000)
		v := &placeView{
			Ticket: text(t, "ticket"), Service: allocator.ServiceCode(text(t, "service")), Phase: waitingroom.Phase(text(t, "phase")),
			Position: n.Draw(t, "position"), Waiting: n.Draw(t, "waiting"), PollAfterMs: n.Draw(t, "poll"), OpenAt: text(t, "open"),
			Outlook: waitingroom.Outlook(text(t, "outlook")), ServerTime: text(t, "time"),
		}
		if rapid.Bool().Draw(t, "known") {
			free := n.Draw(t, "free")
			v.Free, v.WaitSeconds = &free, &secondsView{n.Draw(t, "from"), n.Draw(t, "to")}
			v.Near = &nearView{text(t, "area"), free, rapid.Bool().Draw(t, "sold out")}
		}
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.appendJSON(nil); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s, %v\nwant %s", got, err, want)
		}
	})
}

// BenchmarkPoll is what a look costs without the network, as BenchmarkCreateHold is for a hold.
func BenchmarkPoll(b *testing.B) {
	q := newQueue(b)
	q.free = 0
	if _, err := q.Put(b.Context(), "RSV:Adult", waitingroom.Settings{Mode: waitingroom.On}); err != nil {
		b.Fatal(err)
	}
	area, _ := waitingroom.AreaOf("LS1")
	ticket, _, err := q.Join("RSV:Adult", area)
	if err != nil {
		b.Fatal(err)
	}
	q.pass(3)
	server, err := New(Options{Rooms: q.Rooms}, &surge{})
	if err != nil {
		b.Fatal(err)
	}
	benchmarkHandler(b, server.router(), fasthttp.StatusOK, func(r *fasthttp.Request) {
		r.Header.SetMethod(fasthttp.MethodGet)
		r.Header.Set(ticketHeader, ticket)
		r.SetRequestURI("/v1/waiting-room/ticket")
	})
}
