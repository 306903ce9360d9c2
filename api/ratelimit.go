package api

import (
	"hash/maphash"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"muster/allocator"
)

// limiter bounds how often each key acts, by the generic cell rate algorithm: each action moves the key's theoretical
// arrival time on by one interval, and one that would lie more than a burst ahead is refused.
//
// Its memory is fixed: keys share cells by a hash that nobody outside can predict, so a key may at worst share its allowance
// with a few others, and no flood of keys can make the limiter grow or forget.
type limiter struct {
	rate  Rate
	seed  maphash.Seed
	cells [1 << 14]atomic.Int64 // theoretical arrival times in nanoseconds since 1970
}

func newLimiter(r Rate) *limiter { return &limiter{rate: r, seed: maphash.MakeSeed()} }

// allow takes one action of the key, if there is one left; remaining is how many are after that, and retry how long it
// takes until there is another.
func (l *limiter) allow(key string, now time.Time) (ok bool, remaining int, retry time.Duration) {
	cell := &l.cells[maphash.String(l.seed, key)%uint64(len(l.cells))]
	every, at := int64(l.rate.Every), now.UnixNano()
	for {
		old := cell.Load()
		next := max(old, at) + every
		ahead := next - at - every*int64(l.rate.Burst)
		if ahead > 0 {
			return false, 0, time.Duration(ahead)
		}
		if cell.CompareAndSwap(old, next) {
			return true, int(-ahead / every), time.Duration(max(0, ahead+every))
		}
	}
}

// giveBack undoes one allow of the key.
func (l *limiter) giveBack(key string) {
	l.cells[maphash.String(l.seed, key)%uint64(len(l.cells))].Add(-int64(l.rate.Every))
}

// lookup takes one guess of a date of birth from the allowances of the address and of the reference, and tells in the
// RateLimit headers what is left of the scarcer one. Looked gives the reference's back where the guess was not wrong.
func (x *exchange) lookup(reference string) error {
	s := x.server
	now := s.options.Now()
	ok, left, retry := s.byAddress.allow(x.address().String(), now)
	if !ok {
		return x.allowance("address", s.byAddress.rate, left, retry, false)
	}
	ok, left2, retry2 := s.byReference.allow(reference, now)
	if !ok {
		return x.allowance("reference", s.byReference.rate, left2, retry2, false)
	}
	tell := func(left2 int) error {
		if left2 < left {
			return x.allowance("reference", s.byReference.rate, left2, s.byReference.rate.Every, true)
		}
		return x.allowance("address", s.byAddress.rate, left, s.byAddress.rate.Every, true)
	}
	x.unlook = func() {
		s.byReference.giveBack(reference)
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

// allowance writes the RateLimit headers, and makes the refusal where there is nothing left.
func (x *exchange) allowance(policy string, rate Rate, left int, retry time.Duration, ok bool) error {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
	h := &x.http.Response.Header
	h.Set("RateLimit-Policy", `"`+policy+`";q=`+itoa(rate.Burst)+`;w=`+seconds(rate.Every*time.Duration(rate.Burst)))
	h.Set("RateLimit", `"`+policy+`";r=`+itoa(left)+`;t=`+seconds(retry))
	if ok {
		return nil
	}
	e := allocator.Refuse(allocator.CodeRateLimited, "too many look-ups by date of birth")
	e.RetryAfter = retry
	return e
}
