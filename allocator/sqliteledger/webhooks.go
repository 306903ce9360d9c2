package sqliteledger

import (
	"context"
	"strconv"

	"muster/allocator"
)

// LastEvent is the last id that was given.
func (l *Ledger) LastEvent(ctx context.Context) (cursor string, err error) {
	err = l.read(ctx, func(t *tx) error {
		next, err := t.nextID()
		cursor = strconv.FormatInt(next-1, 10)
		return err
	})
	return cursor, err
}

// Webhooks lists by id.
func (l *Ledger) Webhooks(ctx context.Context, after string, limit int) (found []allocator.WebhookRow, err error) {
	err = l.read(ctx, func(t *tx) error {
		return t.each("SELECT webhook_id, version, details FROM webhooks WHERE webhook_id > ? ORDER BY webhook_id LIMIT ?",
			[]any{after, limit}, func(scan func(into ...any) error) error {
				var row allocator.WebhookRow
				err := scan(&row.ID, &row.Version, &row.Details)
				found = append(found, row)
				return err
			})
	})
	return found, err
}

// Webhook reads one.
func (l *Ledger) Webhook(ctx context.Context, id string) (row allocator.WebhookRow, ok bool, err error) {
	err = l.read(ctx, func(t *tx) (err error) {
		row, ok, err = t.webhook(id)
		return err
	})
	return row, ok, err
}

func (t *tx) webhook(id string) (row allocator.WebhookRow, ok bool, err error) {
	ok, err = t.one("SELECT webhook_id, version, details FROM webhooks WHERE webhook_id = ?", []any{id}, &row.ID, &row.Version, &row.Details)
	return row, ok, err
}

// SwapWebhook compares versions and sets.
func (l *Ledger) SwapWebhook(ctx context.Context, next allocator.WebhookRow) (done bool, err error) {
	err = l.write(ctx, func(t *tx) error {
		var present *allocator.WebhookRow
		stored, found, err := t.webhook(next.ID)
		if err != nil {
			return err
		}
		if found {
			present = &stored
		}
		var write bool
		switch done, write = allocator.DecideWebhook(present, next); {
		case !write:
			return nil
		case next.Details == "":
			return t.exec("DELETE FROM webhooks WHERE webhook_id = ?", next.ID)
		}
		return t.exec(`INSERT INTO webhooks (webhook_id, version, changed_at, details) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET version = excluded.version, changed_at = excluded.changed_at, details = excluded.details`,
			next.ID, next.Version, t.now, next.Details)
	})
	return done && err == nil, err
}
