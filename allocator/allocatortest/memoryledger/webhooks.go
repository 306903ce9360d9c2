package memoryledger

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"muster/allocator"
)

// LastEvent counts the events.
func (l *Ledger) LastEvent(ctx context.Context) (string, error) {
	if err := l.enter(ctx); err != nil {
		return "", err
	}
	defer l.leave()
	return strconv.Itoa(len(l.events)), nil
}

// Webhooks lists by id.
func (l *Ledger) Webhooks(ctx context.Context, after string, limit int) ([]allocator.WebhookRow, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	var page []allocator.WebhookRow
	for _, id := range slices.Sorted(maps.Keys(l.webhooks)) {
		if id > after && len(page) < limit {
			page = append(page, l.webhooks[id])
		}
	}
	return page, nil
}

// Webhook reads one.
func (l *Ledger) Webhook(ctx context.Context, id string) (allocator.WebhookRow, bool, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.WebhookRow{}, false, err
	}
	defer l.leave()
	row, ok := l.webhooks[id]
	return row, ok, nil
}

// SwapWebhook compares versions and sets.
func (l *Ledger) SwapWebhook(ctx context.Context, next allocator.WebhookRow) (bool, error) {
	if err := l.enter(ctx); err != nil {
		return false, err
	}
	defer l.leave()
	var present *allocator.WebhookRow
	if stored, ok := l.webhooks[next.ID]; ok {
		present = &stored
	}
	done, write := allocator.DecideWebhook(present, next)
	if write && next.Details == "" {
		delete(l.webhooks, next.ID)
	} else if write {
		l.webhooks[next.ID] = next
	}
	return done, nil
}
