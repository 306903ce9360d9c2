// Package faults decorates inventories and ledgers with what networks and servers do to calls: lose them before or after
// their effect, delay them, repeat them.
package faults

import (
	"context"
	"fmt"
	"time"

	"muster/allocator"
)

// Plan says what happens to one call.
type Plan struct {
	Before error         // the call never arrives
	After  error         // its effect happens, its answer is lost
	Twice  bool          // it arrives twice, one right after the other
	Delay  time.Duration // before it arrives
	Late   time.Duration // with After: it arrives so much later, when its caller has long gone
	Gone   bool          // its server has crashed: nothing of it arrives any more
}

// Planner plans each call by the name of its method. It must be safe for concurrent use.
type Planner func(method string) Plan

// Call is one call of a port on its way.
type Call struct {
	Method string
	Args   []any // but the context
	// Do carries it out. It may be called any number of times, late ones included.
	Do func(ctx context.Context) (any, error)
}

// Carrier takes a call to where it is carried out, or not, and brings its answer, which must be one of Do's or an error. It
// must be safe for concurrent use.
type Carrier func(ctx context.Context, call Call) (any, error)

type what = []any

// run carries out one call under its plan, or hands it to a carrier.
func run[T any](ctx context.Context, plan Planner, carry Carrier, method string, args []any, call func(ctx context.Context) (T, error)) (T, error) {
	var none T
	if carry != nil {
		value, err := carry(ctx, Call{Method: method, Args: args, Do: func(ctx context.Context) (any, error) { return call(ctx) }})
		if err != nil {
			return none, err
		}
		return value.(T), nil
	}
	p := plan(method)
	if p.Gone {
		<-ctx.Done()
		return none, fmt.Errorf("%s by a dead server: %w", method, allocator.ErrUnavailable)
	}
	if p.Delay > 0 {
		timer := time.NewTimer(p.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return none, fmt.Errorf("%s: %w (%w)", method, allocator.ErrUnavailable, ctx.Err())
		}
	}
	if p.Before != nil {
		return none, fmt.Errorf("%s lost: %w", method, p.Before)
	}
	if p.Late > 0 && p.After != nil {
		go func() {
			<-time.After(p.Late)
			_, _ = call(context.WithoutCancel(ctx))
		}()
		return none, fmt.Errorf("%s delayed: %w", method, p.After)
	}
	value, err := call(ctx)
	if p.Twice && err == nil {
		if again, secondErr := call(ctx); secondErr == nil {
			value = again
		}
	}
	if p.After != nil {
		return none, fmt.Errorf("%s answered nothing: %w", method, p.After)
	}
	return value, err
}
