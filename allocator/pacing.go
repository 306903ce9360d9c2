package allocator

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// pacer lets time pass, by a little less than asked: up to a tenth, drawn anew each time. Servers that were started together,
// or that failed together, drift apart by it instead of asking the same store the same things at the same moments for ever.
type pacer struct{ random io.Reader }

// jittered is d less up to a tenth.
func (p pacer) jittered(d time.Duration) time.Duration {
	return d - time.Duration(p.draw()%uint64(d/10+1))
}

func (p pacer) draw() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(p.random, b[:]); err != nil {
		_, _ = rand.Read(b[:]) // it never fails
	}
	return binary.BigEndian.Uint64(b[:])
}

// bounded bounds a context, where it is not bounded as closely already.
func bounded(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= most {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, most)
}

// name is one that nobody else has.
func (p pacer) name() string { return fmt.Sprintf("%016x%016x", p.draw(), p.draw()) }

// wait pauses, or returns the error of a context that ended.
func (p pacer) wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(p.jittered(pause))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// every calls work at once and then each period after the last call ended, until ctx ends.
func (p pacer) every(ctx context.Context, period time.Duration, work func(ctx context.Context)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			work(ctx)
			timer.Reset(p.jittered(period))
		}
	}
}
