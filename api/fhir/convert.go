package fhir

import (
	"strconv"
	"time"

	"muster/allocator"
)

// instant writes an instant with a zone's own offset.
func instant(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.RFC3339) }

// moment writes an instant of the server's, in UTC with milliseconds.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func serviceType(code allocator.ServiceCode, name string) []CodeableConcept {
	c := CodeableConcept{Coding: []Coding{{System: SystemService, Code: string(code)}}}
	if name != "" && name != string(code) {
		c.Coding[0].Display = name
	}
	return []CodeableConcept{c}
}

// LocationOf is a site as a Location.
func LocationOf(site *allocator.Site) Location {
	l := Location{
		ResourceType: "Location", ID: LocationID(site.ID), Status: "active", Name: site.Name, Description: site.Information, Mode: "instance",
		Position: &Position{Longitude: site.Lon, Latitude: site.Lat},
	}
	if site.Offline {
		l.Status = "suspended"
	}
	if site.Version > 0 {
		l.Meta = &Meta{VersionID: strconv.FormatInt(site.Version, 10)}
	}
	if site.ODSCode != "" {
		l.Identifier = []Identifier{{System: SystemODS, Value: site.ODSCode}}
	}
	if site.Phone != "" {
		l.Telecom = []ContactPoint{{System: "phone", Value: site.Phone, Use: "work"}}
	}
	if len(site.AddressLines) > 0 || site.Postcode != "" {
		l.Address = &Address{Line: site.AddressLines, PostalCode: site.Postcode}
	}
	return l
}

// HealthcareServiceOf is a service at a site.
func HealthcareServiceOf(site *allocator.Site, service *allocator.Service) HealthcareService {
	return HealthcareService{
		ResourceType: "HealthcareService", ID: Offer{site.ID, service.Code}.ID(), Active: !site.Offline,
		Type: serviceType(service.Code, service.Name), Location: []Reference{{"Location/" + LocationID(site.ID), site.Name}},
		Name: service.Name, AppointmentRequired: true,
	}
}

// ScheduleOf is the Schedule of a service at a site.
func ScheduleOf(site *allocator.Site, service *allocator.Service) Schedule {
	id := Offer{site.ID, service.Code}.ID()
	return Schedule{
		ResourceType: "Schedule", ID: id, Active: !site.Offline, ServiceType: serviceType(service.Code, service.Name),
		Actor: []Reference{{"HealthcareService/" + id, service.Name}, {"Location/" + LocationID(site.ID), site.Name}},
	}
}

// SlotOf is a slot that has room for so many claims; where it has none, it cannot be booked.
func SlotOf(p Place, name string, free int, zone *time.Location) Slot {
	s := Slot{
		ResourceType: "Slot", ID: p.ID(), ServiceType: serviceType(p.Service, name), Schedule: Reference{Reference: "Schedule/" + p.Offer.ID()},
		Status: "busy-unavailable", Start: instant(p.Start.Time(), zone), End: instant(p.end(), zone),
	}
	if free > 0 {
		s.Status = "free"
		s.Extension = []Extension{{URL: ExtensionCapacity, ValueInteger: &free}}
	}
	return s
}

func (p Place) end() time.Time { return (p.Start + allocator.Minute(p.Length)).Time() }

// appointment is what the three kinds have in common.
func appointment(p Place, siteName, status, taking string, zone *time.Location) Appointment {
	a := Appointment{
		ResourceType: "Appointment", ID: p.ID(), Status: status, ServiceType: serviceType(p.Service, ""),
		Start: instant(p.Start.Time(), zone), End: instant(p.end(), zone), MinutesDuration: int(p.Length),
	}
	if a.ID != "" {
		a.Slot = []Reference{{Reference: "Slot/" + a.ID}}
	}
	if id := p.Offer.ID(); id != "" {
		a.Participant = append(a.Participant, Participant{Reference{Reference: "HealthcareService/" + id}, "required", taking})
	}
	site := Reference{Display: siteName, Reference: "Location/" + LocationID(p.Site)}
	a.Participant = append(a.Participant, Participant{site, "required", taking})
	return a
}

// ProposedOf is the Appointment that could be made in a free place.
func ProposedOf(p Place, siteName string, zone *time.Location) Appointment {
	return appointment(p, siteName, "proposed", "needs-action", zone)
}

// PendingOf is a hold of one place. Its identifier carries the token, good until the end of its period.
func PendingOf(h *allocator.Hold, zone *time.Location) Appointment {
	c := h.Claims[0]
	a := appointment(Place{Offer{c.Slot.Site, c.Service}, c.Slot.Start, c.Slot.Length}, "", "pending", "tentative", zone)
	a.Identifier = []Identifier{{Use: "temp", System: SystemHold, Value: h.Token, Period: &Period{End: moment(h.ExpiresAt)}}}
	return a
}

// BookedOf is a booking. The manage token is shown where the view has one; the person, where it is asked for and the view
// has one.
func BookedOf(b *allocator.BookingView, person *allocator.Person, zone *time.Location) Appointment {
	a := appointment(Place{Offer{b.Slot.Site, b.Service}, b.Slot.Start, b.Slot.Length}, b.SiteName, string(b.Status), "accepted", zone)
	a.ID = b.Reference
	a.Meta = &Meta{VersionID: strconv.Itoa(b.Version)}
	a.Identifier = []Identifier{{Use: "usual", System: SystemReference, Value: b.Reference}}
	if b.ManageToken != "" {
		a.Identifier = append(a.Identifier, Identifier{Use: "secondary", System: SystemManageToken, Value: b.ManageToken})
	}
	if !b.RecordedAt.IsZero() {
		a.Created = moment(b.RecordedAt)
	}
	if b.Status == allocator.StatusCancelled && b.Reason != "" {
		a.CancelationReason = &CodeableConcept{Coding: []Coding{{System: SystemReason, Code: b.Reason}}}
	}
	if b.ReplacedBy != "" {
		a.SupportingInformation = []Reference{{Reference: "Appointment/" + b.ReplacedBy}}
	}
	if b.Unsupported {
		yes := true
		a.Extension = []Extension{{URL: ExtensionUnsupported, ValueBoolean: &yes}}
	}
	if person != nil {
		a.Contained = []Patient{patientOf(person)}
		a.Participant = append(a.Participant, Participant{Reference{Reference: "#patient"}, "required", "accepted"})
	}
	return a
}

func patientOf(p *allocator.Person) Patient {
	patient := Patient{ResourceType: "Patient", ID: "patient"}
	if p.NHSNumber != "" {
		patient.Identifier = []Identifier{{System: SystemNHSNumber, Value: p.NHSNumber}}
	}
	name := HumanName{Family: p.FamilyName}
	if p.GivenName != "" {
		name.Given = []string{p.GivenName}
	}
	if p.FamilyName != "" || p.GivenName != "" {
		patient.Name = []HumanName{name}
	}
	for _, c := range []ContactPoint{{"email", p.Email, ""}, {"phone", p.Phone, "mobile"}, {"phone", p.Landline, "home"}} {
		if c.Value != "" {
			patient.Telecom = append(patient.Telecom, c)
		}
	}
	if p.HasBirth {
		patient.BirthDate = p.DateOfBirth.String()
	}
	return patient
}
