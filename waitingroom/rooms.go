package waitingroom

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"muster/allocator"
)

// Documents is the place in the ledger for what the servers share: see allocator.Ledger.
type Documents interface {
	Agree(ctx context.Context, name string, candidate []byte) ([]byte, error)
	Amend(ctx context.Context, name string, was, now []byte) ([]byte, error)
}

// Options configure Rooms. Documents and Seals are needed; the zero value of another field means its default.
type Options struct {
	Documents Documents
	Seals     *allocator.Seals

	// Free is how many places of a service are free, and Near how many near an area. Nil: that is never known.
	Free func(ctx context.Context, service allocator.ServiceCode) (int, error)
	Near func(ctx context.Context, service allocator.ServiceCode, area string) (int, error)

	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

const (
	stepEvery = time.Second
	lookEvery = 5 * time.Second // and while no room is in force: whether another server made one, and whether load opens one
	freeEvery = 2 * time.Second // how often the places are counted
	attempts  = 4               // to change the document, before the next second's
)

// Rooms are the waiting rooms of an installation, as one server keeps them. Safe for concurrent use.
type Rooms struct {
	options Options
	server  string
	views   atomic.Pointer[views]
	nearby  nearby
	desk    desk
	counts  counts

	mu     sync.Mutex // guards what follows
	latest Instant    // given to somebody; the next one is later
	open   map[RoomID]*tally
	load   cell // of the engine, whichever the service
	number int64
	places map[allocator.ServiceCode]places

	steps  sync.Mutex // guards what follows: one step or change of settings at a time
	unsent *batch     // told to the ledger, and not known to have arrived
	known  []byte     // the document as it was last seen
	looked time.Time  // when the document was last read
}

// views are all rooms as of one document.
type views struct {
	byService map[allocator.ServiceCode]*view
	byRoom    map[RoomID]*view
}

// places are how many were free at a moment, and how many people had held one until then.
type places struct {
	at   time.Time
	free int
	held int64
}

// New checks the options. Nothing is known of any room before Run.
func New(o Options) (*Rooms, error) {
	if o.Documents == nil || o.Seals == nil {
		return nil, errors.New("waiting rooms need a place for documents, and seals")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	name := make([]byte, 8)
	_, _ = rand.Read(name) // never fails
	r := &Rooms{options: o, server: hex.EncodeToString(name), open: make(map[RoomID]*tally), places: make(map[allocator.ServiceCode]places)}
	r.views.Store(new(views))
	return r, nil
}

// Run looks after the rooms until ctx ends.
func (r *Rooms) Run(ctx context.Context) {
	var counting sync.WaitGroup
	defer counting.Wait()
	counting.Go(func() { r.keepCounting(ctx) })
	ticker := time.NewTicker(stepEvery)
	defer ticker.Stop()
	for failing := false; ; {
		err := r.move(ctx)
		if err != nil && ctx.Err() == nil && !failing { // once, not each second
			r.options.Log.Warn("waiting rooms stand still: nobody new is called", "cause", err.Error())
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// keepCounting counts the places beside the rest: the first time, it may take seconds.
func (r *Rooms) keepCounting(ctx context.Context) {
	ticker := time.NewTicker(stepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.count(ctx)
		}
	}
}

// Step does what Run does each second.
func (r *Rooms) Step(ctx context.Context) error {
	r.count(ctx)
	return r.move(ctx)
}

// count finds out what is free, in services with a room and near those who asked.
func (r *Rooms) count(ctx context.Context) {
	for service, v := range r.views.Load().byService {
		if v.Mode != Off {
			r.countPlaces(ctx, service, v.Held)
		}
	}
	if n := r.options.Near; n != nil {
		r.nearby.refresh(ctx, instantOf(r.options.Now()), n)
	}
}

// move tells what was counted, moves the frontiers on where no other server did, and learns what the others did.
func (r *Rooms) move(ctx context.Context) error {
	now := r.options.Now()
	r.desk.sweep(now)
	r.steps.Lock()
	defer r.steps.Unlock()
	if !r.anyActive() && now.Sub(r.looked) < lookEvery {
		return nil
	}
	kept, err := r.options.Documents.Agree(ctx, documentName, []byte("{}"))
	if err != nil {
		return err
	}
	r.looked, r.known = now, kept
	_, err = r.amend(ctx, func(d *document, now Instant) error {
		for service, room := range d.Rooms {
			if room.Mode != Off {
				room.step(tick{now: now, safe: d.safe(now), free: r.freeNow(service, room)})
			}
		}
		return nil
	})
	return err
}

func (r *Rooms) anyActive() bool {
	for _, v := range r.views.Load().byService {
		if v.Active {
			return true
		}
	}
	return false
}

// amend changes the shared document from how it was last seen, and adopts what is stored then. The caller has steps.
func (r *Rooms) amend(ctx context.Context, change func(d *document, now Instant) error) (*document, error) {
	for range attempts {
		d, err := readDocument(r.known)
		if err != nil {
			return nil, err
		}
		now := instantOf(r.options.Now())
		if d.anyOn() {
			b := r.batch(d, now)
			d.count(r.server, b, now)
		}
		if err := change(d, now); err != nil {
			return nil, err
		}
		wanted := d.write()
		if bytes.Equal(wanted, r.known) {
			r.adopt(d, now)
			return d, nil
		}
		stored, err := r.options.Documents.Amend(ctx, documentName, r.known, wanted)
		if err != nil {
			return nil, err
		}
		r.known = stored
		if bytes.Equal(stored, wanted) {
			r.adopt(d, now)
			return d, nil
		}
	}
	if d, err := readDocument(r.known); err == nil { // the others are ahead: what they stored is as good
		r.adopt(d, instantOf(r.options.Now()))
	}
	return nil, errCrowded
}

var errCrowded = &allocator.Error{Code: allocator.CodeOverloaded, Detail: "other servers change the waiting rooms at the same time", RetryAfter: time.Second}

// batch is what is to be told: what was told before and is not known to have arrived, or what was counted since.
func (r *Rooms) batch(d *document, now Instant) *batch {
	if r.unsent != nil && !d.landed(r.server, r.unsent) {
		return r.unsent
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	r.latest = max(r.latest, now-1)
	b := &batch{number: r.number, at: r.latest + 1, rooms: r.open}
	for _, room := range d.Rooms {
		if room.Mode == Off {
			continue
		}
		t := b.rooms[room.ID]
		if t == nil {
			t = new(tally)
			b.rooms[room.ID] = t
		}
		t.cell.join(&r.load)
	}
	r.open, r.load = make(map[RoomID]*tally), cell{}
	r.unsent = b
	return b
}

// adopt acts on a stored document from now on.
func (r *Rooms) adopt(d *document, now Instant) {
	next := &views{make(map[allocator.ServiceCode]*view), make(map[RoomID]*view)}
	for service, room := range d.Rooms {
		v := room.view(service, r.seed(room.ID), r.freeNow(service, room), now, &r.nearby)
		next.byService[service], next.byRoom[room.ID] = v, v
	}
	r.views.Store(next)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, room := range d.Rooms { // whoever comes now comes after those who were counted, by whichever clock
		if room.Crowd.Last.since(now) < maxSkew {
			r.latest = max(r.latest, room.Crowd.Last)
		}
	}
}

// maxSkew is how far ahead another server's clock may be without being taken for wrong.
const maxSkew = 10 * time.Second

func (r *Rooms) seed(id RoomID) [32]byte { return r.options.Seals.Seed(id[:]) }

// countPlaces finds out how much of a service is free, where that was not counted a moment ago.
func (r *Rooms) countPlaces(ctx context.Context, service allocator.ServiceCode, held int64) {
	now := r.options.Now()
	if r.options.Free == nil || now.Sub(r.placesOf(service).at) < freeEvery {
		return
	}
	if free, err := r.options.Free(ctx, service); err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.places[service] = places{now, free, held}
	}
}

func (r *Rooms) placesOf(service allocator.ServiceCode) places {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.places[service]
}

// freeNow is how many places are free: what was counted, without those that were held since.
func (r *Rooms) freeNow(service allocator.ServiceCode, room *Room) int {
	p := r.placesOf(service)
	if p.at.IsZero() {
		return -1
	}
	return max(0, p.free-int(max(0, room.Held-p.held)))
}

// Put changes the settings of a service's room, and makes it where there is none. It blocks until they are stored; other
// servers act on them within seconds. Faults are told with pointers into the settings.
func (r *Rooms) Put(ctx context.Context, service allocator.ServiceCode, s Settings) (Public, error) {
	if r.views.Load().byService[service] == nil { // so that the answer tells, unless that takes long
		soon, cancel := context.WithTimeout(ctx, time.Second/2)
		r.countPlaces(soon, service, 0)
		cancel()
	}
	r.steps.Lock()
	defer r.steps.Unlock()
	kept, err := r.options.Documents.Agree(ctx, documentName, []byte("{}"))
	if err != nil {
		return Public{}, err
	}
	r.known = kept
	var id RoomID
	_, _ = rand.Read(id[:]) // never fails
	_, err = r.amend(ctx, func(d *document, now Instant) error {
		if err := s.checked(d.Rooms[service], now); err != nil {
			return err
		}
		if d.Rooms == nil {
			d.Rooms = make(map[allocator.ServiceCode]*Room)
		}
		d.Rooms[service] = put(d.Rooms[service], s, id, now)
		return nil
	})
	if err != nil {
		return Public{}, err
	}
	public, _ := r.Public(service)
	return public, nil
}
