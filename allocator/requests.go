package allocator

import (
	"sync/atomic"
	"time"
)

// Caller is on whose behalf something is done. The zero value is the public.
type Caller struct {
	Client string // a stable name of an authenticated client; "" for the public
	Actor  string // for the audit trail, e.g. "public", "publisher:boots"; never personal data
	Staff  bool   // may use places kept for invited people

	Request string // id of the request, for the audit trail: no spaces, never personal data; "" where there is none

	// Bound callers work at the sites of their Organisation only, and at none where that is "": see Sees.
	Bound        bool
	Organisation string
}

// HoldRequest asks for places, all or none.
type HoldRequest struct {
	Caller         Caller
	IdempotencyKey string // "": the request is never taken for a repeat
	Claims         []ClaimRequest
	Pass           string // of a waiting room; the allocator itself asks for none
	keyed          bool   // the key is the client's
}

// ClaimRequest names one place that is wanted.
type ClaimRequest struct {
	Site    SiteID
	Service ServiceCode
	Start   time.Time
	Length  int // minutes; 0: the only one offered at that start
}

// Hold is an acknowledged hold. Token is the capability to confirm, extend and release it.
type Hold struct {
	Token     string
	ExpiresAt time.Time // by the inventory's clock, as ServerTime
	Server    time.Time
	Claims    []HeldClaim
	Repeated  bool
}

// HeldClaim is a claim of a hold, in the order of the request.
type HeldClaim struct {
	Slot     SlotID
	Date     Date
	Service  ServiceCode
	TimeZone string
}

// HoldView is what a hold's token tells about it now.
type HoldView struct {
	Hold
	State string // held, pinned, booked, expired, released, lost
}

// Person is who gets the appointment.
type Person struct {
	NHSNumber   string
	GivenName   string
	FamilyName  string
	DateOfBirth Date
	HasBirth    bool
	Email       string
	Phone       string
	Landline    string
}

// ConfirmRequest asks to record a hold: one person per claim, or one for all.
type ConfirmRequest struct {
	Caller   Caller
	Token    string
	People   []Person
	Replaces *BookingAccess // the booking that this one replaces
}

// BookingAccess is a reference with what opens it: a manage token, or the date of birth, or neither for staff.
type BookingAccess struct {
	Reference   string
	ManageToken string
	DateOfBirth Date
	HasBirth    bool
	Staff       bool
	Caller      Caller // of staff: whose sites' bookings it opens
}

// BookingView is a booking for the one who may see it. Person is set for staff and for whoever opened the booking.
type BookingView struct {
	Booking
	Reference   string
	ManageToken string // only from Confirm
	TimeZone    string
	SiteName    string
	ReplacedBy  string // reference
	Person      *Person
}

// WalkInRequest books a free place of a site now. Start and Length may be zero: the slot nearest to now is taken.
type WalkInRequest struct {
	Caller         Caller
	IdempotencyKey string
	Site           SiteID
	Service        ServiceCode
	Start          time.Time
	Length         int
	Person         Person // NHS number may be empty
}

// PublishRequest asks for a new document of a site's day.
type PublishRequest struct {
	Caller  Caller
	Site    SiteID
	Date    Date
	IfMatch *int64
	DryRun  bool
	Cancel  bool // cancel what has no seat after the change
	Day     Day  // Sessions only
	plan    int64
}

// PublishReply tells what the change did, or would do.
type PublishReply struct {
	Revision         int64
	Added, Removed   int // places
	Supported        int
	NewlyUnsupported []string // references, oldest first
	NewlySupported   []string
	Cancelled        []string
	HeldAffected     int // holds without a seat after the change
}

// SearchRequest asks for the nearest sites with a free slot.
type SearchRequest struct {
	Postcode        string
	Lat, Lon        float64 // used where Postcode is ""
	Service         ServiceCode
	From, To        Date // 0: the booking window
	RadiusMetres    float64
	Limit           int
	People          int
	Accessibilities []string
	IncludeFull     bool
	Reuse           []SiteFound `json:"-"` // its memory, and not what is in it, is used for the reply's sites; may be nil
}

// SearchReply lists sites, nearest first.
type SearchReply struct {
	AsOf      time.Time
	Age       time.Duration
	Lat, Lon  float64 // origin
	Postcode  string  // canonical; "" where the origin was given as a point
	Precision string  // unit, sector, outcode
	Sites     []SiteFound
}

// SiteFound is one site of a search.
type SiteFound struct {
	*SiteOffer
	DistanceMetres int
}

// SiteOffer is what a site has free. Many replies share it: do not change it.
type SiteOffer struct {
	*SiteSheet
	NextAvailable time.Time // in the site's zone; zero where the site is full
	Days          []DayFree
	Memo          atomic.Value // for whoever writes replies: what was worked out of this before. All keep values of one type
}

// SiteSheet is a version of a site's details. Many replies share it: do not change it.
type SiteSheet struct {
	Site Site
	Memo atomic.Value // as that of SiteOffer
}

// DayFree is how many claims of the service a day has room for, slot by slot added up.
type DayFree struct {
	Date Date
	Free int
}

// AvailabilityRequest asks for a site's free slots.
type AvailabilityRequest struct {
	Site    SiteID
	Service ServiceCode
	From    Date // 0: today
	To      Date // 0: the end of the booking window
	People  int
}

// AvailabilityReply lists days that have free slots.
type AvailabilityReply struct {
	AsOf time.Time
	Age  time.Duration
	Zone *time.Location
	Days []DaySlots
}

// DaySlots is the free slots of one day.
type DaySlots struct {
	Date  Date
	Slots []SlotFree
}

// SlotFree is how many claims of the service a slot has room for.
type SlotFree struct {
	Start  Minute
	Length int16
	Free   int
}

// AuditReport compares ledger, inventory and capacity.
type AuditReport struct {
	Sites, Slots, Bookings int
	Violations             []Violation
}

// Violation is one thing that should not be. Kind is a stable word.
type Violation struct {
	Kind   string // oversold, place-twice, person-twice, drift, inventory-unreachable
	Site   SiteID
	Slot   SlotID
	Detail string
}
