package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// requestTimeout is far beyond what any engine needs: a request that takes so long has an unknown outcome.
const requestTimeout = 30 * time.Second

// load is a closed loop of clients, each with one flow under way at any time.
type load struct {
	client  *fasthttp.HostClient
	choose  func() place
	persons *atomic.Int64 // counts people over all turns of an engine
	keys    string        // begins every Idempotency-Key
	confirm bool          // false: holds only
	told    *acknowledged

	measuring             atomic.Bool
	flows, failed         atomic.Int64 // that ended while measuring
	holds, confirms, both Histogram
	mu                    sync.Mutex
	firstFailure          string
}

func newLoad(address string, clients int) *load {
	return &load{client: &fasthttp.HostClient{
		Addr: address, MaxConns: clients, MaxIdleConnDuration: time.Minute, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		DisableHeaderNamesNormalizing: true, NoDefaultUserAgentHeader: true, MaxIdemponentCallAttempts: 1,
		RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
	}}
}

// run lets clients work until ctx ends, and returns when the last answer is there.
func (l *load) run(ctx context.Context, clients int) {
	var working sync.WaitGroup
	for range clients {
		working.Go(func() {
			r, a := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(r)
			defer fasthttp.ReleaseResponse(a)
			for ctx.Err() == nil {
				began := time.Now()
				err := l.flow(r, a)
				if l.measuring.Load() {
					l.count(time.Since(began), err)
				}
			}
		})
	}
	working.Wait()
	l.client.CloseIdleConnections()
}

func (l *load) count(took time.Duration, err error) {
	if err == nil {
		l.flows.Add(1)
		l.both.Add(took)
		return
	}
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.firstFailure == "" {
		l.firstFailure = err.Error()
	}
}

// flow is one hold and, mostly, its confirm.
func (l *load) flow(r *fasthttp.Request, a *fasthttp.Response) error {
	number, person := l.person()
	hold, err := l.hold(r, a, l.choose(), l.keys+strconv.FormatInt(number, 36))
	if err != nil || !l.confirm {
		return err
	}
	body := append(make([]byte, 0, 160), `{"people":[{"nhsNumber":"`...)
	body = append(append(body, person...), `","givenName":"Ada","familyName":"Example","dateOfBirth":"1948-05-17"}]}`...)
	began := time.Now()
	err = l.post(r, a, "/v1/holds/"+url.PathEscape(hold)+"/confirm", "", body)
	if err != nil || a.StatusCode() >= 500 {
		l.told.perhaps()
	}
	if err = errors.Join(err, created(a, err)); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	reference := field(a.Body(), `"reference":"`)
	if reference == "" {
		return fmt.Errorf("a confirm was answered %s", a.Body())
	}
	l.told.booked(reference)
	l.time(&l.confirms, began)
	return nil
}

func (l *load) person() (number int64, nhs string) {
	for {
		number = l.persons.Add(1)
		if nhs, ok := nhsNumber(number); ok {
			return number, nhs
		}
	}
}

// hold asks for a place at a slot and returns the hold's name.
func (l *load) hold(r *fasthttp.Request, a *fasthttp.Response, p place, key string) (string, error) {
	body := append(make([]byte, 0, 128), `{"siteId":"`...)
	body = append(append(body, p.site...), `","service":"`+service+`","start":"`...)
	body = append(append(body, p.start...), `","length":`...)
	body = append(strconv.AppendInt(body, slotMinutes, 10), '}')
	began := time.Now()
	err := l.post(r, a, "/v1/holds", key, body)
	if err = errors.Join(err, created(a, err)); err != nil {
		return "", fmt.Errorf("hold at %s: %w", p.site, err)
	}
	l.time(&l.holds, began)
	hold := field(a.Body(), `"holdId":"`)
	if hold == "" {
		return "", fmt.Errorf("a hold was answered %s", a.Body())
	}
	return hold, nil
}

func (l *load) time(h *Histogram, began time.Time) {
	if l.measuring.Load() {
		h.Add(time.Since(began))
	}
}

func (l *load) post(r *fasthttp.Request, a *fasthttp.Response, path, key string, body []byte) error {
	r.Reset()
	a.Reset()
	r.Header.SetMethod(fasthttp.MethodPost)
	r.SetRequestURI(path)
	r.Header.SetHost(l.client.Addr)
	r.Header.SetContentType("application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	r.SetBodyRaw(body)
	return l.client.DoTimeout(r, a, requestTimeout)
}

// created is an error where an answer that did arrive says anything else.
func created(a *fasthttp.Response, err error) error {
	if err == nil && a.StatusCode() != fasthttp.StatusCreated {
		return fmt.Errorf("status %d: %.300s", a.StatusCode(), a.Body())
	}
	return nil
}

// field reads a string that has no escapes out of JSON, by what stands before it.
func field(body []byte, before string) string {
	at := bytes.Index(body, []byte(before))
	if at < 0 {
		return ""
	}
	value, _, ok := bytes.Cut(body[at+len(before):], []byte{'"'})
	if !ok {
		return ""
	}
	return string(value)
}

// anyOf chooses among places evenly.
func anyOf(places []place) func() place {
	return func() place { return places[rand.IntN(len(places))] }
}
