package webhooks

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// known is a subscription as this server last saw it.
type known struct {
	webhook  Webhook
	position string    // all up to here was looked at, and nothing after the cursor is wanted
	skipped  int       // events from the cursor to the position
	waiting  time.Time // when the first event that is to be delivered happened; zero: none is known
	slow     bool
	stale    bool // the ledger has another version
	busy     bool // one goroutine works at it
}

const (
	// persistAfter is after how many events that a subscriber does not want its cursor is stored, so that a server that
	// starts need not go through them again.
	persistAfter = 20_000
	// stopTime is how long a server that ends waits for answers, and then for its leases to be given back.
	stopTime = 5 * time.Second
)

// Run delivers until ctx ends, and then until what is under way is noted. Call it once.
func (h *Hooks) Run(ctx context.Context) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTime, cancel) })()
	var workers sync.WaitGroup
	defer workers.Wait()
	poll := time.NewTicker(h.options.PollEvery)
	defer poll.Stop()
	var refreshed time.Time
	for {
		nudged := false
		select {
		case <-ctx.Done():
			return
		case <-h.nudged:
			nudged = true
		case <-poll.C:
		}
		if nudged || h.options.Now().Sub(refreshed) >= h.options.RefreshEvery {
			if err := h.refresh(ctx); err != nil {
				h.complain(ctx, "the webhooks were not read", err)
				continue
			}
			refreshed = h.options.Now()
		}
		h.begin(ctx, last, &workers)
	}
}

func (h *Hooks) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		h.options.Log.Warn(what, "error", err)
	}
}

// refresh learns what others changed.
func (h *Hooks) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	all, err := h.all(ctx)
	if err != nil {
		return err
	}
	h.learn(all)
	h.metrics.tell(h)
	return nil
}

// learn takes over what the ledger has.
func (h *Hooks) learn(all []Webhook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	there := make(map[string]bool, len(all))
	for _, w := range all {
		there[w.ID] = true
		k := h.known[w.ID]
		switch {
		case k == nil:
			h.known[w.ID] = &known{webhook: w, position: w.Progress.Cursor}
		case !k.busy && (k.stale || k.webhook.Version < w.Version):
			*k = known{webhook: w, position: w.Progress.Cursor, slow: k.slow}
		}
	}
	for id, k := range h.known {
		if !there[id] && !k.busy {
			delete(h.known, id)
		}
	}
}

// begin starts to work at each subscription for which it is time.
func (h *Hooks) begin(ctx, last context.Context, workers *sync.WaitGroup) {
	h.mu.Lock()
	idle := len(h.known) == 0
	h.mu.Unlock()
	if idle {
		return
	}
	now, err := h.options.Ledger.Now(ctx)
	if err != nil {
		h.complain(ctx, "webhooks wait for the ledger", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.known {
		if k.busy || k.stale || !k.webhook.due(now, h.holder) {
			continue
		}
		k.busy = true
		w := work{h: h, last: last, webhook: k.webhook.clone(), position: k.position, skipped: k.skipped, slow: k.slow || k.webhook.Progress.Failures > 0}
		workers.Go(func() {
			w.run(ctx)
			h.mu.Lock()
			defer h.mu.Unlock()
			*k = known{webhook: w.webhook, position: w.position, skipped: w.skipped, waiting: w.waiting, slow: w.slow, stale: w.stale}
		})
	}
}

// work is one subscription in the hands of this server.
type work struct {
	h        *Hooks
	last     context.Context // of what is sent already, a little longer than the server's
	webhook  Webhook
	position string
	skipped  int
	waiting  time.Time
	slow     bool
	stale    bool
}

// run looks for something to deliver. Only where there is, the lease is taken, and kept until nothing is left, an attempt
// fails, or somebody else changed the subscription.
func (w *work) run(ctx context.Context) {
	b, err := w.look(ctx)
	for err == nil && b.idle() && b.more && w.skipped < persistAfter {
		b, err = w.look(ctx)
	}
	if err != nil || b.idle() && w.skipped < persistAfter || !w.claim(ctx) {
		return
	}
	for {
		w.round(ctx, b)
		if w.webhook.Lease.Holder == "" {
			return
		}
		if b, err = w.look(ctx); err != nil {
			w.release(ctx)
			return
		}
	}
}

// look finds what to send next.
func (w *work) look(ctx context.Context) (*batch, error) {
	b, err := w.h.collect(ctx, &w.webhook, w.position)
	if err != nil {
		w.h.complain(ctx, "the feed was not read for a webhook", err)
		return nil, err
	}
	w.waiting = time.Time{}
	if len(b.messages) > 0 {
		w.waiting = b.messages[0].at
		return b, nil
	}
	if b.idle() {
		w.position = b.end
		w.skipped += b.skipped
	}
	return b, nil
}

// claim takes the lease.
func (w *work) claim(ctx context.Context) bool {
	now, err := w.h.options.Ledger.Now(ctx)
	if err != nil {
		w.h.complain(ctx, "webhooks wait for the ledger", err)
		return false
	}
	w.webhook.Lease = Lease{w.h.holder, now.Add(w.h.options.Lease)}
	if w.store(ctx) {
		return true
	}
	w.waiting = time.Time{} // somebody else's, perhaps
	return false
}

// release gives the lease back.
func (w *work) release(ctx context.Context) {
	w.webhook.Lease = Lease{}
	w.store(ctx)
}

// store writes the subscription; false where it is another's by now, or cannot be written: then this server's part is over.
func (w *work) store(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	done, err := w.h.swap(ctx, &w.webhook)
	if err != nil {
		w.h.complain(ctx, "what was delivered to a webhook was not noted, and will be sent again", err)
	}
	if !done || err != nil {
		w.webhook.Lease, w.stale = Lease{}, true
		w.h.nudge()
	}
	return done && err == nil
}

// round sends a batch and notes what became of it. The lease is given back where there is no more to do just now.
func (w *work) round(ctx context.Context, b *batch) {
	h := w.h
	delivered, f := w.send(ctx, b)
	now, err := h.options.Ledger.Now(context.WithoutCancel(ctx))
	if err != nil {
		now = h.options.Now() // a pause's length is no safety rule
	}
	w.webhook.advance(b, delivered, f, now, h.options.Jitter())
	w.position, w.skipped = w.webhook.Progress.Cursor, 0
	w.waiting = time.Time{}
	if first := slices.Index(delivered, false); first >= 0 {
		w.waiting = b.messages[first].at
	}
	w.webhook.Lease = Lease{}
	if f == nil && b.more && ctx.Err() == nil {
		w.webhook.Lease = Lease{h.holder, now.Add(h.options.Lease)}
	}
	if w.store(ctx) && w.webhook.Disabled != "" {
		h.metrics.disabled.WithLabelValues(w.webhook.Disabled).Inc()
		h.options.Log.Warn("a webhook is disabled", "webhook", w.webhook.ID, "organisation", w.webhook.Organisation, "why", w.webhook.Disabled,
			"problem", w.webhook.Progress.Problem, "failingSince", w.webhook.Progress.FailingSince)
	}
}

// send sends a batch: the messages of a site one after the other, those of several sites at the same time. After a failure,
// and when half of the lease is over, none is begun any more; which were delivered is told for each.
func (w *work) send(ctx context.Context, b *batch) (delivered []bool, f *failure) {
	delivered = make([]bool, len(b.messages))
	keys, err := w.webhook.keys(w.h.options.Seal, w.h.options.Now())
	if err != nil && len(b.messages) > 0 {
		w.h.options.Log.Error("a webhook's secret cannot be opened", "webhook", w.webhook.ID, "error", err)
		return delivered, &failure{problem: "the secret cannot be opened: rotate it"}
	}
	s := &sending{work: w, batch: b, keys: keys, delivered: delivered, until: time.Now().Add(w.h.options.Lease / 2), lane: w.h.lane(w.slow)}
	s.run(ctx)
	w.slow = s.slow.Load() || s.failure.Load() != nil
	return delivered, s.failure.Load()
}

// sending is a batch on its way.
type sending struct {
	*work
	batch     *batch
	keys      [][]byte
	delivered []bool // each by one goroutine alone
	until     time.Time
	lane      chan struct{}
	failure   atomic.Pointer[failure] // the first
	slow      atomic.Bool
}

func (s *sending) run(ctx context.Context) {
	var sites [][]int
	first := make(map[string]int)
	for i := range s.batch.messages {
		site := string(s.batch.messages[i].site)
		at, there := first[site]
		if !there {
			at = len(sites)
			first[site], sites = at, append(sites, nil)
		}
		sites[at] = append(sites[at], i)
	}
	var running sync.WaitGroup
	defer running.Wait()
	room := make(chan struct{}, s.h.options.Sites)
	for _, messages := range sites { // in order, so that what waits longest is sent first
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			for _, i := range messages {
				if !s.one(ctx, i) {
					return
				}
			}
		})
	}
}

// one sends a message, and says whether the next one may follow.
func (s *sending) one(ctx context.Context, i int) bool {
	select {
	case s.lane <- struct{}{}:
		defer func() { <-s.lane }()
	case <-ctx.Done():
		return false
	}
	if s.failure.Load() != nil || ctx.Err() != nil || time.Now().After(s.until) {
		return false
	}
	began := time.Now()
	_, f, err := s.h.sender.send(s.last, s.webhook.URL, s.keys, &s.batch.messages[i])
	took := time.Since(began)
	if err != nil {
		return false
	}
	s.h.metrics.attempted(f, took)
	if took > slowAnswer {
		s.slow.Store(true)
	}
	if f != nil {
		s.failure.CompareAndSwap(nil, f)
		return false
	}
	s.delivered[i] = true
	return true
}
