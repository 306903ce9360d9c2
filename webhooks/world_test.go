package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
)

// world is an outbox, a ledger and endpoints, on a clock of its own.
type world struct {
	t      *testing.T
	ledger *memoryledger.Ledger
	cancel []func()

	mu         sync.Mutex
	events     []allocator.Event
	publishers map[allocator.SiteID]string
	endpoints  map[string]*endpoint // by host
}

// inWorld runs a test where time passes when everybody waits.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, ledger: memoryledger.New(time.Now), publishers: map[allocator.SiteID]string{}, endpoints: map[string]*endpoint{}}
		for _, site := range []allocator.SiteID{"a1", "a2", "a3", "b1"} {
			w.publishers[site] = strings.ToUpper(string(site[:1]))
		}
		test(w)
		for _, cancel := range w.cancel {
			cancel()
		}
		synctest.Wait()
	})
}

// ledgerOf is one server's view of the ledger; it fails once the server is dead.
type ledgerOf struct {
	*memoryledger.Ledger
	*world
	dead *atomic.Bool
}

var errDead = fmt.Errorf("%w: the server is dead", allocator.ErrUnavailable)

func (l ledgerOf) LastEvent(context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strconv.Itoa(len(l.world.events)), nil
}

func (l ledgerOf) SwapWebhook(ctx context.Context, next allocator.WebhookRow) (bool, error) {
	if l.dead.Load() {
		return false, errDead
	}
	return l.Ledger.SwapWebhook(ctx, next)
}

func (w *world) Events(_ context.Context, after string, limit int) ([]allocator.Event, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from, err := strconv.Atoi("0" + after)
	if err != nil {
		return nil, "", allocator.Refuse(allocator.CodeInvalid, "not a cursor")
	}
	page := slices.Clone(w.events[min(from, len(w.events)):min(from+limit, len(w.events))])
	return page, strconv.Itoa(from + len(page)), nil
}

func (w *world) Site(_ context.Context, id allocator.SiteID) (allocator.Site, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	publisher, ok := w.publishers[id]
	if !ok {
		return allocator.Site{}, allocator.Refuse(allocator.CodeSiteUnknown, "no such site")
	}
	return allocator.Site{ID: id, Publisher: publisher}, nil
}

// happen adds an event at each site.
func (w *world) happen(kind allocator.EventType, sites ...allocator.SiteID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, site := range sites {
		w.events = append(w.events, allocator.Event{Cursor: strconv.Itoa(len(w.events) + 1), Type: kind, At: time.Now().UTC(), Site: site})
	}
}

// server starts a server; kill makes it deaf and dumb, and leaves what it holds as it is.
func (w *world) server(change ...func(o *Options)) (h *Hooks, stop, kill func()) {
	w.t.Helper()
	dead := &atomic.Bool{}
	o := Options{
		Ledger: ledgerOf{w.ledger, w, dead}, Source: w, Seal: testCipher(w.t), Jitter: func() float64 { return 0 },
		View: func(e allocator.Event) any { return map[string]any{"cursor": e.Cursor, "siteId": e.Site} }, Transport: network{w, dead},
	}
	for _, c := range change {
		c(&o)
	}
	h, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	stop = func() { cancel(); <-done }
	w.cancel = append(w.cancel, stop)
	return h, stop, func() { dead.Store(true) }
}

// network is how a server reaches endpoints.
type network struct {
	*world
	dead *atomic.Bool
}

func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	e := n.endpoints[r.URL.Host]
	n.mu.Unlock()
	if n.dead.Load() || e == nil {
		return nil, errors.New("no way there")
	}
	return e.receive(r)
}

// endpoint is a receiver that keeps what it took.
type endpoint struct {
	t *testing.T

	mu     sync.Mutex
	secret string
	answer answerer // nil: takes everything
	tries  []received
	taken  []received
}

// answerer says what a message is answered; 0: the status is 200. It may take its time.
type answerer func(ctx context.Context, m received) (status int, header http.Header)

// answers makes the endpoint answer so from now on.
func (e *endpoint) answers(answer answerer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = answer
}

// trusts makes the endpoint check by a secret from now on.
func (e *endpoint) trusts(secret string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.secret = secret
}

// took are the messages that were taken, and asked all that came, in order.
func (e *endpoint) took() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.taken)
}

func (e *endpoint) asked() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.tries)
}

type received struct {
	id, kind string
	cursor   string
	site     allocator.SiteID
	at       time.Time
	seconds  int64 // since the endpoint's first try
	header   http.Header
	body     []byte
}

func (e *endpoint) receive(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var content struct {
		Type, Timestamp string
		Data            struct {
			Cursor string
			SiteID allocator.SiteID
		}
	}
	if err := json.Unmarshal(body, &content); err != nil {
		e.t.Errorf("%s: %v", body, err)
	}
	m := received{
		id: r.Header.Get("webhook-id"), kind: content.Type, cursor: content.Data.Cursor, site: content.Data.SiteID, at: time.Now(), header: r.Header, body: body,
	}
	e.mu.Lock()
	if err := verify(e.secret, r.Header, body, m.at); err != nil {
		e.t.Errorf("message %s: %v", m.id, err)
	}
	answer := e.answer
	if len(e.tries) > 0 {
		m.seconds = int64(m.at.Sub(e.tries[0].at).Seconds())
	}
	e.tries = append(e.tries, m)
	e.mu.Unlock()
	status, header := http.StatusOK, http.Header{}
	if answer != nil {
		if s, h := answer(r.Context(), m); s != 0 {
			status, header = s, h
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if status/100 == 2 {
		e.mu.Lock()
		e.taken = append(e.taken, m)
		e.mu.Unlock()
	}
	return &http.Response{StatusCode: status, Header: header, Body: http.NoBody, Request: r}, nil
}

// cursors are those of the messages that were taken, in order.
func (e *endpoint) cursors() (all []string) {
	for _, m := range e.took() {
		all = append(all, m.cursor)
	}
	return all
}

// tried are the seconds of all tries.
func (e *endpoint) tried() (all []int64) {
	for _, m := range e.asked() {
		all = append(all, m.seconds)
	}
	return all
}

var (
	ofA = allocator.Caller{Client: "a", Actor: "publisher:a", Bound: true, Organisation: "A"}
	ofB = allocator.Caller{Client: "b", Actor: "publisher:b", Bound: true, Organisation: "B"}
	all = allocator.Caller{Client: "n", Actor: "publisher:n"}
)

// subscribe makes an endpoint at a host, and a webhook that leads there.
func (w *world) subscribe(h *Hooks, caller allocator.Caller, host string, change ...func(s *Settings)) (Webhook, *endpoint) {
	w.t.Helper()
	s := Settings{URL: "https://" + host + "/in"}
	for _, c := range change {
		c(&s)
	}
	made, secret, err := h.Create(w.t.Context(), Creation{Caller: caller, Settings: s})
	if err != nil {
		w.t.Fatal(err)
	}
	e := &endpoint{t: w.t, secret: secret}
	w.mu.Lock()
	w.endpoints[host] = e
	w.mu.Unlock()
	return made, e
}

// see reads a webhook.
func (w *world) see(h *Hooks, id string) Webhook {
	w.t.Helper()
	found, err := h.Get(w.t.Context(), all, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func (w *world) want(what string, got, want any) {
	w.t.Helper()
	if g, s := fmt.Sprint(got), fmt.Sprint(want); g != s {
		w.t.Errorf("%s:\n got %s\nwant %s", what, g, s)
	}
}
