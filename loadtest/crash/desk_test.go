package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
	"muster/loadtest/installation"
)

// patience is how long an operation is repeated in search of a definite answer, and how long a victim may take to its point. On
// a machine that others use too, all of it takes many times longer.
const patience = 3 * time.Minute

// soon is how long after a death all must be well again.
const soon = time.Minute

// desk sends requests as the contract asks clients to, and writes down what it was told. Safe for concurrent use.
type desk struct {
	client *http.Client
	began  time.Time
	serial atomic.Int64 // names holds and people
	zone   *time.Location
	date   allocator.Date
	starts []time.Time // of the slots of every site

	publisher map[string]string // what one publisher shows, who is no operator

	mu         sync.Mutex
	history    []checkers.Op
	complaints []checkers.Violation
	days       []allocator.Day // every version of every day
	losses     []int64
}

const (
	slotMinutes = 10
	slots       = 12
)

func newDesk() (*desk, error) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: time.Second}
	d := &desk{
		client: &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 64}},
		began:  time.Now(), zone: zone,
	}
	y, m, day := d.began.In(zone).AddDate(0, 0, 3).Date()
	first := time.Date(y, m, day, 10, 0, 0, 0, zone)
	d.date = allocator.DateOf(first)
	for i := range slots {
		d.starts = append(d.starts, first.Add(time.Duration(i)*slotMinutes*time.Minute))
	}
	return d, nil
}

// now is nanoseconds on the desk's clock, which begins as the wall clock and then runs evenly.
func (d *desk) now() int64 { return d.began.UnixNano() + time.Since(d.began).Nanoseconds() }

// lost notes that the inventory has lost its memory between an instant and now.
func (d *desk) lost(since int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.losses = append(d.losses, since, d.now())
}

func (d *desk) complain(promise, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.complaints = append(d.complaints, checkers.Violation{Promise: promise, Text: fmt.Sprintf(format, args...)})
}

type object = map[string]any

// request is one request of the contract, which any server may be sent, as often as it takes.
type request struct {
	method, path string
	body         any // a string is sent as it is
	header       map[string]string
}

var staff = map[string]string{"Authorization": "Bearer dev"}

type answer struct {
	status int
	code   allocator.Code // of a problem
	body   []byte
	err    error
}

func (a answer) ok() bool { return a.err == nil && a.status/100 == 2 }

// definite says whether the contract lets nobody expect another answer to the same request.
func (a answer) definite() bool {
	return a.err == nil && a.status < 500 && a.status != http.StatusTooManyRequests && a.code != allocator.CodeInProgress
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}

// one sends a request once.
func (d *desk) one(ctx context.Context, s *installation.Server, r request) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var content io.Reader
	kind := "application/json"
	switch body := r.body.(type) {
	case nil:
	case string:
		content, kind = bytes.NewReader([]byte(body)), "application/x-ndjson"
	default:
		data, err := json.Marshal(body)
		if err != nil {
			return answer{err: err}
		}
		content = bytes.NewReader(data)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, s.Base+r.path, content)
	if err != nil {
		return answer{err: err}
	}
	q.GetBody = nil // no repeats but our own
	if content != nil {
		q.Header.Set("Content-Type", kind)
	}
	for name, value := range r.header {
		q.Header.Set(name, value)
	}
	reply, err := d.client.Do(q)
	if err != nil {
		return answer{err: err}
	}
	defer reply.Body.Close()
	a.status = reply.StatusCode
	if a.body, a.err = io.ReadAll(reply.Body); a.err == nil && a.status >= 400 {
		var problem struct{ Code allocator.Code }
		a.err = json.Unmarshal(a.body, &problem)
		a.code = problem.Code
	}
	return a
}

// insist sends a request until its answer is definite, or until the first silence where whoever asks then leaves.
func (d *desk) insist(to at, r request) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for try := 0; ; try++ {
		a = d.one(ctx, to.servers[try%len(to.servers)], r)
		switch {
		case a.definite() || a.err != nil && to.leave:
			return a
		case ctx.Err() != nil:
			d.complain("P11", "%s %s has no definite answer after %v, last: %v", r.method, r.path, patience, a)
			return a
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// pause waits, or not, where ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// record adds an operation to the history, answered now.
func (d *desk) record(op checkers.Op, a answer) {
	op.Return, op.Code = d.now(), a.code
	if !a.definite() {
		op.Return, op.Code = checkers.Never, ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.history = append(d.history, op)
}

// testimony is what the desk can tell the checkers of what happened since.
func (d *desk) testimony(from since) ([]checkers.Op, []checkers.Violation, *checkers.Evidence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := &checkers.Evidence{Zone: d.zone, Days: slices.Clone(d.days[from.days:]), Losses: slices.Clone(d.losses)}
	return slices.Clone(d.history[from.history:]), slices.Clone(d.complaints[from.complaints:]), e
}
