package allocator

import (
	"context"
	"time"
)

// Inventory is the fast, rebuildable view: who has which place of which slot right now. It is sharded; a shard lives in
// one place (a hash slot of Redis) and each call below acts on one shard, atomically, in one step.
//
// Promises of every method
//   - A call carries the epoch its caller believes in. Where the shard has another one, or none, nothing happens and the
//     error is ErrEpochStale or ErrIncarnationLost.
//   - Items of a batch are decided in order, each on the state the earlier ones left; one result per item; an item that
//     is refused changes nothing and hurts no other.
//   - Every call is safe to repeat, at once or late: a network client may send it twice.
//   - Time is the shard's own clock, never the caller's. All durations and instants are in milliseconds.
//   - It blocks for one round trip at most until ctx ends. Safe for concurrent use.
//   - No expiry of the store's keys decides anything.
type Inventory interface {
	// Shards is how many shards there are. It never changes while the program runs.
	Shards() int
	// Identity names the incarnation that serves the shard now: another one after each restart, promotion or flush that
	// can be told.
	Identity(ctx context.Context, shard int) (string, error)
	// Open makes an epoch current on the incarnation it was issued for. With fresh, the epoch was just issued and replaces
	// any older one; what the shard holds stays, and each site must be rebuilt before it grants again. Without, the caller
	// adopts an epoch that must already be there: ErrIncarnationLost where it is not.
	Open(ctx context.Context, shard int, epoch int64, identity string, fresh bool) error

	// Hold grants places, or says why not. See HoldItem and HoldResult.
	Hold(ctx context.Context, shard int, epoch int64, items []HoldItem) ([]HoldResult, error)
	// Extend moves a hold's deadline on by its own length, once; repeated, it answers the same.
	Extend(ctx context.Context, shard int, epoch int64, id HoldID) (HoldResult, error)
	// Release gives a held grant back at its owner's wish. With forget the key is forgotten too: the hold was never
	// acknowledged. A pinned or booked grant stays, and its state is the answer.
	Release(ctx context.Context, shard int, epoch int64, site SiteID, id HoldID, forget bool) (GrantState, error)
	// Pin stops a hold from expiring, so that the ledger can record it.
	Pin(ctx context.Context, shard int, epoch int64, items []PinItem) ([]PinResult, error)
	// Reseat finds places by matching for a grant that was lost, or whose place the ledger knows to be another's.
	Reseat(ctx context.Context, shard int, epoch int64, item ReseatItem) (ReseatResult, error)
	// Settle tells the inventory what the ledger recorded. Accepted at any epoch not newer than the site's.
	Settle(ctx context.Context, shard int, epoch int64, items []SettleItem) ([]ApplyOutcome, error)
	// Free gives back every place of a grant, and marks it ended. Accepted at any epoch not newer than the site's.
	Free(ctx context.Context, shard int, epoch int64, items []FreeItem) ([]ApplyOutcome, error)
	// State looks a grant up.
	State(ctx context.Context, shard int, epoch int64, site SiteID, id HoldID) (GrantState, error)
	// Reap frees at most limit lapsed holds and forgets lapsed keys; more says that lapsed ones are left.
	Reap(ctx context.Context, shard int, epoch int64, limit int) (more bool, err error)
	// StuckPins lists up to limit pinned grants whose deadline has passed, oldest first. They stay listed until settled or
	// freed.
	StuckPins(ctx context.Context, shard int, epoch int64, limit int) ([]StuckPin, error)

	// Apply tells the inventory that a day has a newer revision. Older and equal ones change nothing.
	Apply(ctx context.Context, shard int, epoch int64, site SiteID, date Date, revision int64) (ApplyOutcome, error)
	// Begin starts a rebuild of a site by the named builder, or takes one over. Repeating it by the same builder changes
	// nothing. The answer lists the slots in which the inventory has anything.
	Begin(ctx context.Context, shard int, epoch int64, site SiteID, builder string) ([]SlotID, error)
	// Load replaces what the inventory knows of some slots of a site by the ledger's live rows of these slots. A hold whose
	// place is another's row goes as a whole, without a mark; a pin, which may be recorded at this moment, loses that place
	// only. Grants of the rows count as booked and give back what they hold beside; those of ended ids go and are marked.
	// False: the builder was replaced.
	Load(ctx context.Context, shard int, epoch int64, site SiteID, builder string, slots []SlotLoad, ended []EndedID) (bool, error)
	// Finish ends a rebuild: applies what was set aside (per hold, ended beats settled) and makes the site current at the
	// epoch. False: the builder was replaced, or more was set aside than fits; begin again.
	Finish(ctx context.Context, shard int, epoch int64, site SiteID, builder string, generation int64, revisions map[Date]int64) (bool, error)
	// ReadSite is all that the inventory knows of one site.
	ReadSite(ctx context.Context, shard int, epoch int64, site SiteID) (SiteInventory, error)
	// ReadPlaces is who has which places of some slots, by range and place, at one instant. Of sites that are not built, or are
	// being rebuilt, it tells only that, each once.
	ReadPlaces(ctx context.Context, shard int, epoch int64, ranges []PlaceRange) (places []PlaceState, notBuilt []SiteID, err error)
	// Repair corrects places that are still as the caller read them. It answers how many it changed.
	Repair(ctx context.Context, shard int, epoch int64, site SiteID, fixes []PlaceFix) (int, error)

	// Usage lists, piece by piece, the number of claims of every slot that has any. Start with cursor "" and go on until
	// next is "". A slot that changes meanwhile may be told of before or after its change; Changes tells of it too.
	Usage(ctx context.Context, shard int, epoch int64, cursor string) (slots []SlotUsage, next string, err error)
	// Changes lists slots and days that changed after a cursor, which is "" for "from now on" (then nothing is listed).
	// reset says that changes were forgotten since: read Usage again.
	Changes(ctx context.Context, shard int, epoch int64, cursor string, limit int) (c ChangeSet, err error)
}

// HoldItem asks for places at one site, all or none.
type HoldItem struct {
	Key      RequestKey
	Print    [8]byte // fingerprint of the request's body: the same key with another one is refused
	Site     SiteID
	Claims   []HoldClaim
	LengthMs int64 // advertised life
	GraceMs  int64 // enforced beyond it
}

// HoldClaim is one place asked for. Bounds are those of the day's document at Revision: the inventory refuses the claim
// when it knows of another revision, so it needs to store no capacity.
type HoldClaim struct {
	Slot     SlotID
	Date     Date
	Revision int64
	Service  ServiceCode
	Bounds   []Bound
	Limit    *Limit // of claims at this and other slots of the site; nil: none
	Window   Window
}

// Window limits when a claim may be made, by the shard's clock.
type Window struct {
	OpensMs   int64 // not before this instant; 0: no limit
	MinLeadMs int64 // the start must lie at least so far ahead; negative lets a start pass
	MaxLeadMs int64 // and at most so far; 0: no limit
}

// HoldOutcome is what became of a HoldItem.
type HoldOutcome int8

const (
	HoldGranted  HoldOutcome = iota // Grant is the grant: a new one, or the one the same request got before
	HoldMismatch                    // the key is known with another body
	HoldFull                        // claim Claim cannot join its slot, or its limit has no room; with More, lapsed holds remain: reap and ask again
	HoldOutside                     // claim Claim is outside its window
	HoldStale                       // claim Claim: the day's revision is Revision
	HoldNotBuilt                    // the site must be rebuilt first
	HoldBuilding                    // the site is being rebuilt: ask again soon
	HoldUnknown                     // Extend only: no such grant
)

// HoldResult answers a HoldItem.
type HoldResult struct {
	Outcome  HoldOutcome
	Grant    Grant
	Repeated bool // the grant was made by an earlier call; its State may be any
	Claim    int
	Revision int64
	More     bool
	NowMs    int64
}

// Grant is what a site's inventory gave to one request.
type Grant struct {
	ID         HoldID
	Epoch      int64
	State      GrantState
	DeadlineMs int64   // advertised
	Places     []int32 // one per claim
}

// GrantState is where a grant stands. GrantAbsent is what a lost one looks like.
type GrantState int8

const (
	GrantAbsent GrantState = iota
	GrantHeld
	GrantPinned
	GrantBooked
	GrantReleased
	GrantExpired
	GrantEnded // by the ledger's evidence: cancelled, moved or void
)

// PinItem asks to pin a grant. Claims and deadline come from its token, for the case that the inventory lost it.
type PinItem struct {
	ID         HoldID
	Site       SiteID
	DeadlineMs int64 // advertised, as the token says
	GraceMs    int64
}

// PinResult answers a PinItem. State GrantPinned and GrantBooked allow the record; GrantAbsent with InTime means lost.
//
// A request key has one grant at a time. Where it has another one than the asked, nothing is done: State is GrantAbsent, ID
// and Other tell that grant. Who finds it to be of the same claims may pin it instead.
//
// Revisions are 0 where the grant is older than the site's last rebuild: it may have survived something that the inventory
// does not know of, so the ledger must check its seating.
type PinResult struct {
	ID         HoldID
	State      GrantState
	InTime     bool // the token's deadline (with grace) has not passed by the shard's clock
	Reason     Code // why it ended, where State is GrantEnded
	NotBuilt   bool // the site must be rebuilt first; nothing was done
	Building   bool // the site is being rebuilt; nothing was done
	Epoch      int64
	Generation int64
	Places     []int32 // where it is pinned: the grant's own places as the inventory has them
	Revisions  []int64 // of the days, claim by claim, under which these places were granted; 0: unproven
	Other      []Placed
}

// ReseatItem asks for other places for claims of a grant, pinned at once.
//
// A grant that is absent is made anew under the same id, with every claim of it listed; Place is preferred where it is
// free. A grant that is there (pinned or held) keeps the places of claims that are not listed and gives up those of claims
// that are. Taken, in a listed claim, names the row that owns the place given up: it becomes that row's.
type ReseatItem struct {
	ID         HoldID
	Site       SiteID
	DeadlineMs int64
	GraceMs    int64
	Claims     []ReseatClaim
	Total      int // claims of the grant
}

// ReseatClaim is one claim that needs a place.
type ReseatClaim struct {
	Index int // within the grant
	HoldClaim
	Place    int32       // the place it had
	Taken    HoldID      // owner of that place by the ledger; zero: nobody known
	TakenFor ServiceCode // the owner's service
}

// ReseatResult answers a ReseatItem. Revisions are as for a pin. Where the request key has another grant, or an absent one is
// asked for in part, the outcome is HoldUnknown and State GrantAbsent, with ID naming the grant that is there. Outcome is HoldGranted, HoldFull, HoldStale, HoldNotBuilt or HoldBuilding; where the
// grant has ended or lapsed it is HoldUnknown, and State and Reason tell.
type ReseatResult struct {
	ID         HoldID
	Outcome    HoldOutcome
	State      GrantState
	Reason     Code
	Claim      int
	Revision   int64
	Epoch      int64
	Generation int64
	Places     []int32 // of every claim of the grant
	Revisions  []int64 // claim by claim, as for a pin
}

// SettleItem tells of recorded rows of one grant at one site.
type SettleItem struct {
	ID     HoldID
	Site   SiteID
	Places []Placed
}

// Placed is a claim at a place.
type Placed struct {
	Slot    SlotID
	Place   int32
	Service ServiceCode
}

// FreeItem gives back a grant and marks it ended. Places are those that the ledger knows, for a grant whose record is
// gone: each is freed only where the grant still owns it.
//
// With Partial, only Places go, each where the grant owns it, and only they are marked: a later settle of the same id
// skips a (slot, place) so marked. The grant's other places and its state stay. So one booking of a family is cancelled.
type FreeItem struct {
	ID      HoldID
	Site    SiteID
	Places  []Placed
	Partial bool
	Reason  Code
}

// ApplyOutcome is what became of a settle, a free or a new revision.
type ApplyOutcome int8

const (
	Applied   ApplyOutcome = iota // done, or nothing was left to do
	SetAside                      // the site is being rebuilt; it is applied at the end
	Displaced                     // a place has another owner: nothing was changed there, reconcile will look
	Ignored                       // the site must be rebuilt anyway, and reads the ledger then
)

// StuckPin is a pinned grant past its deadline, with its claims in order.
type StuckPin struct {
	Site   SiteID
	ID     HoldID
	Places []Placed
}

// SlotLoad is the ledger's live rows of one slot.
type SlotLoad struct {
	Slot SlotID
	Rows []LoadRow
}

// LoadRow is one live row as the inventory needs it.
type LoadRow struct {
	Place   int32
	Service ServiceCode
	Owner   HoldID
}

// EndedID is a grant that ended lately, and why.
type EndedID struct {
	ID     HoldID
	Reason Code
}

// SiteInventory is all that the inventory knows of one site.
type SiteInventory struct {
	Built      bool // at the caller's epoch and not being rebuilt
	Epoch      int64
	Generation int64
	Revisions  map[Date]int64
	Places     []PlaceState // by slot and place
	NowMs      int64
}

// PlaceState is one used place.
type PlaceState struct {
	Slot    SlotID
	Place   int32
	Service ServiceCode
	Owner   HoldID
	Booked  bool // otherwise held or pinned
}

// PlaceRange is part of a slot: its places from First to Last.
type PlaceRange struct {
	Slot        SlotID
	First, Last int32
}

// PlaceFix corrects one place. Was is compared by owner and booked; a nil side means free. Nothing is done where Now names a
// grant, or a place of one, that is marked as ended: it ended after the caller read the ledger. Where a hold gives way, its
// whole grant goes, without a mark: it counts as lost. A pin does not give way: it may be recorded at this moment, and only
// the ledger's evidence ends it. The grant of Now is left as it is. FreeGrant frees the whole grant of Was, pinned or not,
// and marks it ended.
type PlaceFix struct {
	Slot      SlotID
	Place     int32
	Was, Now  *PlaceState
	FreeGrant bool
	Reason    Code
}

// SlotUsage is how many claims of each service a slot has.
type SlotUsage struct {
	Slot   SlotID
	Counts Counts
}

// ChangeSet is a piece of the change feed.
type ChangeSet struct {
	Slots []SlotUsage
	Days  []DayRevision
	Next  string
	Reset bool
	More  bool // ask again at once
}

// DayRevision names a version of a day.
type DayRevision struct {
	Site     SiteID
	Date     Date
	Revision int64
}

// Clock tells time for what is no safety rule: search windows, log lines, retry pacing.
type Clock interface {
	Now() time.Time
}

// Postcodes places a postcode.
type Postcodes interface {
	// Locate normalises a postcode and places it. precision is unit, sector or outcode. ok is false for an unknown one.
	Locate(postcode string) (canonical string, lat, lon float64, precision string, ok bool)
}

// Nearest builds indexes of points.
type Nearest interface {
	// Index makes an immutable index over points, whose positions are those in the slices.
	Index(lats, lons []float64) NearestIndex
}

// NearestIndex finds points by distance. Safe for concurrent use.
type NearestIndex interface {
	// Visit calls visit with positions in order of distance, nearest first, until it returns false or the radius ends.
	Visit(lat, lon, radiusMetres float64, visit func(position int, distanceMetres float64) bool)
	// Marks makes a set of points, which holds all of them at first.
	Marks() PointMarks
}

// PointMarks is a changing set of the points of an index. Safe for concurrent use, except that the caller orders the changes
// of one point; a search that begins after a change returned heeds it.
type PointMarks interface {
	Set(position int)
	Unset(position int)
	// Nearest appends the k nearest points of the set within the radius to dst, nearest first and equally far ones by
	// position, and returns the extended slice. Distances are those of Visit.
	Nearest(lat, lon, radiusMetres float64, k int, dst []PointFound) []PointFound
}

// PointFound is a point that an index found.
type PointFound struct {
	Position       int
	DistanceMetres float64
}
