package allocator

import "time"

// Status is where a booking stands.
type Status string

// The statuses. Void is not a booking: it is the ledger's statement that a hold will never be booked.
const (
	StatusBooked    Status = "booked"
	StatusArrived   Status = "arrived"
	StatusFulfilled Status = "fulfilled"
	StatusNoShow    Status = "noshow"
	StatusCancelled Status = "cancelled"
	StatusVoid      Status = "void"
)

// Live says whether a booking of this status uses its place and counts for its person.
func (s Status) Live() bool {
	return s == StatusBooked || s == StatusArrived || s == StatusFulfilled || s == StatusNoShow
}

// MayFollow says whether a booking may go from status s to next: a live one to any other status, but nothing comes back
// from the end, and what was done is not cancelled.
func (s Status) MayFollow(next Status) bool {
	if !s.Live() || next == StatusVoid {
		return false
	}
	if next == StatusCancelled {
		return s == StatusBooked || s == StatusArrived || s == StatusNoShow
	}
	return next.Live()
}

// Booking is a row of the ledger: a claim that was recorded, or a void one.
type Booking struct {
	Key         BookingKey
	Hold        HoldID // the grant that was recorded; owner of the place in the inventory
	Slot        SlotID
	Date        Date
	Place       int32
	Service     ServiceCode
	Programme   string
	Dose        int
	Person      PersonKey // zero: no person is known (some walk-ins), or the row is void
	OnePerson   bool      // person, programme and dose are unique among live rows
	Sealed      []byte    // the encrypted personal payload
	Status      Status
	Version     int        // 1 when recorded, raised by each transition
	Reason      string     // of a void or a cancellation
	ReplacedBy  BookingKey // set where a move ended it
	RecordedAt  time.Time  // by the ledger's clock
	Unsupported bool       // derived: its capacity was withdrawn
}

// EndedReason is why a grant whose row is not live has ended, as the inventory is told: the reason of a void row, and for
// a booking that it was ended.
func (b *Booking) EndedReason() Code {
	if b.Status == StatusVoid {
		return Code(b.Reason)
	}
	return CodeBookingEnded
}

// Answers says whether a row is what a claim asks for: the same key, person, slot and service.
func (b *Booking) Answers(claim *Booking) bool {
	return b.Key == claim.Key && b.Person == claim.Person && b.Slot == claim.Slot && b.Service == claim.Service
}

// Alternative is a slot offered in place of a lost one.
type Alternative struct {
	Site           SiteID
	SiteName       string
	Service        ServiceCode
	DistanceMetres int
	Start          Minute
	Length         int16
	Free           int
	TimeZone       string
}
