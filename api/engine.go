package api

import (
	"context"

	"muster/allocator"
)

// Engine does what the requests ask for. Errors that are (or wrap) an *allocator.Error are answered with their code;
// every other error is answered as INTERNAL and its text goes to the log only.
//
// Safe for concurrent use. Methods block until the answer or the end of ctx.
type Engine interface {
	// Ready names what is missing before the server may take traffic; empty: ready.
	Ready(ctx context.Context) []string

	Hold(ctx context.Context, req allocator.HoldRequest) (allocator.Hold, error)
	Inspect(ctx context.Context, token string) (allocator.HoldView, error)
	Release(ctx context.Context, token string) error
	Extend(ctx context.Context, token string) (allocator.Hold, error)
	Confirm(ctx context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error)

	Booking(ctx context.Context, access allocator.BookingAccess) (allocator.BookingView, error)
	Cancel(ctx context.Context, access allocator.BookingAccess, reason string, caller allocator.Caller) (allocator.BookingView, error)
	SetStatus(ctx context.Context, reference string, status allocator.Status, caller allocator.Caller) (allocator.BookingView, error)
	WalkIn(ctx context.Context, req allocator.WalkInRequest) (allocator.BookingView, error)
	DayBookings(ctx context.Context, site allocator.SiteID, date allocator.Date) ([]allocator.BookingView, error)

	// ExportPerson and ErasePerson are for operators only.
	ExportPerson(ctx context.Context, nhsNumber string, caller allocator.Caller) (allocator.PersonExport, error)
	ErasePerson(ctx context.Context, nhsNumber string, caller allocator.Caller) (allocator.Erasure, error)

	// PutSite and PutService tell whether the thing is new.
	PutSite(ctx context.Context, site allocator.Site, caller allocator.Caller) (allocator.Site, bool, error)
	Site(ctx context.Context, id allocator.SiteID) (allocator.Site, error)
	PutService(ctx context.Context, service allocator.Service, caller allocator.Caller) (allocator.Service, bool, error)
	Services(ctx context.Context) ([]allocator.Service, error)

	Day(ctx context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, error)
	PublishDay(ctx context.Context, req allocator.PublishRequest) (allocator.PublishReply, error)
	EditDays(ctx context.Context, req allocator.EditRequest) ([]allocator.EditedDay, error)
	Suspend(ctx context.Context, req allocator.SuspensionRequest) (allocator.SuspensionReply, error)
	Suspensions(ctx context.Context, site allocator.SiteID, caller allocator.Caller) ([]allocator.Suspension, error)
	// Plan reads a site's plan, and which days were edited by hand.
	Plan(ctx context.Context, site allocator.SiteID) (allocator.SitePlan, []allocator.Date, error)
	PutPlan(ctx context.Context, req allocator.PlanRequest) (allocator.PlanReply, error)
	// PublishMany answers each request with a reply or an error at the same index. No (site, date) occurs twice in a call.
	PublishMany(ctx context.Context, reqs []allocator.PublishRequest) ([]allocator.PublishReply, []error)

	Search(ctx context.Context, req allocator.SearchRequest) (allocator.SearchReply, error)
	Availability(ctx context.Context, req allocator.AvailabilityRequest) (allocator.AvailabilityReply, error)
	FreeCapacity(ctx context.Context, req allocator.FreeCapacityRequest) (allocator.FreeCapacityReply, error)
	// Locate finds a postcode in memory.
	Locate(postcode string) (canonical string, lat, lon float64, precision string, err error)

	// Events lists events after a cursor ("" for the beginning), and the cursor to go on from.
	Events(ctx context.Context, after string, limit int) ([]allocator.Event, string, error)
	// Trail lists entries of the audit trail in order.
	Trail(ctx context.Context, q allocator.TrailQuery) ([]allocator.TrailEntry, error)
}
