package baseline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/servers"
)

const (
	site, start = "A", "2026-12-01T09:10:00Z"
	capacity    = 7
)

// fixture is a baseline that serves one slot.
type fixture struct {
	t      *testing.T
	config Config
	base   string
}

func serve(t *testing.T, kind Kind) *fixture {
	t.Helper()
	f := &fixture{t: t, config: Config{Kind: kind, Postgres: servers.Postgres(t)}}
	if kind == Script || kind == Commands {
		f.config.Redis = "redis://" + servers.Redis(t).Addr()
	}
	if err := Fill(t.Context(), f.config, []Slot{{"B", start, 1}, {site, start, capacity}}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.base = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, f.config, listener) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return f
}

func (f *fixture) post(path, body string, into any) int {
	reply, err := http.Post(f.base+path, "application/json", bytes.NewBufferString(body))
	if err != nil {
		f.t.Error(err)
		return 0
	}
	defer reply.Body.Close()
	if reply.StatusCode == http.StatusCreated {
		if err := json.NewDecoder(reply.Body).Decode(into); err != nil {
			f.t.Error(err)
		}
	}
	return reply.StatusCode
}

func (f *fixture) hold() (id string, status int) {
	var reply holdReply
	status = f.post("/v1/holds", `{"siteId":"`+site+`","service":"RSV:Adult","start":"`+start+`","length":10}`, &reply)
	return reply.HoldID, status
}

func (f *fixture) confirm(hold string, person int) (reference string, status int) {
	var reply struct{ Bookings []booking }
	body := fmt.Sprintf(`{"people":[{"nhsNumber":%q,"givenName":"Ada","familyName":"Example","dateOfBirth":"1948-05-17"}]}`,
		allocatortest.NHSNumber(person))
	if status = f.post("/v1/holds/"+hold+"/confirm", body, &reply); len(reply.Bookings) == 1 {
		reference = reply.Bookings[0].Reference
	}
	return reference, status
}

// want fails unless a status is as expected.
func (f *fixture) want(what string, status, want int) {
	f.t.Helper()
	if status != want {
		f.t.Errorf("%s was answered %d, want %d", what, status, want)
	}
}

// lapse ends every hold that is not confirmed.
func (f *fixture) lapse() {
	f.t.Helper()
	statement := map[Kind]string{
		SkipLocked: "UPDATE places SET held_until = now() - interval '1 s' WHERE held_until IS NOT NULL",
		Counter:    "UPDATE holds SET held_until = now() - interval '1 s'",
	}[f.config.Kind]
	if statement == "" {
		f.lapseInRedis()
		return
	}
	c, err := pgx.Connect(f.t.Context(), f.config.Postgres)
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(f.t.Context(), statement); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) lapseInRedis() {
	f.t.Helper()
	options, err := redis.ParseURL(f.config.Redis)
	if err != nil {
		f.t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	keys, err := client.Keys(f.t.Context(), "*:holds").Result()
	if err == nil && len(keys) == 0 && f.config.Kind == Commands {
		return // it gave the places of refused people back at once
	}
	if err != nil || len(keys) != 1 {
		f.t.Fatalf("keys of holds: %v %v", keys, err)
	}
	places, err := client.ZRange(f.t.Context(), keys[0], 0, -1).Result()
	for _, place := range places {
		err = client.ZAdd(f.t.Context(), keys[0], redis.Z{Score: 1, Member: place}).Err()
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func kinds(t *testing.T, test func(t *testing.T, f *fixture)) {
	for _, kind := range []Kind{SkipLocked, Counter, Script, Commands} {
		t.Run(string(kind), func(t *testing.T) { test(t, serve(t, kind)) })
	}
}

// A crowd at one slot gets as many bookings as there are places, and everybody else is refused.
func TestSoldOut(t *testing.T) {
	kinds(t, func(t *testing.T, f *fixture) {
		var crowd sync.WaitGroup
		var booked, full atomic.Int64
		for person := range 6 * capacity {
			crowd.Go(func() {
				hold, status := f.hold()
				switch status {
				case http.StatusConflict:
					full.Add(1)
					return
				case http.StatusCreated:
				default:
					f.want("a hold", status, http.StatusCreated)
					return
				}
				if _, status := f.confirm(hold, person); status == http.StatusCreated {
					booked.Add(1)
				} else {
					f.want("a confirm", status, http.StatusCreated)
				}
			})
		}
		crowd.Wait()
		if booked.Load() != capacity || full.Load() != 5*capacity {
			t.Errorf("%d booked and %d refused, want %d and %d", booked.Load(), full.Load(), capacity, 5*capacity)
		}
	})
}

// A person books once, a hold is confirmed once, and what a refused person held can be had again.
func TestOncePerPerson(t *testing.T) {
	kinds(t, func(t *testing.T, f *fixture) {
		first, status := f.hold()
		f.want("a hold", status, http.StatusCreated)
		if reference, status := f.confirm(first, 1); status != http.StatusCreated || reference == "" {
			t.Errorf("a confirm was answered %d %q", status, reference)
		}
		_, status = f.confirm(first, 2)
		f.want("a second confirm of one hold", status, http.StatusGone)
		for range capacity - 1 {
			hold, status := f.hold()
			f.want("a hold", status, http.StatusCreated)
			_, status = f.confirm(hold, 1)
			f.want("the same person", status, http.StatusConflict)
		}
		f.lapse()
		hold, status := f.hold()
		f.want("a hold of a place that was given back", status, http.StatusCreated)
		_, status = f.confirm(hold, 3)
		f.want("its confirm", status, http.StatusCreated)
	})
}

// Holds lapse: their places go to others, and they cannot be confirmed any more.
func TestLapse(t *testing.T) {
	kinds(t, func(t *testing.T, f *fixture) {
		var held []string
		for range capacity {
			hold, status := f.hold()
			f.want("a hold", status, http.StatusCreated)
			held = append(held, hold)
		}
		_, status := f.hold()
		f.want("a hold too many", status, http.StatusConflict)
		_, status = f.confirm(held[0], 1)
		f.want("a confirm", status, http.StatusCreated)
		f.lapse()
		for range capacity - 1 {
			_, status := f.hold()
			f.want("a hold of a lapsed place", status, http.StatusCreated)
		}
		_, status = f.hold()
		f.want("a hold of the booked place", status, http.StatusConflict)
		_, status = f.confirm(held[1], 2)
		f.want("a lapsed hold's confirm", status, http.StatusGone)
	})
}

func TestUnknownSlot(t *testing.T) {
	f := serve(t, Counter)
	status := f.post("/v1/holds", `{"siteId":"C","start":"`+start+`"}`, new(holdReply))
	f.want("a hold at a slot that is not there", status, http.StatusNotFound)
	status = f.post("/v1/holds/x/confirm", `{"people":[{"nhsNumber":"1234567890"}]}`, new(holdReply))
	f.want("a wrong NHS number", status, http.StatusUnprocessableEntity)
}

// Rows that were written together are there, and the rules of the table hold for them too.
func TestInsertRows(t *testing.T) {
	url := servers.Postgres(t)
	rows, took, err := InsertRows(t.Context(), url, 50*time.Millisecond)
	if err != nil || rows < RowsPerInsert || took < 50*time.Millisecond {
		t.Fatalf("%d rows in %v: %v", rows, took, err)
	}
	pool, err := connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := insertBatch(t.Context(), pool, 0); err == nil {
		t.Error("people were booked twice")
	}
}

// The no-op answers a search with as many bytes as it was told.
func TestNoOpSearch(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, Config{Kind: NoOp, Search: 3210}, listener) }()
	base := "http://" + listener.Addr().String() + "/v1/sites"
	for path, want := range map[string]int64{"?postcode=LS1%204AP&service=RSV:Adult": 3210, "?service=RSV:Adult": 0} {
		reply, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		if reply.Body.Close(); reply.ContentLength != want || (reply.StatusCode == http.StatusOK) != (want > 0) {
			t.Errorf("%s: status %d, %d bytes", path, reply.StatusCode, reply.ContentLength)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
