package installation

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"muster/allocator"
)

// request is one request of the contract, to be sent to any server, as often as it takes.
type request struct {
	method, path string
	body         any
	header       map[string]string
}

// answer is a reply that was read whole, or why there is none.
type answer struct {
	status     int
	code       allocator.Code // of a problem; "" on success
	body       []byte
	retryAfter time.Duration
	err        error
}

// definite says whether the contract lets nobody expect another answer to the same request.
func (a answer) definite() bool {
	switch {
	case a.err != nil, a.status == http.StatusTooManyRequests, a.status >= 500, a.status == http.StatusRequestTimeout:
		return false
	}
	return a.code != allocator.CodeInProgress
}

func (a answer) ok() bool { return a.err == nil && a.status/100 == 2 }

// decode reads the body of a success.
func (a answer) decode(into any) error { return json.Unmarshal(a.body, into) }

// send sends a request once, to one server.
func send(ctx context.Context, client *http.Client, base string, r request) answer {
	var content io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return answer{err: err}
		}
		content = bytes.NewReader(data)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, base+r.path, content)
	if err != nil {
		return answer{err: err}
	}
	if content != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		q.Header.Set(name, value)
	}
	reply, err := client.Do(q)
	if err != nil {
		return answer{err: err}
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	a := answer{status: reply.StatusCode, body: data, err: err}
	if seconds, err := strconv.Atoi(reply.Header.Get("Retry-After")); err == nil {
		a.retryAfter = time.Duration(seconds) * time.Second
	}
	if a.status >= 400 {
		var problem struct{ Code allocator.Code }
		if err := json.Unmarshal(data, &problem); err == nil {
			a.code = problem.Code
		}
	}
	return a
}

// caller sends requests as the contract asks clients to: again on silence, 429 and 503, to any server, until the answer is
// definite. One goroutine's at a time.
type caller struct {
	crowd *Crowd
	rng   *rand.Rand
	only  string // the one server to send to; "": any
}

// insist sends a request until its answer is definite or ctx ends, and now and then sends a copy beside it or long after.
func (c *caller) insist(ctx context.Context, r request) answer {
	copies := 1
	if c.only == "" && c.rng.Float64() < c.crowd.options.Twins {
		copies = 2
	}
	if copies == 1 {
		return c.repeat(ctx, r, c.rng)
	}
	answers := make(chan answer, copies)
	for range copies {
		rng := rand.New(rand.NewPCG(c.rng.Uint64(), c.rng.Uint64()))
		go func() { answers <- c.repeat(ctx, r, rng) }()
	}
	var all []answer
	for range copies {
		all = append(all, <-answers)
	}
	// A success stands: its twin may have met a moment in which the same was refused.
	if i := slices.IndexFunc(all, answer.ok); i >= 0 {
		c.crowd.compareTwins(r, all)
		return all[i]
	}
	if i := slices.IndexFunc(all, func(a answer) bool { return !a.definite() }); i >= 0 {
		return all[i]
	}
	return all[0]
}

func (c *caller) repeat(ctx context.Context, r request, rng *rand.Rand) answer {
	for {
		a := c.try(ctx, r, rng)
		if a.definite() || ctx.Err() != nil {
			return a
		}
		c.crowd.countRepeat(a)
		wait := max(a.retryAfter, 50*time.Millisecond) + time.Duration(rng.IntN(200))*time.Millisecond
		pause(ctx, wait)
	}
}

// try sends once, with a patience of its own: impatient clients are what makes replies get lost.
func (c *caller) try(ctx context.Context, r request, rng *rand.Rand) answer {
	limit := time.Duration(1+rng.IntN(9)) * time.Second
	one, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	base := c.only
	if base == "" {
		base = c.crowd.bases[rng.IntN(len(c.crowd.bases))]
	}
	return send(one, c.crowd.client, base, r)
}

// echo sends a request once more, after a while, as a network that repeats and reorders would, and hands its answer over.
func (c *caller) echo(ctx context.Context, r request, heard func(answer)) {
	if c.only != "" || c.rng.Float64() >= c.crowd.options.Echoes {
		return
	}
	rng := rand.New(rand.NewPCG(c.rng.Uint64(), c.rng.Uint64()))
	c.crowd.echoes.Go(func() {
		pause(ctx, time.Duration(rng.IntN(2000))*time.Millisecond)
		if a := c.try(ctx, r, rng); a.definite() {
			heard(a)
		}
	})
}

// pause waits, or not, where ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
