package fhir

import (
	"strconv"
	"time"

	"muster/allocator"
)

// NewBundle begins a searchset as of an instant; zero: now, whenever that is.
func NewBundle(asOf time.Time) *Bundle {
	b := &Bundle{ResourceType: "Bundle", Type: "searchset"}
	if !asOf.IsZero() {
		b.Meta = &Meta{LastUpdated: moment(asOf)}
	}
	return b
}

// Add puts a resource with an id into the bundle, for a mode of search.
func (b *Bundle) Add(base, resource, id, mode string, r any) {
	b.Entry = append(b.Entry, Entry{FullURL: base + "/" + resource + "/" + id, Resource: r, Search: &Search{mode}})
}

// Tell puts an outcome into the bundle that is worth knowing and no failure.
func (b *Bundle) Tell(severity, code, text string) {
	b.Entry = append(b.Entry, Entry{Resource: &OperationOutcome{"OperationOutcome", []Issue{{Severity: severity, Code: code, Diagnostics: text}}}, Search: &Search{"outcome"}})
}

// ETag is a version as FHIR's weak entity tag.
func ETag(version int) string { return `W/"` + strconv.Itoa(version) + `"` }

// meanings are the issue types of codes that say more than their status, and the codes of the Booking and Referral
// Standard by status: those of a receiver, where it has one.
var (
	issueTypes = map[allocator.Code]string{
		allocator.CodeHoldExpired: "expired", allocator.CodeAlreadyBooked: "duplicate", allocator.CodeInProgress: "lock-error",
		allocator.CodeNotEligible: "business-rule", allocator.CodeOutsideWindow: "business-rule", allocator.CodeNHSNumberInvalid: "value",
		allocator.CodeSessionClosed: "business-rule", allocator.CodeOutcomeUnknown: "incomplete", allocator.CodeUnauthorised: "login",
	}
	statuses = map[int]struct{ code, issue string }{
		400: {"REC_BAD_REQUEST", "invalid"},
		401: {"REC_UNAUTHORIZED", "security"},
		403: {"REC_FORBIDDEN", "forbidden"},
		404: {"REC_NOT_FOUND", "not-found"},
		405: {"SEND_METHOD_NOT_ALLOWED", "not-supported"},
		406: {"REC_NOT_ACCEPTABLE", "not-supported"},
		408: {"REC_TIMEOUT", "timeout"},
		409: {"REC_CONFLICT", "conflict"},
		410: {"REC_CONFLICT", "deleted"},
		412: {"REC_CONFLICT", "conflict"},
		413: {"REC_BAD_REQUEST", "too-long"},
		415: {"REC_BAD_REQUEST", "not-supported"},
		422: {"REC_UNPROCESSABLE_ENTITY", "processing"},
		429: {"REC_TOO_MANY_REQUESTS", "throttled"},
		431: {"REC_BAD_REQUEST", "too-long"},
		500: {"REC_SERVER_ERROR", "exception"},
		503: {"REC_UNAVAILABLE", "transient"},
	}
)

// Refusal is what an outcome is made of.
type Refusal struct {
	Status       int // of HTTP
	Code         allocator.Code
	Title        string
	Detail       string
	Faults       []Fault
	Alternatives []Alternative
}

// Fault is one thing that is wrong with the request. Expression is FHIRPath; "" where it is not within the body. Issue is
// the type of the issue.
type Fault struct{ Expression, Issue, Detail string }

// Alternative is a slot offered in place of a lost one.
type Alternative struct {
	Place
	Text string
}

// OutcomeOf is a refusal as an OperationOutcome: an issue for each fault, or one for the whole, and one of information for
// each alternative.
func OutcomeOf(r *Refusal) *OperationOutcome {
	status, ok := statuses[r.Status]
	if !ok {
		status = statuses[500]
	}
	issue := status.issue
	if special, ok := issueTypes[r.Code]; ok {
		issue = special
	}
	details := &CodeableConcept{
		Coding: []Coding{{System: SystemErrors, Code: status.code}, {System: SystemProblem, Code: string(r.Code)}}, Text: r.Title,
	}
	o := &OperationOutcome{ResourceType: "OperationOutcome"}
	for _, f := range r.Faults {
		i := Issue{Severity: "error", Code: f.Issue, Details: details, Diagnostics: f.Detail}
		if f.Expression != "" {
			i.Expression = []string{f.Expression}
		}
		o.Issue = append(o.Issue, i)
	}
	if len(r.Faults) == 0 {
		o.Issue = append(o.Issue, Issue{Severity: "error", Code: issue, Details: details, Diagnostics: r.Detail})
	}
	for _, a := range r.Alternatives {
		if id := a.ID(); id != "" {
			o.Issue = append(o.Issue, Issue{
				Severity: "information", Code: "informational", Details: &CodeableConcept{Coding: []Coding{{System: SystemSlot, Code: id}}}, Diagnostics: a.Text,
			})
		}
	}
	return o
}
