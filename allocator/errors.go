package allocator

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable, closed list of reasons why something was not done. The edge maps each to a status in one table.
type Code string

// The codes. Their meaning never changes; see docs/api.md.
const (
	CodeInvalid             Code = "INVALID_REQUEST"       // malformed or out of bounds; Faults say where
	CodePostcodeUnknown     Code = "POSTCODE_UNKNOWN"      //
	CodeSiteUnknown         Code = "SITE_UNKNOWN"          //
	CodeServiceUnknown      Code = "SERVICE_UNKNOWN"       //
	CodeSlotUnknown         Code = "SLOT_UNKNOWN"          // nothing is published there for that service
	CodeSlotFull            Code = "SLOT_FULL"             // with alternatives
	CodeSessionClosed       Code = "SESSION_CLOSED"        // stopped, site offline, or not open to the caller
	CodeOutsideWindow       Code = "OUTSIDE_WINDOW"        // past, too soon, too far ahead, or booking not open yet
	CodeNotEligible         Code = "NOT_ELIGIBLE"          //
	CodeHoldUnknown         Code = "HOLD_UNKNOWN"          // not a token of this installation
	CodeHoldExpired         Code = "HOLD_EXPIRED"          //
	CodeHoldReleased        Code = "HOLD_RELEASED"         //
	CodeHoldRevoked         Code = "HOLD_REVOKED"          // its capacity was withdrawn before it was confirmed
	CodeHoldLost            Code = "HOLD_LOST"             // the inventory lost it and the slot is full; with alternatives
	CodeHoldBooked          Code = "HOLD_BOOKED"           // it is a booking already, and cannot be released or extended
	CodeAlreadyBooked       Code = "ALREADY_BOOKED"        // the person has a live booking of that programme and dose
	CodeNHSNumberInvalid    Code = "NHS_NUMBER_INVALID"    //
	CodeIdempotencyMismatch Code = "IDEMPOTENCY_MISMATCH"  // same key, other body
	CodeInProgress          Code = "IN_PROGRESS"           // the same request is still running
	CodeOutcomeUnknown      Code = "OUTCOME_UNKNOWN"       // repeat the request: the answer becomes definite
	CodeRevisionMismatch    Code = "REVISION_MISMATCH"     //
	CodeBookingUnknown      Code = "BOOKING_UNKNOWN"       // or not the caller's: never told apart
	CodeBookingEnded        Code = "BOOKING_ENDED"         // it was cancelled or moved before
	CodeTransitionRefused   Code = "TRANSITION_REFUSED"    // that status cannot follow the present one
	CodeWebhookUnknown      Code = "WEBHOOK_UNKNOWN"       // or not the caller's: never told apart
	CodeWebhookLimit        Code = "WEBHOOK_LIMIT"         // the organisation has as many as it may have
	CodeUnauthorised        Code = "UNAUTHORISED"          //
	CodeForbidden           Code = "FORBIDDEN"             //
	CodeRateLimited         Code = "RATE_LIMITED"          // the caller's limit
	CodeOverloaded          Code = "OVERLOADED"            // ours
	CodeUnavailable         Code = "INVENTORY_UNAVAILABLE" // the shard of that site cannot be reached
	CodeLedgerUnavailable   Code = "LEDGER_UNAVAILABLE"    //
	CodeWaitingRoom         Code = "WAITING_ROOM"          // holds need a pass now: queue first
	CodeTicketUnknown       Code = "TICKET_UNKNOWN"        // no ticket of this waiting room, or its call is over
	CodeInternal            Code = "INTERNAL"              //
)

// Codes lists every code once.
var Codes = []Code{
	CodeInvalid, CodePostcodeUnknown, CodeSiteUnknown, CodeServiceUnknown, CodeSlotUnknown, CodeSlotFull, CodeSessionClosed,
	CodeOutsideWindow, CodeNotEligible, CodeHoldUnknown, CodeHoldExpired, CodeHoldReleased, CodeHoldRevoked, CodeHoldLost,
	CodeHoldBooked, CodeAlreadyBooked, CodeNHSNumberInvalid, CodeIdempotencyMismatch, CodeInProgress, CodeOutcomeUnknown,
	CodeRevisionMismatch, CodeBookingUnknown, CodeBookingEnded, CodeTransitionRefused, CodeWebhookUnknown, CodeWebhookLimit,
	CodeUnauthorised, CodeForbidden, CodeRateLimited, CodeOverloaded, CodeUnavailable, CodeLedgerUnavailable,
	CodeWaitingRoom, CodeTicketUnknown, CodeInternal,
}

// Error is a refusal with its code. Cause, when present, is for logs only and never reaches a client.
type Error struct {
	Code         Code
	Detail       string
	Faults       []Fault
	Alternatives []Alternative
	RetryAfter   time.Duration // zero: not worth saying
	Cause        error
}

func (e *Error) Error() string {
	text := string(e.Code)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Refuse makes a refusal.
func Refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf finds the code of an error; CodeInternal where it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Failures of a whole call to an inventory or a ledger. Adapters wrap one of them; anything else counts as ErrUnavailable.
var (
	// ErrUnavailable: the other side could not be reached, or answered nothing in time. Of a ledger: nothing happened. Of an
	// inventory: the effect may have happened; repeating the call is safe.
	ErrUnavailable = errors.New("unavailable")
	// ErrOutcomeUnknown: a commit was sent and its answer never came. Sending the same again makes it definite.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrIncarnationLost: the node that answers is not the one the epoch belongs to, or has lost its memory. Nothing was done.
	ErrIncarnationLost = errors.New("incarnation lost")
	// ErrEpochStale: the shard has a newer epoch than the caller's. Nothing was done.
	ErrEpochStale = errors.New("epoch is stale")
	// ErrIdentitySuperseded: the ledger gives no epoch to an incarnation that was replaced a moment ago: see Quarantine.
	ErrIdentitySuperseded = errors.New("incarnation was superseded")
	// ErrSchema: the ledger's schema is not the one this program needs.
	ErrSchema = errors.New("ledger schema does not fit")
)
