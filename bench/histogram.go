package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets of a histogram: each power of two microseconds is split in 64, so a quantile is at most 1.6 % too high.
const (
	subBits = 6
	buckets = (36 - subBits) << subBits // up to 2^35 µs, nine hours
)

// Histogram counts durations. Its zero value is empty. Safe for concurrent use.
type Histogram struct {
	counts [buckets]atomic.Int64
	total  atomic.Int64
}

// Add counts one duration; negative ones count as zero.
func (h *Histogram) Add(d time.Duration) { h.AddN(d, 1) }

// AddN counts a duration n times.
func (h *Histogram) AddN(d time.Duration, n int64) {
	h.counts[bucketOf(max(0, d.Microseconds()))].Add(n)
	h.total.Add(n)
}

// Count is how many were added.
func (h *Histogram) Count() int64 { return h.total.Load() }

// Quantile is the duration that a share q of all does not exceed; 0 of an empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.total.Load())))
	var seen int64
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen > 0 && seen >= rank {
			return time.Duration(upperEdge(i)) * time.Microsecond
		}
	}
	return 0
}

// bucketOf keeps the leading subBits+1 bits: values below 2^(subBits+1) have a bucket each.
func bucketOf(micros int64) int {
	shift := max(0, bits.Len64(uint64(micros))-subBits-1)
	return min(shift<<subBits+int(micros>>shift), buckets-1)
}

// upperEdge is the largest value of a bucket.
func upperEdge(bucket int) int64 {
	shift := max(0, bucket>>subBits-1)
	return int64(bucket-shift<<subBits+1)<<shift - 1
}
