package api

import (
	"context"

	"github.com/valyala/fasthttp"
)

// Body limits.
const (
	noBody     = 0         // whatever comes is not looked at
	smallBody  = 64 << 10  // people's requests
	batchBody  = 256 << 10 // many requests of people in one
	dayBody    = 1 << 20   // a site's day
	streamBody = -1        // of any length, read in pieces
)

type handler func(s *Server, ctx context.Context, x *exchange) (reply, error)

const (
	sitePath       = "/v1/sites/{siteId}"
	suspensionPath = "/v1/sites/{siteId}/suspensions/{service}"

	waitingRoomPath = "/v1/services/{service}/waiting-room"

	uploadPath  = "/v1/capacity"
	batchSuffix = ":batch"
)

// route is one row of the contract. Scopes: any one of them suffices; none: open to the public.
type route struct {
	operation string
	method    string
	path      string
	scopes    []string
	class     class
	body      int
	handle    handler
}

const (
	get  = fasthttp.MethodGet
	post = fasthttp.MethodPost
	put  = fasthttp.MethodPut
	del  = fasthttp.MethodDelete
)

// routes lists every route once. openapi.yaml says the same at length; openapi_test.go compares.
func routes() []route {
	public := []string(nil)
	return []route{
		{"searchSites", get, "/v1/sites", public, classSearch, noBody, (*Server).searchSites},
		{"getSite", get, "/v1/sites/{siteId}", public, classSearch, noBody, (*Server).getSite},
		{"putSite", put, "/v1/sites/{siteId}", []string{ScopeSitesWrite}, classStaff, smallBody, (*Server).putSite},
		{"getAvailability", get, "/v1/sites/{siteId}/availability", public, classSearch, noBody, (*Server).getAvailability},
		{"listServices", get, "/v1/services", public, classSearch, noBody, (*Server).listServices},
		{"putService", put, "/v1/services/{service}", []string{ScopeAdmin}, classStaff, smallBody, (*Server).putService},
		{"getWaitingRoom", get, waitingRoomPath, public, classFree, noBody, (*Server).getWaitingRoom},
		{"putWaitingRoom", put, waitingRoomPath, []string{ScopeAdmin}, classStaff, smallBody, (*Server).putWaitingRoom},
		{"joinWaitingRoom", post, "/v1/waiting-room/tickets", public, classFree, smallBody, (*Server).joinWaitingRoom},
		{"lookWaitingRoom", get, "/v1/waiting-room/ticket", public, classFree, noBody, (*Server).lookWaitingRoom},
		{"enterWaitingRoom", post, "/v1/waiting-room/passes", public, classFree, noBody, (*Server).enterWaitingRoom},
		{"getPostcode", get, "/v1/postcodes/{postcode}", public, classSearch, noBody, (*Server).getPostcode},

		{"createHold", post, "/v1/holds", public, classHold, smallBody, (*Server).createHold},
		{"getHold", get, "/v1/holds/{holdId}", public, classFinish, noBody, (*Server).getHold},
		{"releaseHold", del, "/v1/holds/{holdId}", public, classFinish, noBody, (*Server).releaseHold},
		{"extendHold", post, "/v1/holds/{holdId}/extend", public, classFinish, noBody, (*Server).extendHold},
		{"confirmHold", post, "/v1/holds/{holdId}/confirm", public, classFinish, smallBody, (*Server).confirmHold},
		{"batchHolds", post, "/v1/holds" + batchSuffix, public, classHold, batchBody, (*Server).batchHolds},
		{"batchConfirmations", post, "/v1/confirmations" + batchSuffix, public, classFinish, batchBody, (*Server).batchConfirmations},

		{"getBooking", get, "/v1/bookings/{reference}", public, classFinish, noBody, (*Server).getBooking},
		{"cancelBooking", post, "/v1/bookings/{reference}/cancel", public, classFinish, smallBody, (*Server).cancelBooking},
		{"setBookingStatus", post, "/v1/bookings/{reference}/status", []string{ScopeBookingsWrite}, classFinish, smallBody, (*Server).setBookingStatus},

		{"getDay", get, "/v1/sites/{siteId}/days/{date}", []string{ScopeCapacityWrite, ScopeBookingsRead}, classStaff, noBody, (*Server).getDay},
		{"putDay", put, "/v1/sites/{siteId}/days/{date}", []string{ScopeCapacityWrite}, classStaff, dayBody, (*Server).putDay},
		{"closeDay", del, "/v1/sites/{siteId}/days/{date}", []string{ScopeCapacityWrite}, classStaff, noBody, (*Server).closeDay},
		{"editDays", post, "/v1/sites/{siteId}/days:edit", []string{ScopeCapacityWrite}, classStaff, smallBody, (*Server).editDays},
		{"listSuspensions", get, "/v1/sites/{siteId}/suspensions", []string{ScopeCapacityWrite, ScopeBookingsRead}, classStaff, noBody, (*Server).listSuspensions},
		{"suspendService", put, suspensionPath, []string{ScopeCapacityWrite}, classStaff, smallBody, (*Server).suspendService},
		{"resumeService", del, suspensionPath, []string{ScopeCapacityWrite}, classStaff, noBody, (*Server).resumeService},
		{"getPlan", get, "/v1/sites/{siteId}/plan", []string{ScopeCapacityWrite, ScopeBookingsRead}, classStaff, noBody, (*Server).getPlan},
		{"putPlan", put, "/v1/sites/{siteId}/plan", []string{ScopeCapacityWrite}, classStaff, dayBody, (*Server).putPlan},
		{"listDayBookings", get, "/v1/sites/{siteId}/days/{date}/bookings", []string{ScopeBookingsRead}, classStaff, noBody, (*Server).listDayBookings},
		{"bookWalkIn", post, "/v1/sites/{siteId}/walkins", []string{ScopeBookingsWrite}, classFinish, smallBody, (*Server).bookWalkIn},
		{"getWorklistKeys", get, "/v1/worklist-keys", public, classFree, noBody, (*Server).getWorklistKeys},
		{"exportPerson", post, "/v1/people/export", []string{ScopeAdmin}, classStaff, smallBody, (*Server).exportPerson},
		{"erasePerson", post, "/v1/people/erase", []string{ScopeAdmin}, classStaff, smallBody, (*Server).erasePerson},
		{"getFreeCapacity", get, "/v1/free-capacity", []string{ScopeEventsRead, ScopeCapacityWrite, ScopeBookingsRead}, classBulk, noBody, (*Server).getFreeCapacity},
		{"uploadCapacity", post, uploadPath, []string{ScopeCapacityWrite}, classBulk, streamBody, (*Server).uploadCapacity},

		{"listEvents", get, "/v1/events", []string{ScopeEventsRead}, classFeed, noBody, (*Server).listEvents},
		{"listWebhooks", get, "/v1/webhooks", []string{ScopeEventsRead}, classStaff, noBody, (*Server).listWebhooks},
		{"createWebhook", post, "/v1/webhooks", []string{ScopeEventsRead}, classStaff, smallBody, (*Server).createWebhook},
		{"getWebhook", get, "/v1/webhooks/{webhookId}", []string{ScopeEventsRead}, classStaff, noBody, (*Server).getWebhook},
		{"putWebhook", put, "/v1/webhooks/{webhookId}", []string{ScopeEventsRead}, classStaff, smallBody, (*Server).putWebhook},
		{"deleteWebhook", del, "/v1/webhooks/{webhookId}", []string{ScopeEventsRead}, classStaff, noBody, (*Server).deleteWebhook},
		{"rotateWebhookSecret", post, "/v1/webhooks/{webhookId}/rotate-secret", []string{ScopeEventsRead}, classStaff, noBody, (*Server).rotateWebhookSecret},
		{"testWebhook", post, "/v1/webhooks/{webhookId}/test", []string{ScopeEventsRead}, classStaff, noBody, (*Server).testWebhook},
		{"getAuditTrail", get, "/v1/audit-trail", []string{ScopeTrailRead}, classFeed, noBody, (*Server).getAuditTrail},
		{"fhirMetadata", get, fhirBase + "/metadata", public, classFree, noBody, inFHIR((*Server).fhirMetadata)},
		{"fhirSearchSlots", get, fhirBase + "/Slot", public, classSearch, noBody, inFHIR((*Server).fhirSearchSlots)},
		{"fhirSearchSlotsByForm", post, fhirBase + "/Slot" + fhirSearchSuffix, public, classSearch, smallBody, inFHIR((*Server).fhirSearchSlots)},
		{"fhirReadSlot", get, fhirBase + "/Slot/{id}", public, classSearch, noBody, inFHIR((*Server).fhirReadSlot)},
		{"fhirSearchSchedules", get, fhirBase + "/Schedule", public, classSearch, noBody, inFHIR((*Server).fhirSearchSchedules)},
		{"fhirSearchSchedulesByForm", post, fhirBase + "/Schedule" + fhirSearchSuffix, public, classSearch, smallBody, inFHIR((*Server).fhirSearchSchedules)},
		{"fhirReadSchedule", get, fhirBase + "/Schedule/{id}", public, classSearch, noBody, inFHIR((*Server).fhirReadSchedule)},
		{"fhirReadHealthcareService", get, fhirBase + "/HealthcareService/{id}", public, classSearch, noBody, inFHIR((*Server).fhirReadHealthcareService)},
		{"fhirReadLocation", get, fhirBase + "/Location/{id}", public, classSearch, noBody, inFHIR((*Server).fhirReadLocation)},
		{"fhirSearchAppointments", get, fhirBase + "/Appointment", []string{ScopeBookingsRead}, classStaff, noBody, inFHIR((*Server).fhirSearchAppointments)},
		{"fhirSearchAppointmentsByForm", post, fhirBase + "/Appointment" + fhirSearchSuffix, []string{ScopeBookingsRead}, classStaff, smallBody, inFHIR((*Server).fhirSearchAppointments)},
		{"fhirCreateAppointment", post, fhirBase + "/Appointment", public, classFinish, smallBody, inFHIR((*Server).fhirCreate)},
		{"fhirReadAppointment", get, fhirBase + "/Appointment/{reference}", public, classFinish, noBody, inFHIR((*Server).fhirReadAppointment)},
		{"fhirUpdateAppointment", put, fhirBase + "/Appointment/{reference}", public, classFinish, smallBody, inFHIR((*Server).fhirUpdateAppointment)},
		{"fhirFind", get, fhirBase + "/Appointment/$find", public, classSearch, noBody, inFHIR((*Server).fhirFindByQuery)},
		{"fhirFindByBody", post, fhirBase + "/Appointment/$find", public, classSearch, smallBody, inFHIR((*Server).fhirFindByBody)},
		{"fhirHold", post, fhirBase + "/Appointment/$hold", public, classHold, smallBody, inFHIR((*Server).fhirHold)},
		{"fhirBook", post, fhirBase + "/Appointment/$book", public, classFinish, smallBody, inFHIR((*Server).fhirBook)},

		{"getLinksManifest", get, "/smart-scheduling/$bulk-publish", public, classFeed, noBody, (*Server).getLinksManifest},
		{"getLinksFile", get, "/smart-scheduling/{file}", public, classFeed, noBody, (*Server).getLinksFile},
		{"getDocument", get, "/openapi.json", public, classFree, noBody, (*Server).getDocument},
	}
}
