package webhooks

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/allocator"
	"muster/publicweb"
)

// Ledger is what of a ledger this package needs: see allocator.Ledger.
type Ledger interface {
	LastEvent(ctx context.Context) (cursor string, err error)
	Webhooks(ctx context.Context, after string, limit int) ([]allocator.WebhookRow, error)
	Webhook(ctx context.Context, id string) (row allocator.WebhookRow, ok bool, err error)
	SwapWebhook(ctx context.Context, next allocator.WebhookRow) (bool, error)
	Now(ctx context.Context) (time.Time, error)
}

// Options configure Hooks. Ledger, Source, View and Seal are needed; the zero value of another field means its default.
type Options struct {
	Ledger Ledger
	Source Source
	View   func(e allocator.Event) any // what an event is sent as
	Seal   cipher.AEAD                 // encrypts secrets in the ledger

	AllowPrivate bool              // http, and addresses that are not of the public internet; never in production
	Transport    http.RoundTripper // default: the public internet, as AllowPrivate says

	PerOrganisation int           // subscriptions that an organisation may have; default 50
	Sites           int           // whose messages are sent to one endpoint at the same time; default 8
	PollEvery       time.Duration // how often the feed is looked at where it had nothing new; default 1 s
	RefreshEvery    time.Duration // how often changes by other servers are noticed; default 5 s
	Lease           time.Duration // how long another server waits for one that died; default 90 s

	Log        *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: metrics are kept nowhere
	Now        func() time.Time      // for the timestamps of attempts; default time.Now
	Jitter     func() float64        // within 0 and 1; default random
}

func (o Options) withDefaults() Options {
	o.PerOrganisation, o.Sites = cmp.Or(o.PerOrganisation, 50), cmp.Or(o.Sites, 8)
	o.PollEvery, o.RefreshEvery = cmp.Or(o.PollEvery, time.Second), cmp.Or(o.RefreshEvery, 5*time.Second)
	o.Lease = cmp.Or(o.Lease, 90*time.Second)
	if o.Transport == nil {
		transport := publicweb.Transport(o.AllowPrivate, AllowPrivateFlag)
		transport.MaxIdleConnsPerHost, transport.MaxIdleConns = o.Sites, fastSends
		o.Transport = transport
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = mathrand.Float64
	}
	return o
}

// AllowPrivateFlag is how an operator allows private addresses.
const AllowPrivateFlag = "--allow-private-webhooks"

// Hooks keeps subscriptions and delivers to them. Safe for concurrent use.
type Hooks struct {
	options Options
	feed    *feed
	sender  *sender
	metrics *metrics
	holder  string // this server's name in leases
	fast    chan struct{}
	slow    chan struct{}
	nudged  chan struct{} // something changed here: the ledger is worth a look

	mu    sync.Mutex
	known map[string]*known
}

const (
	// fastSends and slowSends bound the messages under way. An endpoint that failed or took long the last time is in the slow
	// lane, so however many of them there are, they keep nobody else waiting.
	fastSends = 512
	slowSends = 128
	// slowAnswer is how long an answer may take without its endpoint counting as slow.
	slowAnswer = 2 * time.Second
)

// New checks the options and reports every fault. Nothing is delivered before Run.
func New(o Options) (*Hooks, error) {
	var faults []error
	need := func(ok bool, what string) {
		if !ok {
			faults = append(faults, errors.New("webhooks: "+what))
		}
	}
	need(o.Ledger != nil, "no ledger")
	need(o.Source != nil, "no feed")
	need(o.View != nil, "no way to write events")
	need(o.Seal != nil, "no cipher for secrets")
	o = o.withDefaults()
	need(o.PerOrganisation > 0 && o.Sites > 0 && o.PollEvery > 0 && o.RefreshEvery > 0, "a bound is not positive")
	need(o.Lease >= 3*answerTime, fmt.Sprintf("a lease of %v is shorter than three answers may take", o.Lease))
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	h := &Hooks{
		options: o, feed: newFeed(o.Source, o.PollEvery/2, o.Now), sender: newSender(o.Transport, o.Now), holder: newName(),
		fast: make(chan struct{}, fastSends), slow: make(chan struct{}, slowSends), nudged: make(chan struct{}, 1),
		known: make(map[string]*known),
	}
	var err error
	h.metrics, err = newMetrics(o.Registerer, h)
	return h, err
}

var nameEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newName makes a name that nobody else has.
func newName() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return nameEncoding.EncodeToString(b[:])
}

// nudge makes the ledger be looked at soon.
func (h *Hooks) nudge() {
	select {
	case h.nudged <- struct{}{}:
	default:
	}
}

// all reads every subscription.
func (h *Hooks) all(ctx context.Context) (all []Webhook, err error) {
	const page = 500
	for after := ""; ; {
		rows, err := h.options.Ledger.Webhooks(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			after = row.ID
			w, err := decode(row)
			if err != nil { // one that is damaged keeps no other from being delivered
				h.options.Log.Error("a webhook cannot be read", "error", err)
				continue
			}
			all = append(all, w)
		}
		if len(rows) < page {
			return all, nil
		}
	}
}

// swap writes the next version of a subscription; false where somebody else did before.
func (h *Hooks) swap(ctx context.Context, w *Webhook) (bool, error) {
	row, err := w.row()
	if err != nil {
		return false, err
	}
	done, err := h.options.Ledger.SwapWebhook(ctx, row)
	for try := 1; try < swapTries && errors.Is(err, allocator.ErrOutcomeUnknown); try++ {
		done, err = h.options.Ledger.SwapWebhook(ctx, row)
	}
	if done {
		w.Version++
	}
	return done, err
}

// swapTries is how often a swap is sent whose outcome is unknown: the next one tells.
const swapTries = 5

// lane is where an endpoint's messages wait for their turn.
func (h *Hooks) lane(slow bool) chan struct{} {
	if slow {
		return h.slow
	}
	return h.fast
}
