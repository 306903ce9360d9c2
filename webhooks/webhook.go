package webhooks

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"muster/allocator"
)

// Settings are what a subscriber chooses.
type Settings struct {
	URL         string
	Types       []allocator.EventType // of events; none: all
	Sites       []allocator.SiteID    // none: all of the organisation's
	Description string
	Disabled    bool
	// After is the cursor of the feed after which to go on; "" leaves it, and a new subscription gets what happens from now on.
	After string `json:"-"`
}

// Why a subscription is disabled.
const (
	DisabledByOwner = "owner"   // until the owner enables it
	DisabledGone    = "gone"    // the endpoint answered 410
	DisabledFailing = "failing" // the last attempt of the schedule failed
)

// Webhook is a subscription as it is stored.
type Webhook struct {
	ID           string                `json:"id"`
	Version      int64                 `json:"-"`
	Organisation string                `json:"organisation,omitempty"` // whose sites' events; "": of all sites
	URL          string                `json:"url"`
	Types        []allocator.EventType `json:"types,omitempty"`
	Sites        []allocator.SiteID    `json:"sites,omitempty"`
	Description  string                `json:"description,omitempty"`
	Disabled     string                `json:"disabled,omitempty"` // why; "": it is enabled
	Secrets      []Secret              `json:"secrets"`            // the present one first
	CreatedAt    time.Time             `json:"createdAt"`
	CreatedBy    string                `json:"createdBy"`
	Print        string                `json:"print,omitempty"` // of the request that made it under an Idempotency-Key
	Since        time.Time             `json:"since"`           // what happened before is not sent, where Cursor does not say it
	Progress     Progress              `json:"progress"`
	Lease        Lease                 `json:"lease"`
}

// Progress is how far deliveries have come.
type Progress struct {
	Cursor string `json:"cursor"` // of the feed: all up to it is delivered, or not wanted
	// Ahead are the cursors of later events that are delivered already, because another site's event is waited for.
	Ahead         []string  `json:"ahead,omitempty"`
	Failures      int       `json:"failures,omitempty"` // attempts in a row at the event after Cursor
	FailingSince  time.Time `json:"failingSince,omitzero"`
	NextAttempt   time.Time `json:"nextAttempt,omitzero"`
	Problem       string    `json:"problem,omitempty"` // of the last attempt; "": none
	LastDelivered time.Time `json:"lastDelivered,omitzero"`
}

// Lease says which server delivers, and until when no other may.
type Lease struct {
	Holder string    `json:"holder,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// row is the subscription as the next version of itself.
func (w *Webhook) row() (allocator.WebhookRow, error) {
	details, err := json.Marshal(w)
	return allocator.WebhookRow{ID: w.ID, Version: w.Version + 1, Details: string(details)}, err
}

func decode(row allocator.WebhookRow) (w Webhook, err error) {
	if err := json.Unmarshal([]byte(row.Details), &w); err != nil {
		return w, fmt.Errorf("stored webhook %s: %w", row.ID, err)
	}
	w.Version = row.Version
	return w, nil
}

// clone shares nothing that either of the two changes.
func (w Webhook) clone() Webhook {
	w.Secrets, w.Progress.Ahead = slices.Clone(w.Secrets), slices.Clone(w.Progress.Ahead)
	return w
}

// belongsTo says whether a caller may see and change the subscription.
func (w *Webhook) belongsTo(caller allocator.Caller) bool {
	return !caller.Bound || caller.Organisation != "" && caller.Organisation == w.Organisation
}

// wants says whether an event of one of the subscriber's sites is to be sent.
func (w *Webhook) wants(e *allocator.Event) bool {
	return (len(w.Types) == 0 || slices.Contains(w.Types, e.Type)) && (len(w.Sites) == 0 || slices.Contains(w.Sites, e.Site)) &&
		!e.At.Before(w.Since)
}

// due says whether the named server may deliver now.
func (w *Webhook) due(now time.Time, holder string) bool {
	free := w.Lease.Holder == holder || !now.Before(w.Lease.Until)
	return w.Disabled == "" && free && !now.Before(w.Progress.NextAttempt)
}

// apply takes over what the owner chooses. Whoever enables a subscription, or moves it, has its next attempt at once.
func (w *Webhook) apply(s Settings, now time.Time) {
	w.URL, w.Types, w.Sites, w.Description = s.URL, s.Types, s.Sites, s.Description
	switch {
	case !s.Disabled:
		w.Disabled = ""
	case w.Disabled == "":
		w.Disabled = DisabledByOwner
	}
	if s.After != "" {
		w.Progress.Cursor, w.Progress.Ahead, w.Since = s.After, nil, time.Time{}
	}
	w.Progress.Failures, w.Progress.FailingSince, w.Progress.NextAttempt = 0, time.Time{}, time.Time{}
	w.Lease = Lease{} // whoever delivers finds that the version is another
	w.dropSecrets(now)
}
