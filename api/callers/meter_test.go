package callers

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Unix(1_800_000_000, 0)

// TestMeterIsExact: with places to spare a meter is the generic cell rate algorithm itself, whatever is taken and given back.
func TestMeterIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 5
		m, owed, now := NewMeter(time.Second, ways), map[string]time.Duration{}, noon
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			passed := time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
			now = now.Add(passed)
			for k := range owed {
				owed[k] = max(0, owed[k]-passed)
			}
			key, price := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"), rapid.IntRange(1, 4).Draw(t, "price")
			fits := owed[key]+time.Second <= most*time.Second
			left, wait, ok := m.Take(key, now, price, most)
			if ok != fits {
				t.Fatalf("%s owes %v: taken %v", key, owed[key], ok)
			}
			if !ok {
				if want := owed[key] + time.Second - most*time.Second; wait != want || left != 0 {
					t.Fatalf("wait %v, want %v; %d left", wait, want, left)
				}
				continue
			}
			if rapid.Bool().Draw(t, "given back") {
				m.GiveBack(key, price)
			} else {
				owed[key] += time.Duration(price) * time.Second
			}
			if got, want := m.Debt(key, now), int((owed[key]+time.Second-1)/time.Second); got != want {
				t.Fatalf("%s owes %d, want %d", key, got, want)
			}
		}
	})
}

// TestFloodsForgetNobody: whatever other keys do, a debt looks no smaller than it is; and while there are places, no larger.
func TestFloodsForgetNobody(t *testing.T) {
	for _, places := range []int{1 << 16, 64} {
		m := NewMeter(time.Minute, places)
		m.Add("debtor", noon, 8)
		for i := range 5000 {
			m.Add(strconv.Itoa(i), noon, 1+i%3)
		}
		got := m.Debt("debtor", noon)
		if got < 8 || got > 8 && places > 64 {
			t.Errorf("%d places: 8 units became %d", places, got)
		}
		if got := m.Debt("somebody new", noon); got > 0 && places > 64 {
			t.Errorf("somebody new owes %d", got)
		}
		m.GiveBack("somebody new", 5)
		if again := m.Debt("debtor", noon); again != got {
			t.Errorf("%d places: what a stranger gave back made %d of %d", places, again, got)
		}
		if m.Once("another", noon) != (places > 64) {
			t.Errorf("%d places: once, with no place left, must not be true", places)
		}
	}
}

// TestNobodyTakesTwice: callers with one key at the same moment share what there is, and no more.
func TestNobodyTakesTwice(t *testing.T) {
	m := NewMeter(time.Hour, 1<<10)
	var all sync.WaitGroup
	var mu sync.Mutex
	taken, first := 0, 0
	for range 8 {
		all.Go(func() {
			for range 100 {
				_, _, ok := m.Take("key", noon, 1, 50)
				once := m.Once("other", noon)
				mu.Lock()
				if ok {
					taken++
				}
				if once {
					first++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if taken != 50 || first != 1 {
		t.Errorf("%d of 50 were taken, and %d came first", taken, first)
	}
	if m.Once("other", noon.Add(time.Hour-1)) || !m.Once("other", noon.Add(time.Hour)) {
		t.Error("once is for an hour")
	}
}

func BenchmarkTake(b *testing.B) {
	m := NewMeter(time.Millisecond, maxAddresses)
	now := noon
	for i := 0; b.Loop(); i++ {
		m.Take("192.0.2."+strconv.Itoa(i&255)+"/32", now, 1, 1<<40)
	}
}
