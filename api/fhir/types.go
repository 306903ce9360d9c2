package fhir

// Meta is what a server says about a resource.
type Meta struct {
	VersionID   string   `json:"versionId,omitempty"`
	LastUpdated string   `json:"lastUpdated,omitempty"` // instant
	Profile     []string `json:"profile,omitempty"`
}

// Coding is a code of a system.
type Coding struct {
	System  string `json:"system,omitempty"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

// CodeableConcept is a meaning, in codes or text.
type CodeableConcept struct {
	Coding []Coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

// Period is from Start up to End; either may be missing.
type Period struct {
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
}

// Identifier is a value of a system. Where it has a period, it is good for that long.
type Identifier struct {
	Use    string  `json:"use,omitempty"`
	System string  `json:"system"`
	Value  string  `json:"value"`
	Period *Period `json:"period,omitempty"`
}

// Reference points at another resource.
type Reference struct {
	Reference string `json:"reference"`
	Display   string `json:"display,omitempty"`
}

// Extension adds what FHIR has no element for.
type Extension struct {
	URL          string `json:"url"`
	ValueInteger *int   `json:"valueInteger,omitempty"`
	ValueBoolean *bool  `json:"valueBoolean,omitempty"`
}

// ContactPoint is a telephone number or an e-mail address.
type ContactPoint struct {
	System string `json:"system"`
	Value  string `json:"value"`
	Use    string `json:"use,omitempty"`
}

// HumanName is a person's name.
type HumanName struct {
	Family string   `json:"family,omitempty"`
	Given  []string `json:"given,omitempty"`
}

// Address is a postal address.
type Address struct {
	Line       []string `json:"line,omitempty"`
	PostalCode string   `json:"postalCode,omitempty"`
}

// Position is a point in degrees, WGS 84.
type Position struct {
	Longitude float64 `json:"longitude"`
	Latitude  float64 `json:"latitude"`
}

// Patient is whom an appointment is for. It is only ever contained in an Appointment.
type Patient struct {
	ResourceType string         `json:"resourceType"`
	ID           string         `json:"id"`
	Identifier   []Identifier   `json:"identifier,omitempty"`
	Name         []HumanName    `json:"name,omitempty"`
	Telecom      []ContactPoint `json:"telecom,omitempty"`
	BirthDate    string         `json:"birthDate,omitempty"`
}

// Location is a site.
type Location struct {
	ResourceType string         `json:"resourceType"`
	ID           string         `json:"id"`
	Meta         *Meta          `json:"meta,omitempty"`
	Identifier   []Identifier   `json:"identifier,omitempty"`
	Status       string         `json:"status"`
	Name         string         `json:"name"`
	Description  string         `json:"description,omitempty"`
	Mode         string         `json:"mode"`
	Telecom      []ContactPoint `json:"telecom,omitempty"`
	Address      *Address       `json:"address,omitempty"`
	Position     *Position      `json:"position,omitempty"`
}

// HealthcareService is a service at a site.
type HealthcareService struct {
	ResourceType        string            `json:"resourceType"`
	ID                  string            `json:"id"`
	Active              bool              `json:"active"`
	Type                []CodeableConcept `json:"type"`
	Location            []Reference       `json:"location"`
	Name                string            `json:"name"`
	AppointmentRequired bool              `json:"appointmentRequired"`
}

// Schedule is what the slots of a HealthcareService belong to.
type Schedule struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id"`
	Active       bool              `json:"active"`
	ServiceType  []CodeableConcept `json:"serviceType"`
	Actor        []Reference       `json:"actor"`
}

// Slot is a time that can be booked, or not.
type Slot struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id"`
	Extension    []Extension       `json:"extension,omitempty"`
	ServiceType  []CodeableConcept `json:"serviceType"`
	Schedule     Reference         `json:"schedule"`
	Status       string            `json:"status"`
	Start        string            `json:"start"` // instant
	End          string            `json:"end"`   // instant
}

// Participant is who or what takes part in an appointment.
type Participant struct {
	Actor    Reference `json:"actor"`
	Required string    `json:"required"`
	Status   string    `json:"status"`
}

// Appointment is a proposal, a hold or a booking.
type Appointment struct {
	ResourceType          string            `json:"resourceType"`
	ID                    string            `json:"id"`
	Meta                  *Meta             `json:"meta,omitempty"`
	Contained             []Patient         `json:"contained,omitempty"`
	Extension             []Extension       `json:"extension,omitempty"`
	Identifier            []Identifier      `json:"identifier,omitempty"`
	Status                string            `json:"status"`
	CancelationReason     *CodeableConcept  `json:"cancelationReason,omitempty"`
	ServiceType           []CodeableConcept `json:"serviceType"`
	SupportingInformation []Reference       `json:"supportingInformation,omitempty"`
	Start                 string            `json:"start"` // instant
	End                   string            `json:"end"`   // instant
	MinutesDuration       int               `json:"minutesDuration"`
	Slot                  []Reference       `json:"slot,omitempty"`
	Created               string            `json:"created,omitempty"`
	Participant           []Participant     `json:"participant"`
}

// Bundle is the answer to a search or an operation.
type Bundle struct {
	ResourceType string  `json:"resourceType"`
	Meta         *Meta   `json:"meta,omitempty"`
	Type         string  `json:"type"`
	Total        *int    `json:"total,omitempty"`
	Link         []Link  `json:"link,omitempty"`
	Entry        []Entry `json:"entry,omitempty"`
}

// Link is where a page, or the next one, is.
type Link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

// Entry is one resource of a bundle.
type Entry struct {
	FullURL  string  `json:"fullUrl,omitempty"`
	Resource any     `json:"resource"`
	Search   *Search `json:"search,omitempty"`
}

// Search says why an entry is there: match, include or outcome.
type Search struct {
	Mode string `json:"mode"`
}

// OperationOutcome tells what went wrong, or what is worth knowing.
type OperationOutcome struct {
	ResourceType string  `json:"resourceType"`
	Issue        []Issue `json:"issue"`
}

// Issue is one part of an outcome.
type Issue struct {
	Severity    string           `json:"severity"`
	Code        string           `json:"code"`
	Details     *CodeableConcept `json:"details,omitempty"`
	Diagnostics string           `json:"diagnostics,omitempty"`
	Expression  []string         `json:"expression,omitempty"`
}
