package api

import (
	"slices"
	"strings"

	"muster/allocator"
	"muster/api/fhir"
)

// Elements that FHIR R4 gives every resource, and the types that are read here. What is known to FHIR and not used is
// taken and left alone; what FHIR does not know is refused; and so is every modifierExtension, which would change what the
// rest means.
var (
	resourceElements    = []string{"resourceType", "id", "meta", "implicitRules", "language", "text", "contained", "extension"}
	appointmentElements = append(slices.Clone(resourceElements), "identifier", "status", "cancelationReason", "serviceCategory", "serviceType",
		"specialty", "appointmentType", "reasonCode", "reasonReference", "priority", "description", "supportingInformation", "start", "end",
		"minutesDuration", "slot", "created", "comment", "patientInstruction", "basedOn", "participant", "requestedPeriod")
	patientElements = append(slices.Clone(resourceElements), "identifier", "active", "name", "telecom", "gender", "birthDate",
		"deceasedBoolean", "deceasedDateTime", "address", "maritalStatus", "multipleBirthBoolean", "multipleBirthInteger", "photo", "contact",
		"communication", "generalPractitioner", "managingOrganization", "link")
)

const (
	maxFHIRItems = 64
	maxFHIRText  = 4096
)

// resource checks that an object is a resource of a type and has only elements of its own.
func (o object) resource(kind string, elements []string) {
	if o.value == nil {
		return
	}
	o.choice("resourceType", required, kind)
	for _, name := range o.value.names {
		if !slices.Contains(elements, strings.TrimPrefix(name, "_")) {
			o.d.fault(o.pointer(name), "is not a known field")
		}
	}
}

// identifier finds the value of a system among an object's identifiers.
func (o object) identifier(system string, maxBytes int) string {
	for _, i := range o.objects("identifier", optional, maxFHIRItems) {
		if s, _ := i.raw("system", optional); s == system {
			return i.text("value", required, maxBytes)
		}
	}
	return ""
}

// fhirID reads a reference to a resource of a type.
func (o object) fhirID(name, resource, base string) (id string, ok bool) {
	text := o.text(name, required, maxFHIRParameter)
	if text == "" {
		return "", false
	}
	if id, ok = fhir.ParseReference(text, resource, base); !ok {
		o.d.fault(o.pointer(name), "must be a reference to a %s of this server", resource)
	}
	return id, ok
}

// decodePatient reads a Patient with what a booking needs.
func decodePatient(o object, today allocator.Date) (p allocator.Person) {
	o.resource("Patient", patientElements)
	p.NHSNumber = o.identifier(fhir.SystemNHSNumber, 20)
	if p.NHSNumber == "" && o.value != nil {
		o.d.fault(o.pointer("identifier"), "must have an NHS number, of the system %s", fhir.SystemNHSNumber)
	}
	names := o.objects("name", required, maxFHIRItems)
	if len(names) > 0 {
		name := names[0]
		for _, n := range names {
			if use, _ := n.raw("use", optional); use == "official" {
				name = n
				break
			}
		}
		p.FamilyName = name.text("family", required, allocator.MaxNameBytes)
		p.GivenName = strings.Join(name.texts("given", required, 10, allocator.MaxNameBytes), " ")
		if p.GivenName == "" || len(p.GivenName) > allocator.MaxNameBytes {
			o.d.fault(name.pointer("given"), "must have 1 to %d bytes", allocator.MaxNameBytes)
		}
	} else if o.has("name") {
		o.d.fault(o.pointer("name"), "must not be empty")
	}
	p.DateOfBirth, p.HasBirth = o.born("birthDate", required, today)
	for _, c := range o.objects("telecom", optional, maxFHIRItems) {
		decodeContact(c, &p)
	}
	return p
}

// decodeContact takes the first e-mail address, mobile and other telephone number.
func decodeContact(c object, p *allocator.Person) {
	system, _ := c.raw("system", optional)
	use, _ := c.raw("use", optional)
	keep := func(field *string, maxBytes int) {
		if *field == "" {
			*field = c.text("value", required, maxBytes)
		}
	}
	switch {
	case use == "old":
	case system == "email":
		keep(&p.Email, 254)
		if at := strings.LastIndexByte(p.Email, '@'); p.Email != "" && (at < 1 || at == len(p.Email)-1) {
			c.d.fault(c.pointer("value"), "is not an e-mail address")
		}
	case (system == "phone" || system == "sms") && (use == "home" || use == "work"):
		keep(&p.Landline, 40)
	case system == "phone" || system == "sms":
		keep(&p.Phone, 40)
	}
}

// fhirBooking is what a create or a $book asks for: a place to hold, or a hold, and whom it is for.
type fhirBooking struct {
	token  string // of a hold; "": place is to be held
	place  fhir.Place
	person allocator.Person
	named  bool // person is known
}

// decodeAppointment reads an Appointment that is to be booked.
func (x *exchange) decodeAppointment(o object, statuses ...string) (b fhirBooking) {
	o.resource("Appointment", appointmentElements)
	o.choice("status", required, statuses...)
	b.token = o.identifier(fhir.SystemHold, maxTokenBytes)
	slots := o.objects("slot", b.token == "", 1)
	switch {
	case b.token != "":
	case len(slots) == 1:
		b.place = x.decodePlace(slots[0], "reference", "Slot")
	case o.has("slot"):
		o.d.fault(o.pointer("slot"), "must have one item")
	}
	o.sameTime(b.place)
	if patient, ok := o.patient(); ok {
		b.person, b.named = decodePatient(patient, x.today()), true
	}
	return b
}

// sameTime refuses a start or end that is not the slot's: the client means another one.
func (o object) sameTime(p fhir.Place) {
	for name, want := range map[string]allocator.Minute{"start": p.Start, "end": p.Start + allocator.Minute(p.Length)} {
		text, ok := o.raw(name, optional)
		if !ok || p.Length == 0 {
			continue
		}
		if t, err := parseInstant(text); err != nil || !t.Equal(want.Time()) {
			o.d.fault(o.pointer(name), "is not that of the slot")
		}
	}
}

// patient finds the contained Patient that takes part, or the only one that is contained.
func (o object) patient() (patient object, ok bool) {
	wanted := map[string]bool{}
	for _, p := range o.objects("participant", optional, maxFHIRItems) {
		if text, _ := p.child("actor", optional).raw("reference", optional); strings.HasPrefix(text, "#") {
			wanted[text[1:]] = true
		}
	}
	var found []object
	for _, c := range o.objects("contained", optional, maxFHIRItems) {
		kind, _ := c.raw("resourceType", required)
		id, _ := c.raw("id", optional)
		if kind == "Patient" && (len(wanted) == 0 || wanted[id]) {
			found = append(found, c)
		}
	}
	if len(found) > 1 {
		o.d.fault(o.pointer("contained"), "has more than one Patient who takes part")
	}
	if len(found) == 0 {
		return object{}, false
	}
	return found[0], true
}

// decodePlace reads a reference to a Slot, or to the Appointment that is proposed there.
func (x *exchange) decodePlace(o object, name, resource string) fhir.Place {
	id, ok := o.fhirID(name, resource, x.fhirURL())
	if !ok {
		return fhir.Place{}
	}
	p, ok := fhir.ParsePlace(id)
	if !ok {
		o.d.fault(o.pointer(name), "must be a %s as this server names it", resource)
	}
	return p
}

// fhirParameters reads the body of an operation: parameters by name, each at most so often.
func (x *exchange) fhirParameters(known map[string]int) (*decoder, map[string][]object) {
	d, o := x.document(required)
	o.resource("Parameters", append(slices.Clone(resourceElements), "parameter"))
	found := map[string][]object{}
	for _, p := range o.objects("parameter", optional, maxFHIRItems) {
		name := p.text("name", required, 64)
		most, ok := known[name]
		switch {
		case name == "":
		case !ok && x.prefersLenient():
		case !ok:
			d.fault(p.pointer("name"), "is not a known parameter")
		case len(found[name]) == most:
			d.fault(p.pointer("name"), "is given more than %d times", most)
		default:
			found[name] = append(found[name], p)
		}
	}
	return d, found
}

// single is a parameter that was given, with the one value that it may have.
func single(found map[string][]object, name, value string) (object, bool) {
	all := found[name]
	if len(all) == 0 {
		return object{}, false
	}
	all[0].only("name", "id", "extension", value)
	return all[0], true
}
