package api

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/api/fhir"
	"muster/api/framing"
)

// Codes of the edge itself, besides those of package allocator.
const (
	CodeNotFound         allocator.Code = "NOT_FOUND"          // no such route
	CodeMethodNotAllowed allocator.Code = "METHOD_NOT_ALLOWED" // Allow lists the methods
)

// meaning is how a code is answered.
type meaning struct {
	status int
	title  string
}

// meanings is the one table from codes to statuses. INVALID_REQUEST has a few more specific statuses of HTTP's own: see
// refusal.
var meanings = map[allocator.Code]meaning{
	allocator.CodeInvalid:             {400, "The request is not valid"},
	allocator.CodePostcodeUnknown:     {404, "The postcode is not known"},
	allocator.CodeSiteUnknown:         {404, "The site is not known"},
	allocator.CodeServiceUnknown:      {404, "The service is not known"},
	allocator.CodeSlotUnknown:         {404, "Nothing is offered there"},
	allocator.CodeSlotFull:            {409, "The slot is full"},
	allocator.CodeSessionClosed:       {409, "The session takes no bookings"},
	allocator.CodeOutsideWindow:       {422, "The time cannot be booked now"},
	allocator.CodeNotEligible:         {422, "The person is not eligible"},
	allocator.CodeHoldUnknown:         {404, "The hold is not known"},
	allocator.CodeHoldExpired:         {410, "The hold has expired"},
	allocator.CodeHoldReleased:        {410, "The hold was released"},
	allocator.CodeHoldRevoked:         {410, "The hold's capacity was withdrawn"},
	allocator.CodeHoldLost:            {409, "The hold was lost and the slot is full"},
	allocator.CodeHoldBooked:          {409, "The hold is a booking already"},
	allocator.CodeAlreadyBooked:       {409, "The person has a booking already"},
	allocator.CodeNHSNumberInvalid:    {422, "The NHS number is not valid"},
	allocator.CodeIdempotencyMismatch: {422, "The Idempotency-Key was used for another request"},
	allocator.CodeInProgress:          {409, "The same request is still running"},
	allocator.CodeOutcomeUnknown:      {503, "The outcome is not known yet"},
	allocator.CodeRevisionMismatch:    {412, "The document has changed"},
	allocator.CodeBookingUnknown:      {404, "The booking is not known"},
	allocator.CodeBookingEnded:        {409, "The booking has ended"},
	allocator.CodeTransitionRefused:   {409, "The booking cannot change so"},
	allocator.CodeWebhookUnknown:      {404, "The webhook is not known"},
	allocator.CodeWebhookLimit:        {409, "There are too many webhooks"},
	allocator.CodeUnauthorised:        {401, "Credentials are needed"},
	allocator.CodeForbidden:           {403, "The credentials do not allow this"},
	allocator.CodeRateLimited:         {429, "Too many requests"},
	allocator.CodeOverloaded:          {503, "The service is busy"},
	allocator.CodeUnavailable:         {503, "The inventory cannot be reached"},
	allocator.CodeLedgerUnavailable:   {503, "The ledger cannot be reached"},
	allocator.CodeInternal:            {500, "Something went wrong"},
	allocator.CodeWaitingRoom:         {429, "There is a queue"},
	allocator.CodeTicketUnknown:       {404, "The ticket is not known"},
	CodeNotFound:                      {404, "There is nothing here"},
	CodeMethodNotAllowed:              {405, "The method is not allowed here"},
}

// statusError gives INVALID_REQUEST a status that says more than 400.
type statusError struct {
	refusal *allocator.Error
	status  int
}

func (e statusError) Error() string { return e.refusal.Error() }

func (e statusError) Unwrap() error { return e.refusal }

// currentError is a refusal that shows the document as it is.
type currentError struct {
	error
	document any
}

func (e currentError) Unwrap() error { return e.error }

func refuseWith(status int, detail string) error {
	return statusError{allocator.Refuse(allocator.CodeInvalid, "%s", detail), status}
}

// problem is an RFC 9457 document.
type problem struct {
	Type         string            `json:"type"`
	Title        string            `json:"title"`
	Status       int               `json:"status"`
	Detail       string            `json:"detail,omitempty"`
	Instance     string            `json:"instance,omitempty"`
	Code         allocator.Code    `json:"code"`
	Errors       []faultView       `json:"errors,omitempty"`
	Alternatives []alternativeView `json:"alternatives,omitempty"`
	Current      any               `json:"current,omitempty"` // the document, where it is not the one that was meant
}

type faultView struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

type alternativeView struct {
	SiteID         allocator.SiteID      `json:"siteId"`
	Name           string                `json:"name"`
	Service        allocator.ServiceCode `json:"service,omitempty"`
	DistanceMetres int                   `json:"distanceMetres"`
	Start          string                `json:"start"`
	Length         int16                 `json:"length"`
	Free           int                   `json:"free"`
}

// problemOf makes the document for an error. Of an internal error it tells nothing.
func (s *Server) problemOf(err error) problem {
	e := refusalOf(err)
	m, ok := meanings[e.Code]
	if !ok {
		e, m = &allocator.Error{Code: allocator.CodeInternal}, meanings[allocator.CodeInternal]
	}
	p := problem{Type: "urn:muster:problem:" + string(e.Code), Title: m.title, Status: m.status, Detail: e.Detail, Code: e.Code}
	if status := (statusError{}); errors.As(err, &status) {
		p.Status = status.status
	}
	if current := (currentError{}); errors.As(err, &current) {
		p.Current = current.document
	}
	if e.Code == allocator.CodeInternal {
		p.Detail = "This is our fault, not yours. The request id finds it in our logs."
		return p
	}
	for _, f := range e.Faults {
		p.Errors = append(p.Errors, faultView(f))
	}
	for _, a := range e.Alternatives {
		p.Alternatives = append(p.Alternatives, alternativeView{
			SiteID: a.Site, Name: a.SiteName, Service: a.Service, DistanceMetres: a.DistanceMetres, Start: s.zones.instant(a.Start.Time(), a.TimeZone),
			Length: a.Length, Free: a.Free,
		})
	}
	return p
}

// refusalOf finds the coded error within an error; INTERNAL, with the error as its cause, where there is none.
func refusalOf(err error) *allocator.Error {
	var e *allocator.Error
	if errors.As(err, &e) && e != nil {
		return e
	}
	return &allocator.Error{Code: allocator.CodeInternal, Cause: err}
}

// late gives an engine's bare time-out the code that is true of it: what only reads was refused, what writes may have
// happened.
func late(err error, writes bool) error {
	var e *allocator.Error
	if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) {
		return err
	}
	if writes {
		return &allocator.Error{Code: allocator.CodeOutcomeUnknown, Detail: "no answer came in time; repeat the request", Cause: err}
	}
	return &allocator.Error{Code: allocator.CodeOverloaded, Detail: "no answer came in time", Cause: err}
}

// retryAfter is the Retry-After of a refusal in whole seconds, at least 1 where the status wants one; 0: none. Those who were
// refused for want of room or of a dependency, or for their limit, are spread over half as long again.
func (s *Server) retryAfter(e *allocator.Error, status int) int {
	seconds := int(math.Ceil(math.Min(e.RetryAfter.Seconds(), 3600)))
	if status == 429 || status == 503 {
		seconds = max(1, seconds)
		return seconds + s.spread(max(1, seconds/2)+1)
	}
	if e.Code == allocator.CodeInProgress {
		seconds = max(1, seconds)
	}
	return max(0, seconds)
}

// writeProblem answers with a problem document, and keeps headers that were set before.
func (s *Server) writeProblem(x *exchange, err error) {
	e := refusalOf(err)
	p := x.problem(err)
	x.code = p.Code
	h := &x.http.Response.Header
	if after := s.retryAfter(e, p.Status); after > 0 {
		h.Set("Retry-After", strconv.Itoa(after))
	}
	if p.Code == allocator.CodeUnauthorised && len(h.Peek("WWW-Authenticate")) == 0 {
		h.Set("WWW-Authenticate", `Bearer realm="muster"`)
	}
	if x.isFHIR() {
		x.writeJSON(p.Status, fhir.MediaType, x.outcome(&p, e))
	} else {
		x.writeJSON(p.Status, "application/problem+json", &p)
	}
	if ours(&p, e) && s.worthALine(x.route.operation, p.Status) {
		s.log.LogAttrs(context.Background(), levelOf(p.Status), "request failed", x.attrs("cause", causeOf(e))...)
	}
}

// problem is the document for an error of this request.
func (x *exchange) problem(err error) problem {
	p := x.server.problemOf(err)
	p.Instance = "urn:muster:request:" + x.id
	return p
}

// ours says that a refusal has a cause which the log has to tell.
func ours(p *problem, e *allocator.Error) bool {
	return p.Status >= 500 && e.Cause != nil || p.Code == allocator.CodeInternal
}

// busyLines bounds the log lines of one operation that say no more than that there was no room, or no dependency: a surge of
// refusals must not cost a line each. Metrics count all of them.
var busyLines = Rate{Burst: 10, Every: 100 * time.Millisecond}

func (s *Server) worthALine(operation string, status int) bool {
	if status != fasthttp.StatusServiceUnavailable {
		return true
	}
	ok, _, _ := s.lines.allow(operation, s.options.Now())
	return ok
}

func causeOf(e *allocator.Error) string {
	if e.Cause != nil {
		return e.Cause.Error()
	}
	return e.Detail
}

// transportFailed answers what fasthttp could not read as a request.
func (s *Server) transportFailed(ctx *fasthttp.RequestCtx, err error) {
	status, detail := fasthttp.StatusBadRequest, "the request is not well-formed HTTP"
	var small *fasthttp.ErrSmallBuffer
	var fault framing.Fault
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &fault) && fault != framing.TooLong && fault != framing.TooMany:
		detail = fault.Error()
	case errors.As(err, &small) || fault != "":
		status, detail = fasthttp.StatusRequestHeaderFieldsTooLarge, "the request line and headers are too large"
	case errors.As(err, &timeout) && timeout.Timeout():
		status, detail = fasthttp.StatusRequestTimeout, "the request did not arrive in time"
	}
	ctx.Response.Reset()
	x := &exchange{server: s, http: ctx, id: newRequestID(), route: &route{operation: "unreadable", path: "-", class: classFree}, started: time.Now()}
	s.secure(x)
	s.writeProblem(x, refuseWith(status, detail))
	x.finish()
}
