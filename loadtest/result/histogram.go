package result

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram counts times from a microsecond to ten minutes (longer ones count as ten minutes). Its zero value is empty. In JSON
// it is the compressed form (V2) of HdrHistogram, which other tools read too. Not safe for concurrent use.
type Histogram struct{ h *hdrhistogram.Histogram }

const (
	longest = 10 * time.Minute
	digits  = 3 // significant ones: a percentile is at most 0.1 % off
)

// Add counts a time.
func (h *Histogram) Add(d time.Duration) { h.AddN(d, 1) }

// AddN counts a time n times.
func (h *Histogram) AddN(d time.Duration, n int64) {
	if h.h == nil {
		h.h = hdrhistogram.New(1, longest.Microseconds(), digits)
	}
	micros := min(max(1, d.Microseconds()), longest.Microseconds())
	if err := h.h.RecordValues(micros, n); err != nil {
		panic(err) // the value is within the bounds
	}
}

// Count is how many times were added.
func (h *Histogram) Count() int64 {
	if h == nil || h.h == nil {
		return 0
	}
	return h.h.TotalCount()
}

// Percentile is the time that q per cent of all do not exceed, 0 < q ≤ 100; 0 where nothing was added.
func (h *Histogram) Percentile(q float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.h.ValueAtPercentile(q)) * time.Microsecond
}

// Mean is the average; 0 where nothing was added.
func (h *Histogram) Mean() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.h.Mean() * float64(time.Microsecond))
}

// Max is the longest time.
func (h *Histogram) Max() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.h.Max()) * time.Microsecond
}

// Merge adds the counts of another.
func (h *Histogram) Merge(other *Histogram) {
	if other.Count() == 0 {
		return
	}
	if h.h == nil {
		h.h = hdrhistogram.New(1, longest.Microseconds(), digits)
	}
	h.h.Merge(other.h)
}

// MarshalJSON writes the compressed form, "" for an empty one.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	if h.Count() == 0 {
		return []byte(`""`), nil
	}
	encoded, err := h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(encoded))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	var encoded string
	if err := json.Unmarshal(text, &encoded); err != nil {
		return err
	}
	h.h = nil
	if encoded == "" {
		return nil
	}
	decoded, err := hdrhistogram.Decode([]byte(encoded))
	if err != nil {
		return fmt.Errorf("a histogram that cannot be read: %w", err)
	}
	h.h = hdrhistogram.New(1, longest.Microseconds(), digits) // whatever bounds the file says, merging needs these
	if dropped := h.h.Merge(decoded); dropped > 0 {
		return fmt.Errorf("a histogram has %d values of more than %v", dropped, longest)
	}
	return nil
}
