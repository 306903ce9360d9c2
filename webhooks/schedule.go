package webhooks

import (
	"slices"
	"time"
)

// retries are the pauses after the first failed attempt, the second, and so on, as the specification proposes them: three
// days and four hours in all. An attempt that fails after the last one ends the subscription's deliveries.
var retries = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour,
	24 * time.Hour,
}

// longestRetryAfter is the longest pause that an endpoint may ask for.
const longestRetryAfter = 24 * time.Hour

// failure is why a message was not delivered.
type failure struct {
	problem    string // for the owner: no address, and nothing that the endpoint said but its status
	gone       bool
	retryAfter time.Duration // that the endpoint asked for
}

// pause is how long to wait after so many failed attempts in a row: the schedule's pause and up to a fifth more, so that
// endpoints that failed together are not tried together, or longer where the endpoint asks for it. jitter is within 0 and 1.
func pause(failures int, f *failure, jitter float64) (wait time.Duration, over bool) {
	if f.gone || failures > len(retries) {
		return 0, true
	}
	wait = retries[failures-1]
	wait += time.Duration(jitter * float64(wait) / 5)
	return max(wait, min(f.retryAfter, longestRetryAfter)), false
}

// advance takes over what became of a batch: which of its messages were delivered, and why another was not; nil: nothing
// failed, though some may not have been tried.
func (w *Webhook) advance(b *batch, delivered []bool, f *failure, now time.Time, jitter float64) {
	p, before := &w.Progress, w.Progress.Cursor
	first := slices.Index(delivered, false)
	if first < 0 {
		first, p.Cursor = len(delivered), b.end
	} else {
		p.Cursor = b.messages[first].before
	}
	p.Ahead = b.ahead(p.Ahead, first, delivered)
	if slices.Contains(delivered, true) {
		p.LastDelivered = now
	}
	if f == nil {
		if p.Cursor != before {
			p.Failures, p.FailingSince, p.Problem = 0, time.Time{}, ""
		}
		p.NextAttempt = time.Time{}
		return
	}
	if p.Failures++; first > 0 || p.Failures == 1 { // another event than the one that failed before
		p.Failures, p.FailingSince = 1, now
	}
	p.Problem = f.problem
	wait, over := pause(p.Failures, f, jitter)
	p.NextAttempt = now.Add(wait)
	switch {
	case f.gone:
		w.Disabled = DisabledGone
	case over:
		w.Disabled = DisabledFailing
	}
}
