package waitingroom

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/keyring"
)

const service = allocator.ServiceCode("RSV:Adult")

var begin = time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)

func testSeals() *allocator.Seals {
	secret := allocator.NewSecretWith([]byte("sixteen bytes at least"), keyring.Derived())
	return secret.Seals()
}

// shelf is a place for documents that can fail, before or after it did what was asked.
type shelf struct {
	mu     sync.Mutex
	kept   map[string][]byte
	fail   func() (before, after bool)
	writes int
}

var errShelf = errors.New("the shelf does not answer")

func (s *shelf) run(do func() []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, after := false, false
	if s.fail != nil {
		before, after = s.fail()
	}
	if before {
		return nil, errShelf
	}
	kept := do()
	if after {
		return nil, errShelf
	}
	return bytes.Clone(kept), nil
}

func (s *shelf) Agree(_ context.Context, name string, candidate []byte) ([]byte, error) {
	return s.run(func() []byte {
		if s.kept == nil {
			s.kept = make(map[string][]byte)
		}
		if s.kept[name] == nil {
			s.kept[name] = bytes.Clone(candidate)
		}
		return s.kept[name]
	})
}

func (s *shelf) Amend(_ context.Context, name string, was, now []byte) ([]byte, error) {
	return s.run(func() []byte {
		if bytes.Equal(s.kept[name], was) {
			s.kept[name] = bytes.Clone(now)
			s.writes++
		}
		return s.kept[name]
	})
}

func (s *shelf) room(t *testing.T) *Room {
	t.Helper()
	d, err := readDocument(s.kept[documentName])
	if err != nil {
		t.Fatal(err)
	}
	return d.Rooms[service]
}

// world has a clock that only the test moves, and servers that share a shelf.
type world struct {
	t     *testing.T
	now   time.Time
	shelf *shelf
	seals *allocator.Seals
	free  int
	near  map[string]int
}

func newWorld(t *testing.T) *world {
	return &world{t: t, now: begin, shelf: new(shelf), seals: testSeals(), free: 1 << 20}
}

// server makes one whose clock is ahead of the world's.
func (w *world) server(ahead time.Duration) *Rooms {
	w.t.Helper()
	r, err := New(Options{
		Documents: w.shelf, Seals: w.seals, Now: func() time.Time { return w.now.Add(ahead) },
		Free: func(context.Context, allocator.ServiceCode) (int, error) { return w.free, nil },
		Near: func(_ context.Context, _ allocator.ServiceCode, area string) (int, error) {
			free, ok := w.near[area]
			if !ok {
				return 0, allocator.Refuse(allocator.CodePostcodeUnknown, "no such postcode")
			}
			return free, nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.step(r)
	return r
}

func (w *world) step(servers ...*Rooms) {
	w.t.Helper()
	for _, r := range servers {
		if err := r.Step(w.t.Context()); err != nil && !errors.Is(err, errShelf) {
			w.t.Fatal(err)
		}
	}
}

// pass lets seconds go by, and the servers take their steps.
func (w *world) pass(seconds int, servers ...*Rooms) {
	w.t.Helper()
	for range seconds {
		w.now = w.now.Add(time.Second)
		w.step(servers...)
	}
}

func (w *world) put(r *Rooms, s Settings) Public {
	w.t.Helper()
	p, err := r.Put(w.t.Context(), service, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) join(r *Rooms) string {
	w.t.Helper()
	ticket, s, err := r.Join(service, Area{})
	if err != nil || ticket == "" {
		w.t.Fatalf("no ticket: %+v, %v", s, err)
	}
	return ticket
}

func (w *world) look(r *Rooms, ticket string) Status {
	w.t.Helper()
	s, err := r.Look([]byte(ticket))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) phase(r *Rooms, ticket string, want Phase) Status {
	w.t.Helper()
	s := w.look(r, ticket)
	if s.Phase != want {
		w.t.Fatalf("%s: phase %s, want %s: %+v", w.now.Format(time.TimeOnly), s.Phase, want, s)
	}
	return s
}

func refusedWith(t *testing.T, err error, code allocator.Code) {
	t.Helper()
	if allocator.CodeOf(err) != code || err == nil {
		t.Fatalf("%v, want %s", err, code)
	}
}
