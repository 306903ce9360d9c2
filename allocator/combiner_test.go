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
		if !errors.Is(results[0], failure) || !errors.Is(results[1], ErrOutcomeUnknown) || results[2] != nil {
			t.Errorf("answers: %v", results)
		}
		if !slices.Equal(sent, []int{0, 2}) {
			t.Errorf("sent %v", sent)
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
