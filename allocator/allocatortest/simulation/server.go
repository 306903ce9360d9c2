package simulation

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/faults"
	"muster/allocator/redisinventory"
)

// server is one process of the engine.
type server struct {
	number    int // unique in its world
	name      string
	a         *allocator.Allocator
	inventory *redisinventory.Inventory
	redis     *connection
	skew      time.Duration
	started   atomic.Bool
	dead      atomic.Bool
	ready     chan struct{} // closed when it has started, or died before
	gone      chan struct{} // closed when it dies

	cutRedis, cutLedger bool // of the scheduler
}

func (s *server) isDead() bool { return s.dead.Load() }

// Now implements allocator.Clock: a server's clock is wrong.
func (s *server) Now() time.Time { return time.Now().Add(s.skew) }

// source is a server's own source of randomness, so that what one draws, a dying one above all, shifts nothing for others.
type source struct {
	mu     sync.Mutex
	random *rand.ChaCha8
}

func newSource(seed uint64, number int) *source {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	binary.BigEndian.PutUint64(key[8:], uint64(number))
	return &source{random: rand.NewChaCha8(key)}
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Read(b)
}

const worldSecret = "the secret of a simulated world"

// newServer makes a server and starts it, which takes messages.
func (w *world) newServer() (*server, error) {
	w.born++
	sv := &server{number: w.born, name: fmt.Sprint("server ", w.born), ready: make(chan struct{}), gone: make(chan struct{}), redis: &connection{node: w.primary}}
	sv.skew = time.Duration(w.random.Int64N(int64(2*w.mix.serverSkew)+1)) - w.mix.serverSkew
	var err error
	sv.inventory, err = redisinventory.New(redisinventory.Options{
		Addresses: []string{"simulated:6379"}, Shards: w.mix.shards, KeyLifetime: w.mix.limits.WithDefaults().KeyLifetime,
		SetAside: w.mix.limits.WithDefaults().SetAside, Hooks: []redis.Hook{sv.redis},
	})
	if err != nil {
		return nil, err
	}
	sv.a, err = allocator.New(allocator.Config{
		Inventory: faults.Inventory{Inventory: sv.inventory, Carry: w.network.carrier(sv, false)},
		Ledger:    faults.Ledger{Ledger: w.publishing(), Carry: w.network.carrier(sv, true)},
		Secret:    []byte(worldSecret), Postcodes: allocatortest.Postcodes{}, Nearest: allocatortest.Nearest{},
		Limits: w.mix.limits, Clock: sv, Observer: w, Random: newSource(w.seed, w.born),
	})
	if err != nil {
		return nil, err
	}
	go sv.start()
	return sv, nil
}

func (s *server) start() {
	defer close(s.ready)
	for s.a.Start(context.Background()) != nil {
		if s.isDead() {
			return
		}
		time.Sleep(100*time.Millisecond + time.Duration(s.number))
	}
	s.started.Store(true)
}

// kill ends a server as SIGKILL would: whatever it still does reaches nobody. Its messages that had left may still arrive.
func (w *world) kill(sv *server) {
	sv.dead.Store(true)
	close(sv.gone)
	w.orphan(func(m *message) bool { return m.from == sv && m.answer != nil })
	go sv.bury()
}

// bury ends a server's goroutines, so that the world can end.
func (s *server) bury() {
	<-s.ready
	_ = s.a.Stop(context.Background())
	_ = s.inventory.Close()
}

// serverAt is the server that runs in a place now.
func (w *world) serverAt(i int) *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[i]
}

// crash replaces a server by a new one.
func (w *world) crash(sv *server) {
	for i := range w.servers {
		if w.servers[i] != sv {
			continue
		}
		w.kill(sv)
		fresh, err := w.newServer()
		if err != nil {
			w.broken("a server does not start: %v", err)
			return
		}
		w.mu.Lock()
		w.servers[i] = fresh
		w.mu.Unlock()
	}
}
