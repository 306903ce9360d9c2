package allocator

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCombinerGathers: while one call is under way the next batch forms, in order, each with its own answer.
func TestCombinerGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		c := newCombiner(pacer{rand.Reader}, 100, 16, time.Second, func(_ context.Context, items []int) ([]int, error) {
			batches = append(batches, slices.Clone(items))
			time.Sleep(10 * time.Millisecond)
			answers := make([]int, len(items))
			for i, n := range items {
				answers[i] = n * n
			}
			return answers, nil
		})
		c.start()
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if got, err := c.submit(t.Context(), i); err != nil || got != i*i {
					t.Errorf("%d: %d, %v", i, got, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		c.end()
		var sizes []int
		next := 0
		for _, b := range batches {
			sizes = append(sizes, len(b))
			for _, n := range b {
				if n != next {
					t.Fatalf("out of order: %v", batches)
				}
				next++
			}
		}
		if !slices.Equal(sizes, []int{1, 16, 16, 7}) {
			t.Errorf("batches of %v", sizes)
		}
	})
}

// TestCombinerBounds: a full queue refuses at once, a failed call fails its items only, who gave up before is not sent.
func TestCombinerBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan error)
		var sent []int
		c := newCombiner(pacer{rand.Reader}, 2, 8, time.Second, func(_ context.Context, items []int) ([]int, error) {
			sent = append(sent, items...)
			return make([]int, len(items)), <-gate
		})
		c.start()
		results := make([]error, 4)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 3 {
			wg.Go(func() {
				own := t.Context()
				if i == 1 {
					own = ctx
				}
				_, results[i] = c.submit(own, i)
			})
			synctest.Wait()
		}
		_, results[3] = c.submit(t.Context(), 3)
		if !errors.Is(results[3], error(errNotStarted)) {
			t.Errorf("a full queue answers %v", results[3])
		}
		cancel()
		synctest.Wait()
		failure := errors.New("broken")
		gate <- failure
		gate <- nil
		wg.Wait()
		c.end()
		if !errors.Is(results[0], failure) || !errors.Is(results[1], errTooLate) || results[2] != nil {
			t.Errorf("answers: %v", results)
		}
		if !slices.Equal(sent, []int{0, 2}) {
			t.Errorf("sent %v", sent)
		}
	})
}

// TestCombinerOverloaded: where twice as much comes as goes, what goes is answered in time, and nobody is told that the outcome
// is unknown of what was never sent.
func TestCombinerOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, takes, patience = 10, 400 * time.Millisecond, 3 * time.Second
		sent := 0
		c := newCombiner(pacer{rand.Reader}, 1000, most, 10*time.Second, func(_ context.Context, items []int) ([]int, error) {
			sent += len(items)
			time.Sleep(takes)
			return items, nil
		})
		c.start()
		var wg sync.WaitGroup
		var answered, late, unknown int
		var mu sync.Mutex
		began := time.Now()
		for i := range 1000 { // over 20 s: room for 50 calls of 10
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err := c.submit(ctx, i)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					answered++
				case errors.Is(err, errTooLate):
					late++
				default:
					unknown++
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
		wg.Wait()
		c.end()
		room := int(time.Since(began)/takes) * most
		if sent != answered || unknown > 0 || answered < room*9/10 || answered+late != 1000 {
			t.Errorf("%d sent, %d answered of room for %d, %d late, %d unknown", sent, answered, room, late, unknown)
		}
	})
}

// TestCombinerFindsOut: calls that took longer than anybody waits are made again, one item each, until they are fast.
func TestCombinerFindsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := 5 * time.Second
		c := newCombiner(pacer{rand.Reader}, 1000, 10, 10*time.Second, func(_ context.Context, items []int) ([]int, error) {
			time.Sleep(takes)
			return items, nil
		})
		c.start()
		try := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.submit(ctx, 1)
			return err
		}
		if err := try(); !errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("a call of 5 s within 1 s: %v", err)
		}
		synctest.Wait()
		takes = 10 * time.Millisecond
		time.Sleep(5 * time.Second)
		for range 10 {
			var wg sync.WaitGroup
			wg.Go(func() { _ = try() })
			wg.Go(func() { _ = try() })
			wg.Wait()
		}
		if err := try(); err != nil {
			t.Errorf("fast again: %v", err)
		}
		c.end()
	})
}

// TestCombinerDelivers: what must go goes, also when nobody waits for it any more.
func TestCombinerDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newCombiner(pacer{rand.Reader}, 10, 10, 10*time.Second, func(_ context.Context, items []int) ([]int, error) {
			sent += len(items)
			time.Sleep(time.Second)
			return items, nil
		})
		c.start()
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if _, err := c.deliver(ctx, i); !errors.Is(err, ErrOutcomeUnknown) {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		wg.Wait()
		c.end()
		if sent != 3 {
			t.Errorf("%d of 3 were sent", sent)
		}
	})
}

// TestCombinerFlushes: what waits when the end comes still gets its answer.
func TestCombinerFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCombiner(pacer{rand.Reader}, 10, 2, time.Second, func(_ context.Context, items []int) ([]int, error) {
			time.Sleep(time.Millisecond)
			return items, nil
		})
		c.start()
		var wg sync.WaitGroup
		for i := range 7 {
			wg.Go(func() {
				if got, err := c.submit(t.Context(), i); err != nil || got != i {
					t.Errorf("%d: %d, %v", i, got, err)
				}
			})
		}
		synctest.Wait()
		c.end()
		wg.Wait()
	})
}
