package waitingroom

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"muster/allocator"
)

// nearby remembers how many places are free near the areas that people asked about. Areas are few: there are three thousand in
// the United Kingdom. Safe for concurrent use.
type nearby struct {
	mu    sync.RWMutex
	known map[place]*nearArea
}

type place struct {
	service allocator.ServiceCode
	area    Area
}

type nearArea struct {
	free   atomic.Int64 // -1: not known yet
	asked  atomic.Int64 // when somebody last asked
	looked Instant      // when it was last looked up; only refresh uses it
}

const (
	maxAreas     = 8192
	areaStale    = 15 * time.Second // after so long it is looked up again
	areaIdle     = 5 * time.Minute  // and while nobody asks, not at all
	areasPerLook = 64               // at most, each second
)

// free is how many places were free near an area a moment ago; negative where that is not known yet. It allocates only for an area
// that is asked for the first time.
func (n *nearby) free(service allocator.ServiceCode, area Area, now Instant) int {
	key := place{service, area}
	n.mu.RLock()
	known := n.known[key]
	n.mu.RUnlock()
	if known == nil {
		return n.meet(key, now)
	}
	known.asked.Store(int64(now))
	return int(known.free.Load())
}

func (n *nearby) meet(key place, now Instant) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = make(map[place]*nearArea)
	}
	if n.known[key] == nil && len(n.known) < maxAreas {
		a := new(nearArea)
		a.free.Store(-1)
		a.asked.Store(int64(now))
		n.known[key] = a
	}
	return -1
}

// refresh looks up the areas that were not looked up for longest. One goroutine calls it.
func (n *nearby) refresh(ctx context.Context, now Instant, look func(context.Context, allocator.ServiceCode, string) (int, error)) {
	for key, a := range n.due(now) {
		free, err := look(ctx, key.service, key.area.Text())
		if allocator.CodeOf(err) == allocator.CodePostcodeUnknown {
			free, err = -1, nil
		}
		if err == nil {
			a.free.Store(int64(free))
		}
		a.looked = now
	}
}

// due are areas to be looked up now. Those that nobody asks about are forgotten.
func (n *nearby) due(now Instant) map[place]*nearArea {
	n.mu.Lock()
	defer n.mu.Unlock()
	due := make(map[place]*nearArea)
	for key, a := range n.known {
		switch {
		case now.since(Instant(a.asked.Load())) > areaIdle:
			delete(n.known, key)
		case now.since(a.looked) >= areaStale && len(due) < areasPerLook:
			due[key] = a
		}
	}
	return due
}
