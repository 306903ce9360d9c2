package allocator

import (
	"context"
	"time"
)

// Ledger is the durable truth. Every method that writes is one SERIALIZABLE transaction, retried as a whole on
// serialization failures, and is safe to repeat. A nil error means that the transaction committed; ErrOutcomeUnknown
// that it may have, and repeating the call tells; any other error that nothing happened.
//
// Safe for concurrent use. Methods block until the answer or the end of ctx.
type Ledger interface {
	// Check fails with ErrSchema where the schema is older than the program needs, else with ErrUnavailable where the
	// ledger does not answer.
	Check(ctx context.Context) error
	// Agree lets all servers of an installation agree on a setting: it returns what is stored under the name, storing the
	// candidate first where there is nothing yet.
	Agree(ctx context.Context, name string, candidate []byte) ([]byte, error)
	// Amend makes a setting that is still was into now, and answers what is stored then; nothing for a name that is not there.
	Amend(ctx context.Context, name string, was, now []byte) ([]byte, error)

	// Epochs lists the current epoch of each shard that has one.
	Epochs(ctx context.Context) (map[int]ShardEpoch, error)
	// OpenEpoch makes expected+1 the shard's epoch, on the named incarnation. Where the present one is not expected, it
	// answers the present one and false. ErrIdentitySuperseded, whatever is expected, where the incarnation was replaced by
	// another before and the present epoch is younger than Quarantine by the ledger's clock.
	OpenEpoch(ctx context.Context, shard int, expected int64, identity string) (ShardEpoch, bool, error)

	// PutSite creates or replaces a site's details (never its generation); created tells which. The version is 1 at first
	// and raised by each change; equal details keep it, so that a repeat changes nothing. A site that names no publisher
	// keeps the one that is stored, and every site its suspensions: see DecideSite.
	PutSite(ctx context.Context, site Site, actor string) (created bool, err error)
	// PutOwnSite is PutSite by the site's publisher: a stored site of another one is left alone, with CodeSiteUnknown. Of
	// racing publishers that make the same site, one has it.
	PutOwnSite(ctx context.Context, site Site, actor string) (created bool, err error)
	// Suspend decides and writes that a site takes no new bookings of a service, or takes them again: the site's details with
	// its next version, and its published days with their next revisions. See DecideSuspension.
	Suspend(ctx context.Context, change SuspensionChange) (SuspensionResult, error)
	// PutService creates or replaces a service, with versions as PutSite has them.
	PutService(ctx context.Context, service Service, actor string) (created bool, err error)
	// Services lists every service by code.
	Services(ctx context.Context) ([]Service, error)
	// Sites lists up to limit sites by id, after the given one.
	Sites(ctx context.Context, after SiteID, limit int) ([]Site, error)
	// Site reads one; ok is false where there is none.
	Site(ctx context.Context, id SiteID) (site Site, ok bool, err error)
	// Days lists days with revision > 0 of sites in order of (site, date), after the given pair, from a date on.
	Days(ctx context.Context, after DayRevision, from Date, limit int) ([]Day, error)
	// Day reads one; a day that was never published has revision 0.
	Day(ctx context.Context, site SiteID, date Date) (Day, error)

	// SitePlan reads a site's plan; one that was never written has version 0.
	SitePlan(ctx context.Context, site SiteID) (SitePlan, error)
	// PutPlan stores a site's plan where the stored one has the version before; false where it has another one. A plan that
	// is stored already, by an earlier call whose answer was lost, counts as stored by this one.
	PutPlan(ctx context.Context, plan SitePlan) (stored bool, err error)
	// DuePlans lists up to limit plans that are due at an instant (milliseconds since 1970) or before, by site, after the
	// given one.
	DuePlans(ctx context.Context, by int64, after SiteID, limit int) ([]SitePlan, error)

	// Publish decides and writes changes of days, each in a transaction of its own; one result each. See DecidePublish.
	Publish(ctx context.Context, changes []DayChange) ([]PublishResult, error)
	// Record decides and writes bookings; one result each. See DecideRecords. Items of a batch are decided in order; one
	// that is refused hurts no other.
	Record(ctx context.Context, items []Recording) ([]RecordResult, error)
	// Void makes sure that a request will never be booked, unless it is already. See DecideVoid.
	Void(ctx context.Context, items []Voiding) ([]RecordResult, error)
	// Transition changes a booking's status. See DecideTransition.
	Transition(ctx context.Context, t Transition) (TransitionResult, error)

	// Bookings reads rows by key, void ones included; unknown keys are left out. Rows that are read, here and below, are in
	// no particular order, and never marked Unsupported: see MarkUnsupported.
	Bookings(ctx context.Context, keys []BookingKey) ([]Booking, error)
	// Booking reads a row that is not void, for whom it may be shown to; ok is false for any other, which the statement
	// itself leaves out.
	Booking(ctx context.Context, key BookingKey, subject Subject) (row Booking, ok bool, err error)
	// PersonBookings lists up to limit rows of a person, of any status, by key.
	PersonBookings(ctx context.Context, person PersonKey, limit int) ([]Booking, error)
	// Payloads lists up to limit rows that have a payload, by key, after the given one.
	Payloads(ctx context.Context, after BookingKey, limit int) ([]Payload, error)
	// Reseal replaces payloads, each only where it still is as it was, and answers how many it replaced. Nothing else of the
	// rows changes, neither their version nor their events.
	Reseal(ctx context.Context, items []Resealing) (int, error)
	// Slot reads a day's document and the live rows of one of its slots, as of one instant.
	Slot(ctx context.Context, slot SlotID, date Date) (Day, []Booking, error)
	// DayBookings reads a day's document and every row of that date, ended ones included and void ones not.
	DayBookings(ctx context.Context, site SiteID, date Date) (Day, []Booking, error)
	// SiteState reads, as of one instant and never from a follower, what a rebuild or reconcile of a site needs: live rows
	// that start at or after from, what ended since, revisions from that day on, and the generation.
	SiteState(ctx context.Context, site SiteID, from Minute, endedSince time.Time) (SiteLedger, error)
	// LivePlaces is what live rows say of some slots' places, never from a follower. All of them are booked.
	LivePlaces(ctx context.Context, ranges []PlaceRange) ([]PlaceState, error)
	// Generations lists the sites whose generation is above 0.
	Generations(ctx context.Context) (map[SiteID]int64, error)
	// Changed tells what changed lately: days whose revision rose, and claims that ended or were voided, since an
	// instant of the ledger's clock (transactions that were still open then included: look back a little). Now is the
	// instant to ask from next time.
	Changed(ctx context.Context, since time.Time) (Changed, error)
	// Events lists the outbox in order, after a cursor ("" for the beginning). Once an event was listed, none comes before it.
	Events(ctx context.Context, after string, limit int) (events []Event, next string, err error)
	// LastEvent is a cursor after which Events lists whatever is recorded from now on. Events of a moment ago may come after
	// it too.
	LastEvent(ctx context.Context) (cursor string, err error)

	// Webhooks lists up to limit subscriptions by id, after the given one.
	Webhooks(ctx context.Context, after string, limit int) ([]WebhookRow, error)
	// Webhook reads one; ok is false where there is none.
	Webhook(ctx context.Context, id string) (row WebhookRow, ok bool, err error)
	// SwapWebhook replaces, makes or removes a subscription, where its version is the one before next's; false where it has
	// another version, and then nothing is changed. Repeated, it answers true as long as nothing else happened since. See
	// DecideWebhook.
	SwapWebhook(ctx context.Context, next WebhookRow) (bool, error)

	// AppendTrail adds entries to the audit trail, all or none, after the entry of the given number (0: the first ones). False
	// where that is not the last one any more. Entries are never changed and never taken away.
	AppendTrail(ctx context.Context, after int64, entries []TrailEntry) (bool, error)
	// Trail lists entries of the audit trail in order. See TrailQuery.
	Trail(ctx context.Context, q TrailQuery) ([]TrailEntry, error)
	// TrailEnd reads the last entry of the audit trail; Seq is 0 where there is none.
	TrailEnd(ctx context.Context) (TrailEntry, error)
	// Now is the ledger's clock.
	Now(ctx context.Context) (time.Time, error)
	// Close ends every connection.
	Close() error
}

// ShardEpoch is which generation of a shard is current and which incarnation it belongs to.
type ShardEpoch struct {
	Epoch    int64
	Identity string
}

// DayChange asks for a new version of a day.
type DayChange struct {
	Day      Day // Revision is ignored
	Zone     *time.Location
	IfMatch  *int64 // the revision that must be current; nil: any
	DryRun   bool
	Cancel   bool   // cancel what the change leaves unsupported
	Actor    string // who, for the audit trail
	Services bool   // create unknown services with their defaults (--dev)
	Plan     int64  // the version of the site's plan that must be current; 0: any
}

// PublishOutcome is what became of a DayChange.
type PublishOutcome int8

const (
	Published          PublishOutcome = iota // or would be, for a dry run
	PublishMismatch                          // IfMatch is not the current revision, or Plan not the current version
	PublishSiteUnknown                       //
	PublishServices                          // Unknown lists services that do not exist
)

// PublishResult answers a DayChange.
type PublishResult struct {
	Outcome          PublishOutcome
	Revision         int64 // now current
	Previous         Day
	Current          Day // as it is now, or would be
	Added, Removed   int // places
	Supported        int // live bookings with a seat
	NewlyUnsupported []Booking
	NewlySupported   []Booking
	Cancelled        []Booking // all that have no seat after the change, where asked for
	Unknown          []ServiceCode
}

// Recording asks to record the claims of one request, all or none.
type Recording struct {
	Claims   []Booking  // with Status, Version and RecordedAt unset
	Pins     []Evidence // one per site
	Replaces BookingKey // the live booking that ends in the same transaction; 0: none
	Actor    string
}

// Evidence is what a pin showed of a site, and under which revisions the places were granted.
type Evidence struct {
	Site       SiteID
	Shard      int
	Pinned     bool // false: recorded past the inventory
	Epoch      int64
	Generation int64
	Revisions  map[Date]int64
}

// RecordOutcome is what became of a Recording or a Voiding.
type RecordOutcome int8

const (
	Recorded       RecordOutcome = iota // now, by this call
	RecordedEver                        // the request's rows were there already: Rows, of any live or ended status
	RecordVoid                          // the request was voided: Reason
	RecordPerson                        // a person has a live booking of that programme and dose: claim Claim
	RecordTaken                         // the place of claim Claim has another live owner: Taken
	RecordUnseated                      // the claims do not seat in the day's document, first at claim Claim
	RecordReplace                       // the booking to replace is not live
	RecordForeign                       // rows under the request's keys are of another person, slot or service
	Voided                              // now, by this call
)

// RecordResult answers a Recording or a Voiding.
type RecordResult struct {
	Outcome    RecordOutcome
	Rows       []Booking // the request's rows, in order of claims: Recorded, RecordedEver
	Reason     Code
	Claim      int
	Taken      HoldID // owner of that place, and what it uses it for
	TakenFor   ServiceCode
	Raised     []SiteID   // sites whose generation this raised: they must be rebuilt
	Replaced   *Booking   // the row that a move ended, as it is now
	AlreadyHas BookingKey // RecordPerson: the person's live booking
}

// Voiding asks that the claims of a request never be booked.
type Voiding struct {
	Claims []Booking // Key, Hold, Slot, Date, Place, Service are kept
	Reason Code
}

// Transition asks for a new status of a booking.
type Transition struct {
	Key    BookingKey
	To     Status
	Reason string
	Actor  string
}

// TransitionResult answers a Transition.
type TransitionResult struct {
	Found   bool
	Refused bool // To cannot follow the present status
	Changed bool // false where the booking had that status already
	Booking Booking
}

// Subject says whose bookings may be read: where it is bound, those at the sites of a publisher; of none where that is "".
type Subject struct {
	Bound     bool
	Publisher string
}

// Payload is a row's encrypted details, with what says how long they are kept.
type Payload struct {
	Key    BookingKey
	Date   Date
	Status Status
	Sealed []byte
}

// Resealing asks for another payload of a row. Was and Now may be none; nobody: the row is no longer anybody's, either.
type Resealing struct {
	Key      BookingKey
	Was, Now []byte
	Nobody   bool
}

// SiteLedger is what the ledger knows of a site.
type SiteLedger struct {
	Site      Site
	Found     bool
	Revisions map[Date]int64
	Live      []Booking
	Ended     []EndedID // grants none of whose rows is live, ended or voided since the asked time
}

// Changed answers Ledger.Changed.
type Changed struct {
	Now   time.Time
	Days  []DayRevision
	Ended []EndedClaim
}

// EndedClaim is where a claim ended, and whose it was.
type EndedClaim struct {
	Slot  SlotID
	Owner HoldID
}
