package sqliteledger

import (
	"context"
	"strings"
	"sync"
	"time"
)

// clock dates transactions.
type clock struct {
	now func() time.Time

	mu   sync.Mutex
	last int64 // the latest instant given out
	open int64 // date of the open write transaction; 0: none is open
}

// next is an instant later than all before it. The first one since end dates the open transaction.
func (c *clock) next() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, c.now().UnixMicro())
	if c.open == 0 {
		c.open = c.last
	}
	return c.last
}

// end says that no write transaction is open any more.
func (c *clock) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = 0
}

// present is an instant no later than the date of any transaction that a reader might not see yet.
func (c *clock) present() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != 0 {
		return c.open
	}
	c.last = max(c.last, c.now().UnixMicro())
	return c.last
}

// restore continues after an earlier process.
func (c *clock) restore(last int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, last)
}

// restoreClock reads the latest date in the file. A ledger that was not migrated has none.
func (l *Ledger) restoreClock(ctx context.Context) error {
	var last int64
	err := l.readDB.QueryRowContext(ctx, `
		SELECT max(
			coalesce((SELECT at FROM events ORDER BY id DESC LIMIT 1), 0),
			coalesce((SELECT recorded_at FROM bookings ORDER BY id DESC LIMIT 1), 0),
			coalesce((SELECT max(ended_at) FROM bookings WHERE ended_at IS NOT NULL), 0))`).Scan(&last)
	if err != nil && !strings.Contains(err.Error(), "no such table") {
		return err
	}
	l.clock.restore(last)
	return nil
}

// Now is the process's clock, which is not let go back.
func (l *Ledger) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, unavailable(err)
	}
	return instant(l.clock.present()), nil
}

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
