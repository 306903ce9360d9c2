package allocator

import (
	"strings"
	"time"
)

// EventType names a transition in the outbox.
type EventType string

// The types of events.
const (
	EventBooked    EventType = "booking.booked"
	EventCancelled EventType = "booking.cancelled"
	EventMoved     EventType = "booking.moved" // the old booking of a move; the new one is booked
	EventStatus    EventType = "booking.status"
	EventCapacity  EventType = "capacity.changed"
	EventSite      EventType = "site.changed" // made, or its details changed
	EventService   EventType = "service.changed"
)

// Catalogue says whether the transition is of a site's details or a service: the audit trail has it, the feed does not.
func (t EventType) Catalogue() bool { return t == EventSite || t == EventService }

// Event is one transition: what the audit trail and the feed are made of. It carries no personal data beyond the person key.
type Event struct {
	Cursor   string // a decimal number, higher than that of the event before
	Type     EventType
	At       time.Time
	Actor    string
	Request  string     // id of the request by which it happened; "" where there was none
	Site     SiteID     // "" for services
	Booking  BookingKey // zero but for bookings
	Slot     SlotID     // zero but for bookings
	Service  ServiceCode
	Person   PersonKey
	Status   Status
	Version  int
	Reason   string
	Date     Date  // of the day, for capacity; of the slot, for bookings
	Revision int64 // of a day; the version of a site or service
}

// requestMark stands between an actor and its request where ledgers keep both as one text. What follows its last occurrence
// is a request's id, which has no spaces.
const requestMark = " request="

// author is who a caller is and by which request, as ledgers keep it.
func (c Caller) author() string {
	actor := c.Actor
	if actor == "" {
		actor = "public"
	}
	if c.Request == "" {
		return actor
	}
	return actor + requestMark + c.Request
}

// ReadAuthor takes apart what a ledger keeps of who made a change.
func ReadAuthor(stored string) (actor, request string) {
	if i := strings.LastIndex(stored, requestMark); i >= 0 {
		return stored[:i], stored[i+len(requestMark):]
	}
	return stored, ""
}

// SiteEvent describes a site's new version.
func SiteEvent(id SiteID, version int64, author string, at time.Time) Event {
	return Event{Type: EventSite, At: at, Actor: author, Site: id, Revision: version}
}

// ServiceEvent describes a service's new version.
func ServiceEvent(code ServiceCode, version int64, author string, at time.Time) Event {
	return Event{Type: EventService, At: at, Actor: author, Service: code, Revision: version}
}

// TrailEntry is one event in the audit trail, chained to the entry before. Package trail says what the hashes are of.
type TrailEntry struct {
	Seq                    int64 // 1, 2, 3, …
	Event                  Event // without Person
	Digest, Previous, Hash [32]byte
	Seal                   []byte // of the last entry of each append; nil elsewhere
}

// TrailQuery asks for entries of the audit trail that meet every condition which is set.
type TrailQuery struct {
	After    int64 // entries above this number
	Limit    int
	Site     SiteID
	Booking  BookingKey
	Actor    string
	From, To time.Time // From is included, To is not
}
