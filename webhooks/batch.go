package webhooks

import (
	"context"
	"slices"

	"muster/allocator"
)

const (
	// batchMessages is how many messages a subscription has in memory, and how many may be sent twice after a crash.
	batchMessages = 64
	// collectPages bounds how much of the feed one look goes through.
	collectPages = 16
)

// batch is what to send next to one subscription.
type batch struct {
	messages []message
	seen     []string // of Progress.Ahead, in order
	end      string   // the cursor to go on from when all is delivered
	skipped  int      // events that are not for this subscriber
	more     bool     // there is more to look at
}

// collect looks through the feed from a cursor on for what a subscription is to be sent.
func (h *Hooks) collect(ctx context.Context, w *Webhook, from string) (*batch, error) {
	b := &batch{end: from, more: true}
	for range collectPages {
		p, err := h.feed.after(ctx, b.end)
		if err != nil {
			return nil, err
		}
		if len(p.events) == 0 {
			b.more = false
			return b, nil
		}
		if h.fill(b, w, p) {
			return b, nil
		}
	}
	return b, nil
}

// fill adds what a page has for the subscription, and says whether the batch is full.
func (h *Hooks) fill(b *batch, w *Webhook, p *page) (full bool) {
	most := batchMessages
	if w.Progress.Failures > 0 {
		most = 1 // a try: more would be a burden on an endpoint that has trouble
	}
	wanted := p.own[w.Organisation]
	positions := len(wanted)
	if w.Organisation == "" {
		positions = len(p.events)
	}
	for n := range positions {
		i := n
		if w.Organisation != "" {
			i = wanted[n]
		}
		e := &p.events[i]
		if !w.wants(e) {
			continue
		}
		before := b.end
		if i > 0 {
			before = p.events[i-1].Cursor
		}
		switch {
		case len(b.messages) == most || len(b.messages)+len(b.seen) == batchMessages:
			b.end = before
			return true
		case slices.Contains(w.Progress.Ahead, e.Cursor):
			b.seen = append(b.seen, e.Cursor)
		default:
			b.messages = append(b.messages, h.message(w, e, before, len(b.seen)))
		}
	}
	b.skipped += len(p.events)
	b.end = p.next
	return false
}

// message is what an event is sent as.
func (h *Hooks) message(w *Webhook, e *allocator.Event, before string, seen int) message {
	event := *e
	return message{
		id: "msg_" + w.ID + "_" + e.Cursor, site: e.Site, cursor: e.Cursor, before: before, seen: seen, at: e.At,
		body: func() ([]byte, error) { return body(string(event.Type), event.At, h.options.View(event)) },
	}
}

// idle says that there is nothing in the batch to be sent or noted.
func (b *batch) idle() bool { return len(b.messages) == 0 && len(b.seen) == 0 }

// ahead is what of the events after the cursor is delivered, when that stands before the first message that was not; first is
// past the last message where all were. They all lie among as many events as a batch may have.
func (b *batch) ahead(before []string, first int, delivered []bool) (ahead []string) {
	passed := b.seen
	if first < len(b.messages) {
		passed = b.seen[:b.messages[first].seen]
	}
	for _, cursor := range before {
		if !slices.Contains(passed, cursor) {
			ahead = append(ahead, cursor)
		}
	}
	for i := first; i < len(b.messages); i++ {
		if delivered[i] {
			ahead = append(ahead, b.messages[i].cursor)
		}
	}
	return ahead
}
