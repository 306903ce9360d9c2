// Package fhir writes what the program knows as FHIR R4 (4.0.1) resources, and reads FHIR's ids, references and dates. It
// converts and decides nothing: no clock, no network, no state. All of it is safe for concurrent use.
//
// Only the elements that are used have a place in the types. How things correspond:
//
//	site                      Location
//	service at a site         HealthcareService, and the Schedule of its slots
//	slot, for one service     Slot
//	place that could be held  Appointment, proposed
//	hold                      Appointment, pending
//	booking                   Appointment: booked, arrived, fulfilled, noshow, cancelled
package fhir

// MediaType is how resources are sent.
const MediaType = "application/fhir+json"

// Systems of identifiers and codes.
const (
	SystemNHSNumber = "https://fhir.nhs.uk/Id/nhs-number"
	SystemODS       = "https://fhir.nhs.uk/Id/ods-organization-code"
	SystemErrors    = "https://fhir.nhs.uk/CodeSystem/http-error-codes" // of the Booking and Referral Standard

	SystemService     = "urn:muster:service"           // service codes
	SystemReference   = "urn:muster:booking-reference" // what people read aloud
	SystemManageToken = "urn:muster:manage-token"      // opens a booking; shown once
	SystemHold        = "urn:muster:hold-id"           // books or releases a hold
	SystemProblem     = "urn:muster:problem"           // the codes of allocator.Code
	SystemSlot        = "urn:muster:slot"              // ids of Slot, where one is offered in place of a lost one
	SystemReason      = "urn:muster:cancellation"      // why a booking was cancelled

	// ExtensionCapacity is how many claims a slot has room for, as SMART Scheduling Links writes it.
	ExtensionCapacity = "http://fhir-registry.smarthealthit.org/StructureDefinition/slot-capacity"
	// ExtensionUnsupported marks a booking whose capacity was withdrawn.
	ExtensionUnsupported = "urn:muster:unsupported"
)
