package api

import (
	"math"
	"strconv"
	"time"

	"muster/allocator"
	"muster/api/callers"
)

// limiter bounds how often each key acts.
type limiter struct {
	rate  Rate
	meter *callers.Meter
}

func newLimiter(r Rate) *limiter { return &limiter{r, callers.NewMeter(r.Every, 1<<14)} }

// allow takes one action of the key, if there is one left; remaining is how many are after that, and retry how long it
// takes until there is another.
func (l *limiter) allow(key string, now time.Time) (ok bool, remaining int, retry time.Duration) {
	remaining, retry, ok = l.meter.Take(key, now, 1, l.rate.Burst)
	return ok, remaining, retry
}

// guesses bounds wrong dates of birth for each reference. The pause doubles with each further burst of wrong ones, which are
// forgotten one a day: somebody who knows a reference and an age would otherwise find the day within a week.
type guesses struct {
	limiter
	wrong *callers.Meter
}

const maxPauseDoublings = 8

func newGuesses(r Rate) *guesses {
	return &guesses{*newLimiter(r), callers.NewMeter(24*time.Hour, 1<<14)}
}

// guess takes one guess, and answers how to take it back.
func (g *guesses) guess(reference string, now time.Time) (left int, retry time.Duration, undo func()) {
	price := 1 << min(g.wrong.Debt(reference, now)/g.rate.Burst, maxPauseDoublings)
	left, retry, ok := g.meter.Take(reference, now, price, g.rate.Burst)
	if !ok {
		return left, retry, nil
	}
	g.wrong.Add(reference, now, 1)
	return left, retry, func() {
		g.meter.GiveBack(reference, price)
		g.wrong.GiveBack(reference, 1)
	}
}

// lookup takes one guess of a date of birth from the allowances of the address and of the reference, and tells in the
// RateLimit headers what is left of the scarcer one. Looked gives the reference's back where the guess was not wrong.
func (x *exchange) lookup(reference string) error {
	s := x.server
	now := s.options.Now()
	ok, left, retry := s.byAddress.allow(x.address().String(), now)
	if !ok {
		return x.allowance("address", s.byAddress.rate, left, retry, tooManyLookups(retry))
	}
	left2, retry2, undo := s.byReference.guess(reference, now)
	if undo == nil {
		return x.allowance("reference", s.byReference.rate, left2, retry2, tooManyLookups(retry2))
	}
	tell := func(left2 int) error {
		if left2 < left {
			return x.allowance("reference", s.byReference.rate, left2, s.byReference.rate.Every, nil)
		}
		return x.allowance("address", s.byAddress.rate, left, s.byAddress.rate.Every, nil)
	}
	x.unlook = func() {
		undo()
		_ = tell(left2 + 1)
	}
	return tell(left2)
}

// looked settles a look-up with the engine's answer. Only the answer that a wrong date of birth gets counts against the
// reference: all others tell a right one, or nothing.
func (x *exchange) looked(err error) {
	if x.unlook != nil && allocator.CodeOf(uniform(err)) != allocator.CodeBookingUnknown {
		x.unlook()
	}
}

func tooManyLookups(retry time.Duration) error {
	return &allocator.Error{Code: allocator.CodeRateLimited, Detail: "too many look-ups by date of birth", RetryAfter: retry}
}

// allowance writes the RateLimit headers, and answers the refusal, if there is one.
func (x *exchange) allowance(policy string, rate Rate, left int, retry time.Duration, refusal error) error {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
	h := &x.http.Response.Header
	h.Set("RateLimit-Policy", `"`+policy+`";q=`+itoa(rate.Burst)+`;w=`+seconds(rate.Every*time.Duration(rate.Burst)))
	h.Set("RateLimit", `"`+policy+`";r=`+itoa(left)+`;t=`+seconds(retry))
	return refusal
}
