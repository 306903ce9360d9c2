package cockroachledger

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// LastEvent is the last number that was given. Events that have none yet come after it.
func (l *Ledger) LastEvent(ctx context.Context) (string, error) {
	var last int64
	err := l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, l.q.LastSeq).Scan(&last)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return strconv.FormatInt(last, 10), err
}

// Webhooks lists by id.
func (l *Ledger) Webhooks(ctx context.Context, after string, limit int) (found []allocator.WebhookRow, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, l.q.Webhooks, after, int64(limit))
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[allocator.WebhookRow])
		return err
	})
	return found, err
}

// Webhook reads one.
func (l *Ledger) Webhook(ctx context.Context, id string) (row allocator.WebhookRow, ok bool, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, l.q.Webhook, id)
		if err != nil {
			return err
		}
		found, err := oneWebhook(rows)
		if ok = found != nil; ok {
			row = *found
		}
		return err
	})
	return row, ok, err
}

// oneWebhook reads the only row; nil where there is none.
func oneWebhook(rows pgx.Rows) (*allocator.WebhookRow, error) {
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[allocator.WebhookRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return row, err
}

// SwapWebhook compares versions and sets.
func (l *Ledger) SwapWebhook(ctx context.Context, next allocator.WebhookRow) (done bool, err error) {
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, l.q.WebhookForUpdate, next.ID)
		if err != nil {
			return err
		}
		stored, err := oneWebhook(rows)
		if err != nil {
			return err
		}
		var write bool
		switch done, write = allocator.DecideWebhook(stored, next); {
		case !write:
			return nil
		case next.Details == "":
			_, err = tx.Exec(ctx, l.q.DeleteWebhook, next.ID)
		default:
			_, err = tx.Exec(ctx, l.q.PutWebhook, next.ID, next.Version, next.Details)
		}
		return err
	})
	return done && err == nil, err
}
