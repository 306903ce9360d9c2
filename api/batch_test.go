package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
)

const (
	atHolds         = "/v1/holds:batch"
	atConfirmations = "/v1/confirmations:batch"
)

func holdsOf(items ...string) string { return `{"holds":[` + strings.Join(items, ",") + `]}` }

func confirmationsOf(items ...string) string {
	return `{"confirmations":[` + strings.Join(items, ",") + `]}`
}

// with adds a field to an item, at its front.
func with(field, value, item string) string {
	rest := strings.TrimSpace(item)[1:]
	if strings.TrimSpace(rest) != "}" {
		rest = "," + rest
	}
	return `{"` + field + `":"` + value + `"` + rest
}

// itemAnswer is a result of a batch.
type itemAnswer struct {
	Status     int
	RetryAfter int
	Hold       json.RawMessage
	Bookings   json.RawMessage
	Problem    *problem
}

// items reads the results of a batch that was not refused as a whole, and checks their form.
func (a answer) items(want int) []itemAnswer {
	a.t.Helper()
	var got struct{ Results []itemAnswer }
	a.wants(200).json(&got)
	if len(got.Results) != want {
		a.t.Fatalf("%d results, want %d: %s", len(got.Results), want, a.body)
	}
	for i, r := range got.Results {
		switch granted := r.Hold != nil || r.Bookings != nil; {
		case r.Status == 201 && granted && r.Problem == nil && r.RetryAfter == 0:
		case r.Status >= 400 && !granted && r.Problem != nil && r.Problem.Status == r.Status:
		default:
			a.t.Fatalf("result %d of %s", i, a.body)
		}
	}
	return got.Results
}

// badBatches lists bodies that are refused as a whole, and where their faults are; "[]": wherever.
var badBatches = []struct{ path, body, pointers string }{
	{atHolds, "", "[]"},
	{atHolds, "[]", "[]"},
	{atHolds, `{}`, "[/holds]"},
	{atHolds, holdsOf(), "[/holds]"},
	{atHolds, `{"holds":{}}`, "[/holds]"},
	{atHolds, `{"holds":null}`, "[/holds]"},
	{atHolds, `{"confirmations":[` + goodHold + `]}`, "[/confirmations /holds]"},
	{atHolds, `{"holds":[` + goodHold + `],"dryRun":true}`, "[/dryRun]"},
	{atHolds, `{"holds":[` + goodHold + `],"holds":[` + goodHold + `]}`, "[/holds]"},
	{atHolds, holdsOf(slices.Repeat([]string{goodHold}, maxBatchItems+1)...), "[/holds]"},
	{atHolds, holdsOf(goodHold) + "x", "[]"},
	{atHolds, holdsOf(goodHold, `{"siteId":`), "[/holds/1/siteId]"},
	{atHolds, holdsOf(goodHold, `{"siteId":"\ud800"}`), "[/holds/1/siteId]"},
	{atHolds, holdsOf(slices.Repeat([]string{`{"a":1,"a":2}`}, maxFaults)...), "[]"},
	{atConfirmations, `{}`, "[/confirmations]"},
	{atConfirmations, confirmationsOf(), "[/confirmations]"},
	{atConfirmations, confirmationsOf(slices.Repeat([]string{"{}"}, maxBatchItems+1)...), "[/confirmations]"},
}

func TestBadBatches(t *testing.T) {
	engine := &fake{}
	engine.hold = func(_ context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
		t.Errorf("the engine got %+v", r)
		return allocator.Hold{}, nil
	}
	w := serve(t, Options{Dev: true}, engine)
	for _, c := range badBatches {
		p := w.call("POST", c.path, c.body).refused(400, allocator.CodeInvalid)
		if len(p.Errors) == 0 || c.pointers != "[]" && pointers(p) != c.pointers {
			t.Errorf("%s %.200s: faults at %s, want %s", c.path, c.body, pointers(p), c.pointers)
		}
	}
	keyed := w.call("POST", atHolds, holdsOf(goodHold), "Idempotency-Key", "k").refused(400, allocator.CodeInvalid)
	if pointers(keyed) != "[/header/Idempotency-Key]" {
		t.Error(pointers(keyed))
	}
	for _, path := range []string{atHolds, atConfirmations} {
		if p := w.call("POST", path+"?wait=1", holdsOf(goodHold)).refused(400, allocator.CodeInvalid); !strings.Contains(pointers(p), "/query/wait") {
			t.Error(pointers(p))
		}
		w.call("POST", path, "{}", "Authorization", "Bearer wrong").refused(401, allocator.CodeUnauthorised)
		w.call("POST", path, "{}", "Content-Type", "text/plain").refused(415, allocator.CodeInvalid)
		w.call("POST", path, strings.Repeat(" ", batchBody+1)).refused(413, allocator.CodeInvalid)
	}
}

func TestBatchBodyLimit(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	padding := strings.Repeat(" ", batchBody-len(holdsOf(goodHold)))
	w.call("POST", atHolds, holdsOf(goodHold)+padding).items(1)
	family := `{"holdId":"h1.` + strings.Repeat("x", 400) + `","people":[` + strings.Join(slices.Repeat([]string{goodPerson}, 5), ",") + `]}`
	w.call("POST", atConfirmations, confirmationsOf(slices.Repeat([]string{family}, maxBatchItems)...)).items(maxBatchItems)
}

// TestBatchedBadBodies: what the single route refuses is refused with the same faults within a batch, at pointers of the
// item, and its neighbours go through. What is not JSON is refused as a whole.
func TestBatchedBadBodies(t *testing.T) {
	engine := &fake{}
	var asked atomic.Int64
	engine.hold = func(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
		asked.Add(1)
		return allocator.Hold{Token: "h1.t"}, nil
	}
	engine.confirm = func(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error) {
		asked.Add(1)
		return []allocator.BookingView{someBooking()}, nil
	}
	w := serve(t, Options{Dev: true}, engine)
	tried := 0
	for _, c := range badBodies {
		path, list, body := atHolds, "/holds/1", c.body
		if c.at == atConfirm {
			path, list, body = atConfirmations, "/confirmations/1", with("holdId", "h1.x", c.body)
		} else if c.at != atHold {
			continue
		}
		tried++
		batch := holdsOf(goodHold, body, goodHold)
		if c.at == atConfirm {
			good := with("holdId", "h1.y", confirmWith(goodPerson))
			batch = confirmationsOf(good, body, good)
		}
		asked.Store(0)
		single := w.staff("POST", strings.TrimPrefix(c.at, "POST "), c.body).refused(400, allocator.CodeInvalid)
		if _, _, whole := parseJSON([]byte(c.body)); !whole {
			w.staff("POST", path, batch).refused(400, allocator.CodeInvalid)
			if asked.Load() != 0 {
				t.Errorf("%.200s: %d items of a broken body reached the engine", c.body, asked.Load())
			}
			continue
		}
		got := w.staff("POST", path, batch).items(3)
		if got[0].Status != 201 || got[2].Status != 201 || asked.Load() != 2 {
			t.Errorf("%.200s spoils its neighbours", c.body)
		}
		want := slices.Clone(single.Errors)
		for i := range want {
			want[i].Pointer = list + want[i].Pointer
		}
		if p := got[1].Problem; p == nil || p.Code != single.Code || p.Status != 400 || p.Detail != single.Detail || !reflect.DeepEqual(p.Errors, want) {
			t.Errorf("%.200s: %+v, want %+v", c.body, got[1].Problem, want)
		}
	}
	if tried < 50 {
		t.Errorf("only %d bodies tried", tried)
	}
}

// TestBatchedItems lists what an item has besides the body of its single route.
func TestBatchedItems(t *testing.T) {
	engine := &fake{}
	var keys sync.Map
	engine.hold = func(_ context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
		keys.Store(r.IdempotencyKey, r)
		return allocator.Hold{Token: "h1.t"}, nil
	}
	w := serve(t, Options{Dev: true}, engine)
	family := `{"idempotencyKey":"family","claims":[` + goodHold + `,` + goodHold + `]}`
	bad := []string{`""`, `"two words"`, `"\"open"`, `7`, `null`, `"` + strings.Repeat("k", 256) + `"`}
	var items []string
	for _, key := range bad {
		items = append(items, `{"idempotencyKey":`+key+`,`+goodHold[1:])
	}
	items = append(items, with("idempotencyKey", "plain", goodHold), with("idempotencyKey", `\"quo\\\"ted\"`, goodHold), family, `7`,
		`{"idempotencyKey":"a","idempotencyKey":"b",`+goodHold[1:], with("manageToken", "x", goodHold))
	got := w.staff("POST", atHolds, holdsOf(items...)).items(len(items))
	for i := range bad {
		if p := got[i].Problem; p == nil || pointers(*p) != fmt.Sprintf("[/holds/%d/idempotencyKey]", i) {
			t.Errorf("key %s: %+v", bad[i], got[i])
		}
	}
	n := len(bad)
	for i, want := range []string{"", "", "", "[/holds/9]", "[/holds/10/idempotencyKey]", "[/holds/11/manageToken]"} {
		if p := got[n+i].Problem; (p == nil) != (want == "") || p != nil && pointers(*p) != want {
			t.Errorf("%s: %+v", items[n+i], got[n+i])
		}
	}
	for _, key := range []string{"plain", `quo"ted`, "family"} {
		r, ok := keys.Load(key)
		if !ok {
			t.Errorf("no request with the key %s", key)
		} else if !r.(allocator.HoldRequest).Caller.Staff {
			t.Errorf("%s: the caller is lost", key)
		}
	}
	for item, want := range map[string]string{
		`{"people":[` + goodPerson + `]}`:                                      "400 [/confirmations/0/holdId]",
		`{"holdId":7,"people":[` + goodPerson + `]}`:                           "400 [/confirmations/0/holdId]",
		`{"holdId":"h1.x","idempotencyKey":"k","people":[` + goodPerson + `]}`: "400 [/confirmations/0/idempotencyKey]",
		`{"holdId":"no token"}`:                                                "404 []",
		`{"holdId":""}`:                                                        "404 []",
		`{"holdId":"` + strings.Repeat("x", 4097) + `"}`:                       "404 []",
	} {
		r := w.call("POST", atConfirmations, confirmationsOf(item)).items(1)[0]
		if got := fmt.Sprint(r.Status, " ", pointers(*r.Problem)); got != want {
			t.Errorf("%.100s: %s, want %s", item, got, want)
		}
	}
}

// TestBatchConforms: the same request, singly and in a batch, gets the same status, document and Retry-After, whatever the
// engine says.
func TestBatchConforms(t *testing.T) {
	engine := &fake{}
	var refusal error
	engine.hold = func(ctx context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
		if refusal == nil {
			return (&fake{}).Hold(ctx, r)
		}
		return allocator.Hold{}, refusal
	}
	engine.confirm = func(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error) {
		return []allocator.BookingView{someBooking()}, refusal
	}
	w := serve(t, Options{Dev: true}, engine)
	refusals := []error{nil, errors.New("secret"), context.DeadlineExceeded, fmt.Errorf("wrapped: %w", allocator.Refuse(allocator.CodeSlotFull, "full"))}
	for _, code := range allocator.Codes {
		for _, after := range []time.Duration{0, 1500 * time.Millisecond} {
			refusals = append(refusals, &allocator.Error{
				Code: code, Detail: "detail", RetryAfter: after, Faults: []allocator.Fault{{Pointer: "/claims/0", Detail: "b"}}, Cause: errors.New("secret"),
				Alternatives: []allocator.Alternative{{Site: "B", Start: allocator.MinuteOf(slotStart), Length: 10, Free: 2, TimeZone: "Europe/London"}},
			})
		}
	}
	for _, refusal = range refusals {
		single := w.call("POST", "/v1/holds", goodHold, "X-Request-Id", "same")
		conforms(t, single, w.call("POST", atHolds, holdsOf(goodHold), "X-Request-Id", "same"), "/holds/0")
		single = w.call("POST", "/v1/holds/h1.x/confirm", confirmWith(goodPerson), "X-Request-Id", "same")
		conforms(t, single, w.call("POST", atConfirmations, confirmationsOf(with("holdId", "h1.x", confirmWith(goodPerson))), "X-Request-Id", "same"), "/confirmations/0")
	}
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprint(families); !strings.Contains(all, "muster_http_batch_items_total") || !strings.Contains(w.logs.String(), `"item":"/holds/0"`) {
		t.Error("items are neither counted nor logged")
	}
}

func conforms(t *testing.T, single, batch answer, at string) {
	t.Helper()
	got := batch.items(1)[0]
	if got.Status != single.status || single.status != 201 && single.header.Get("Retry-After") != map[bool]string{true: itoa(got.RetryAfter)}[got.RetryAfter > 0] {
		t.Errorf("item %+v, singly %d %v", got, single.status, single.header)
	}
	if single.status == 201 {
		var bookings struct{ Bookings json.RawMessage }
		single.json(&bookings)
		if want := single.body; bookings.Bookings == nil && !bytes.Equal(got.Hold, want) || !bytes.Equal(got.Bookings, bookings.Bookings) {
			t.Errorf("item %+v, singly %s", got, want)
		}
		return
	}
	var want problem
	single.json(&want)
	for i := range want.Errors {
		want.Errors[i].Pointer = at + want.Errors[i].Pointer
	}
	if !reflect.DeepEqual(*got.Problem, want) {
		t.Errorf("item %+v, singly %+v", *got.Problem, want)
	}
	if bytes.Contains(batch.body, []byte("secret")) {
		t.Errorf("a cause is told: %s", batch.body)
	}
}
