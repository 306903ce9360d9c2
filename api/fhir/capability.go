package fhir

// CapabilityStatement says what the server does.
type CapabilityStatement struct {
	ResourceType   string         `json:"resourceType"`
	Status         string         `json:"status"`
	Date           string         `json:"date"`
	Kind           string         `json:"kind"`
	Software       NameOnly       `json:"software"`
	Implementation Implementation `json:"implementation"`
	FHIRVersion    string         `json:"fhirVersion"`
	Format         []string       `json:"format"`
	Rest           []Rest         `json:"rest"`
}

// NameOnly is something that has a name.
type NameOnly struct {
	Name string `json:"name"`
}

// Implementation is the server that was asked.
type Implementation struct {
	Description string `json:"description"`
	URL         string `json:"url"`
}

// Rest lists the resources of a server.
type Rest struct {
	Mode          string         `json:"mode"`
	Documentation string         `json:"documentation"`
	Resource      []RestResource `json:"resource"`
}

// RestResource is what the server does with one type of resource.
type RestResource struct {
	Type          string          `json:"type"`
	Documentation string          `json:"documentation,omitempty"`
	Interaction   []Interaction   `json:"interaction"`
	Versioning    string          `json:"versioning"`
	SearchInclude []string        `json:"searchInclude,omitempty"`
	SearchParam   []SearchParam   `json:"searchParam,omitempty"`
	Operation     []RestOperation `json:"operation,omitempty"`
}

// Interaction is one that FHIR defines: read, search-type, create or update.
type Interaction struct {
	Code string `json:"code"`
}

// SearchParam is a parameter of a search.
type SearchParam struct {
	Name          string `json:"name"`
	Type          string `json:"type"`
	Documentation string `json:"documentation,omitempty"`
}

// RestOperation is an operation, by the definition that it follows.
type RestOperation struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
}

const iheOperation = "https://profiles.ihe.net/ITI/Scheduling/OperationDefinition/appointment-"

// statementDate is when what the statement says last changed.
const statementDate = "2026-11-23"

// Includes are the values of _include by the type that is searched.
var Includes = map[string][]string{
	"Slot":     {"Slot:schedule", "Schedule:actor", "Schedule:actor:HealthcareService", "Schedule:actor:Location", "HealthcareService:location"},
	"Schedule": {"Schedule:actor", "Schedule:actor:HealthcareService", "Schedule:actor:Location", "HealthcareService:location"},
}

// Searches are the parameters of searches by the type that is searched, besides _include, _count, _after, _summary and _format.
var Searches = map[string][]SearchParam{
	"Slot": {
		{"status", "token", "Only free slots are kept track of: others are never found."},
		{"start", "date", "As often as wanted, with eq, ge, gt, le, lt, sa or eb."},
		{"schedule", "reference", ""},
		{"schedule.actor:HealthcareService", "reference", "Also written Schedule.actor:HealthcareService."},
		{"schedule.actor:Location", "reference", "Also written Schedule.actor:Location."},
		{"service-type", "token", ""},
	},
	"Schedule": {
		{"_id", "token", ""},
		{"actor:HealthcareService", "reference", ""},
		{"actor:Location", "reference", "Finds the schedules that have something free."},
		{"service-type", "token", ""},
	},
	"Appointment": {
		{"location", "reference", "Required."},
		{"date", "date", "Required: given with ge and le, or as one day; at most 7 days."},
		{"status", "token", ""},
	},
}

// Capabilities is the statement of a server whose resources are below the base URL.
func Capabilities(base string) *CapabilityStatement {
	resource := func(name, documentation string, interactions ...string) RestResource {
		r := RestResource{Type: name, Documentation: documentation, Versioning: "no-version", SearchInclude: Includes[name], SearchParam: Searches[name]}
		for _, code := range interactions {
			r.Interaction = append(r.Interaction, Interaction{code})
		}
		return r
	}
	appointment := resource("Appointment", "A booking is read and cancelled with its manage token (Authorization: Manage …) or by staff.",
		"read", "update", "create", "search-type")
	appointment.Versioning = "versioned"
	for _, name := range []string{"find", "hold", "book"} {
		appointment.Operation = append(appointment.Operation, RestOperation{name, iheOperation + name})
	}
	return &CapabilityStatement{
		ResourceType: "CapabilityStatement", Status: "active", Date: statementDate, Kind: "instance",
		Software: NameOnly{"muster"}, Implementation: Implementation{"Booking slots", base},
		FHIRVersion: "4.0.1", Format: []string{"json", MediaType},
		Rest: []Rest{{
			Mode:          "server",
			Documentation: "Searches work by GET and by POST …/_search. Unknown parameters are refused, and with Prefer: handling=lenient ignored. Idempotency-Key makes a create, $hold or $book safe to repeat.",
			Resource: []RestResource{
				appointment, resource("Slot", "", "read", "search-type"), resource("Schedule", "", "read", "search-type"),
				resource("HealthcareService", "", "read"), resource("Location", "", "read"),
			},
		}},
	}
}
