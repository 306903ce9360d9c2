package allocator

import (
	"errors"
	"fmt"
	"time"
)

// Fixed bounds of documents and requests. Whoever raises one checks the relations in limits_test.go.
const (
	MaxSessionsPerDay     = 200
	MaxServicesPerSession = 16
	MaxBreaksPerSession   = 16
	MaxPoolsPerSlot       = 8 // different sets of services and accesses; seating looks at up to 2^8 unions of them
	MaxSlotsPerDay        = 2_000
	MinSlotMinutes        = 1
	MaxSlotMinutes        = 480
	MaxSessionCapacity    = 200_000
	MaxSlotCapacity       = 1_000_000 // place numbers fit in 24 bits, unsupported claims included
	MaxNameBytes          = 200
	MaxClaimsPerHold      = 10
	MaxPeoplePerSearch    = 5
	MaxSearchLimit        = 50
	MaxHorizonDays        = 366 // a day further ahead can be neither published nor booked
	MaxLiveBookingsPerDay = 1_000_000
)

// Limits are the bounds that an operator may set. The zero value of a field means its default.
type Limits struct {
	HoldLength       time.Duration // advertised life of a hold; default 300 s
	Grace            time.Duration // enforced beyond the advertised deadline: clock skew and a round trip; default 5 s, a quarter of a short hold
	KeyLifetime      time.Duration // how long an Idempotency-Key is remembered, and an ended hold's reason; default 1 h
	ConfirmDeadline  time.Duration // after which an unknown outcome is answered as such; default 8 s
	HoldDeadline     time.Duration // default 3 s
	HoldBatch        int           // holds in one script call; default 128
	RecordBatch      int           // bookings in one statement; default 256
	HoldQueue        int           // holds that may wait for one shard; default 4096
	RecordQueue      int           // confirms that may wait for the ledger; default 8192
	Reseats          int           // tries to find another place when the ledger says that one is taken; default 3
	SetAside         int           // settles and frees kept for a site that is being rebuilt; default 4096
	ReapBatch        int           // lapsed holds freed in one script call; default 256
	ReconcileEvery   time.Duration // default 20 s
	ResolveEvery     time.Duration // default 1 s
	SnapshotEvery    time.Duration // default 200 ms
	LedgerQuietAfter time.Duration // new holds stop when the ledger has not answered for so long; default 5 s
	Alternatives     int           // slots offered in place of a lost one; default 5
}

// WithDefaults fills in the zero fields.
func (l Limits) WithDefaults() Limits {
	duration := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	number := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	duration(&l.HoldLength, 300*time.Second)
	duration(&l.Grace, min(5*time.Second, l.HoldLength/4))
	duration(&l.KeyLifetime, time.Hour)
	duration(&l.ConfirmDeadline, 8*time.Second)
	duration(&l.HoldDeadline, 3*time.Second)
	duration(&l.ReconcileEvery, 20*time.Second)
	duration(&l.ResolveEvery, time.Second)
	duration(&l.SnapshotEvery, 200*time.Millisecond)
	duration(&l.LedgerQuietAfter, 5*time.Second)
	number(&l.HoldBatch, 128)
	number(&l.RecordBatch, 256)
	number(&l.HoldQueue, 4096)
	number(&l.RecordQueue, 8192)
	number(&l.Reseats, 3)
	number(&l.SetAside, 4096)
	number(&l.ReapBatch, 256)
	number(&l.Alternatives, 5)
	return l
}

// Validate reports every fault at once, the relations between bounds included.
func (l Limits) Validate() error {
	l = l.WithDefaults()
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(l.HoldLength >= time.Second && l.HoldLength <= 24*time.Hour, "hold length %v is not within 1 s and 24 h", l.HoldLength)
	check(l.Grace >= 100*time.Millisecond && l.Grace <= time.Minute, "grace %v is not within 0.1 s and 1 min", l.Grace)
	check(l.KeyLifetime >= 2*(l.HoldLength+l.Grace)+l.ConfirmDeadline,
		"key lifetime %v is shorter than an extended hold and its confirm", l.KeyLifetime)
	check(l.ConfirmDeadline >= time.Second && l.HoldDeadline >= 100*time.Millisecond, "a deadline is too short to meet")
	check(l.HoldBatch >= 1 && l.HoldBatch <= 512, "hold batch %d is not within 1 and 512", l.HoldBatch)
	check(l.RecordBatch >= 1 && l.RecordBatch <= 1024, "record batch %d is not within 1 and 1024", l.RecordBatch)
	check(l.HoldQueue >= l.HoldBatch, "hold queue %d is shorter than a batch", l.HoldQueue)
	check(l.RecordQueue >= l.RecordBatch, "record queue %d is shorter than a batch", l.RecordQueue)
	check(l.SetAside >= 1 && l.ReapBatch >= 1 && l.Reseats >= 1 && l.Alternatives >= 1, "a bound is below 1")
	check(l.ReconcileEvery <= 30*time.Second, "reconciling every %v cannot keep the promise of 60 s", l.ReconcileEvery)
	return errors.Join(faults...)
}
