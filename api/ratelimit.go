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

// lookup takes one guess of a date of birth from the allowances of the address and of the reference, and tells in the
// RateLimit headers what is left of the scarcer one.
func (x *exchange) lookup(reference string) error {
	s := x.server
	now := s.options.Now()
	ok, left, retry := s.byAddress.allow(x.address().String(), now)
	policy, rate := "address", s.byAddress.rate
	if ok {
		var left2 int
		if ok, left2, retry = s.byReference.allow(reference, now); !ok || left2 < left {
			policy, rate, left = "reference", s.byReference.rate, left2
		}
	}
	seconds := func(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
	h := &x.http.Response.Header
	h.Set("RateLimit-Policy", `"`+policy+`";q=`+itoa(rate.Burst)+`;w=`+seconds(rate.Every*time.Duration(rate.Burst)))
	if ok {
		retry = rate.Every
	}
	h.Set("RateLimit", `"`+policy+`";r=`+itoa(left)+`;t=`+seconds(retry))
	if !ok {
		e := allocator.Refuse(allocator.CodeRateLimited, "too many look-ups by date of birth")
		e.RetryAfter = retry
		return e
	}
	return nil
}
