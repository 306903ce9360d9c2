package webhooks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"muster/allocator"
	"muster/publicweb"
)

// MaxURLBytes is the longest URL that an endpoint may have.
const MaxURLBytes = 2000

// CheckURL says what is wrong with the URL of an endpoint; "": nothing. Where its host's name leads to is seen when it is
// called.
func (h *Hooks) CheckURL(text string) (fault string) {
	u, err := url.Parse(text)
	switch {
	case len(text) > MaxURLBytes:
		return "is too long"
	case err != nil || publicweb.CheckURL(u) != nil || u.Hostname() == "":
		return "must be an https address without credentials"
	case u.Fragment != "":
		return "must not have a fragment"
	case h.options.AllowPrivate:
		return ""
	case u.Scheme != "https":
		return "must be an https address"
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil && !publicweb.Public(address) {
		return "must be of the public internet"
	}
	return ""
}

var errUnknown = allocator.Refuse(allocator.CodeWebhookUnknown, "no such webhook")

// List lists what a caller may see, by id.
func (h *Hooks) List(ctx context.Context, caller allocator.Caller) ([]Webhook, error) {
	all, err := h.all(ctx)
	return slices.DeleteFunc(all, func(w Webhook) bool { return !w.belongsTo(caller) }), allocator.LedgerError(err)
}

// Get reads one.
func (h *Hooks) Get(ctx context.Context, caller allocator.Caller, id string) (Webhook, error) {
	w, found, err := h.find(ctx, id)
	if err == nil && (!found || !w.belongsTo(caller)) {
		err = errUnknown
	}
	return w, allocator.LedgerError(err)
}

// find reads a subscription by its id.
func (h *Hooks) find(ctx context.Context, id string) (w Webhook, found bool, err error) {
	row, found, err := h.options.Ledger.Webhook(ctx, id)
	if err != nil || !found {
		return w, false, err
	}
	w, err = decode(row)
	return w, err == nil, err
}

const idPrefix = "wh_"

// Creation asks for a new subscription.
type Creation struct {
	Caller         allocator.Caller
	IdempotencyKey string // "": none
	Settings
}

// Create makes a subscription and tells its secret. Of an organisation's, there may be so many only. Repeated with the same
// key, it answers the same one.
func (h *Hooks) Create(ctx context.Context, req Creation) (w Webhook, secret string, err error) {
	id, mark := idPrefix+newName(), ""
	if req.IdempotencyKey != "" {
		id, mark = req.names()
		made, found, err := h.find(ctx, id)
		switch {
		case err != nil:
			return w, "", allocator.LedgerError(err)
		case found && made.Print != mark:
			return w, "", allocator.Refuse(allocator.CodeIdempotencyMismatch, "the key was used for another webhook")
		case found:
			return h.withSecret(made)
		}
	}
	if w, err = h.draft(ctx, id, req); err != nil {
		return w, "", allocator.LedgerError(err)
	}
	w.Print = mark
	secret = w.addSecret(h.options.Seal, w.CreatedAt)
	done, err := h.swap(ctx, &w)
	if err != nil {
		return w, "", allocator.LedgerError(err)
	}
	if !done { // the same request is running beside this one
		return w, "", allocator.Refuse(allocator.CodeInProgress, "the same request is still running")
	}
	h.nudge()
	return w, secret, nil
}

// openTransactions is how old an event may be that is recorded only now: a transaction is dated when it begins.
const openTransactions = 15 * time.Second

// draft is a new subscription without a secret.
func (h *Hooks) draft(ctx context.Context, id string, req Creation) (w Webhook, err error) {
	mine, err := h.List(ctx, req.Caller)
	if err != nil {
		return w, err
	}
	if req.Caller.Bound && len(mine) >= h.options.PerOrganisation {
		return w, allocator.Refuse(allocator.CodeWebhookLimit, "there are %d webhooks already, and may be no more", len(mine))
	}
	now, err := h.options.Ledger.Now(ctx)
	if err != nil {
		return w, err
	}
	w = Webhook{ID: id, CreatedAt: now, CreatedBy: req.Caller.Actor, Since: now.Add(-openTransactions)}
	if req.Caller.Bound {
		w.Organisation = req.Caller.Organisation
	}
	if w.Progress.Cursor, err = h.options.Ledger.LastEvent(ctx); err == nil {
		err = h.checkCursor(ctx, req.After)
	}
	w.apply(req.Settings, now)
	return w, err
}

// checkCursor refuses what is not a cursor of the feed.
func (h *Hooks) checkCursor(ctx context.Context, after string) error {
	if after == "" {
		return nil
	}
	_, _, err := h.options.Source.Events(ctx, after, 1)
	return err
}

// names are the id that a request has under its key, and what it asks for.
func (c *Creation) names() (id, mark string) {
	name := sha256.Sum256([]byte(c.Caller.Client + "\x00" + c.IdempotencyKey))
	asked, _ := json.Marshal(struct {
		Settings
		After string
	}{c.Settings, c.After}) // plain data
	sum := sha256.Sum256(asked)
	return idPrefix + nameEncoding.EncodeToString(name[:16]), hex.EncodeToString(sum[:16])
}

// withSecret tells a subscription's present secret again.
func (h *Hooks) withSecret(w Webhook) (Webhook, string, error) {
	keys, err := w.keys(h.options.Seal, w.CreatedAt)
	if err != nil {
		return w, "", err
	}
	return w, written(keys[0]), nil
}

// Change replaces what the owner chooses. Whoever enables a webhook has what was missed since delivered too, unless After
// says where to go on.
func (h *Hooks) Change(ctx context.Context, caller allocator.Caller, id string, s Settings) (Webhook, error) {
	if err := h.checkCursor(ctx, s.After); err != nil {
		return Webhook{}, allocator.LedgerError(err)
	}
	return h.change(ctx, caller, id, func(w *Webhook, now time.Time) { w.apply(s, now) })
}

// Rotate makes a new secret. The one before goes on signing for a day.
func (h *Hooks) Rotate(ctx context.Context, caller allocator.Caller, id string) (w Webhook, secret string, err error) {
	w, err = h.change(ctx, caller, id, func(w *Webhook, now time.Time) {
		w.Lease = Lease{}
		secret = w.addSecret(h.options.Seal, now)
	})
	return w, secret, err
}

// change changes a subscription, again where somebody else was faster.
func (h *Hooks) change(ctx context.Context, caller allocator.Caller, id string, what func(w *Webhook, now time.Time)) (Webhook, error) {
	for {
		w, err := h.Get(ctx, caller, id)
		if err != nil {
			return w, err
		}
		now, err := h.options.Ledger.Now(ctx)
		if err != nil {
			return w, allocator.LedgerError(err)
		}
		what(&w, now)
		if done, err := h.swap(ctx, &w); done || err != nil {
			h.nudge()
			return w, allocator.LedgerError(err)
		}
	}
}

// Remove ends a subscription.
func (h *Hooks) Remove(ctx context.Context, caller allocator.Caller, id string) error {
	for {
		w, err := h.Get(ctx, caller, id)
		if err != nil {
			return err
		}
		done, err := h.options.Ledger.SwapWebhook(ctx, allocator.WebhookRow{ID: id, Version: w.Version + 1})
		if done || err != nil {
			h.nudge()
			return allocator.LedgerError(err)
		}
	}
}

// TestType is the type of what Test sends.
const TestType = "webhook.test"

// Attempt is what became of a test.
type Attempt struct {
	Delivered bool
	Status    int // of the answer; 0: there was none
	Took      time.Duration
	Problem   string
}

// Test sends one message of TestType at once, whether the webhook is enabled or not. It changes nothing, and is not repeated.
func (h *Hooks) Test(ctx context.Context, caller allocator.Caller, id string) (a Attempt, err error) {
	w, err := h.Get(ctx, caller, id)
	if err != nil {
		return a, err
	}
	keys, err := w.keys(h.options.Seal, h.options.Now())
	if err != nil {
		return a, err
	}
	select {
	case h.slow <- struct{}{}:
		defer func() { <-h.slow }()
	case <-ctx.Done():
		return a, allocator.Refuse(allocator.CodeOverloaded, "too many webhooks are being tried")
	}
	now := h.options.Now()
	m := message{id: "msg_" + w.ID + "_test_" + newName(), body: func() ([]byte, error) {
		return body(TestType, now, map[string]string{"webhookId": w.ID})
	}}
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	status, f, err := h.sender.send(ctx, w.URL, keys, &m)
	a = Attempt{Delivered: f == nil && err == nil, Status: status, Took: h.options.Now().Sub(now)}
	switch {
	case err != nil:
		a.Problem = "the endpoint did not answer in time"
	case f != nil:
		a.Problem = f.problem
	}
	return a, nil
}

// testTime is how long a test waits, less than the request that asks for it may take.
const testTime = 10 * time.Second
