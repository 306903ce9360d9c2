package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-jose/go-jose/v4"

	"muster/allocator"
	"muster/api"
)

// Who may do what: every route of the OpenAPI document × every kind of caller × an object of one's own, of somebody else
// and of nobody. What a scope allows is read from the document; accessTable has what it cannot say. A route without a row
// fails.

// reach is what an operation answers to callers that may use it at all.
type reach struct {
	own, unknown int
	// open operations do not ask whose the site is. All others answer what is foreign as what is unknown.
	open bool
	// made: what is unknown is made, so what is foreign is answered by itself, with 404.
	made   bool
	public int // without credentials, where that is another status than own
	body   func(m *matrix, site string) any
}

var accessTable = map[string]reach{
	"searchSites":     {own: 200},
	"getSite":         {own: 200, unknown: 404, open: true},
	"putSite":         {own: 200, unknown: 201, made: true, body: func(*matrix, string) any { return siteBody() }},
	"getAvailability": {own: 200, unknown: 404, open: true},
	"listServices":    {own: 200},
	"putService":      {own: 200, body: func(*matrix, string) any { return object{"name": "Drop-in", "onePerPerson": false} }},
	"getPostcode":     {own: 200},

	"createHold":  {own: 201, unknown: 404, open: true, body: func(m *matrix, site string) any { return m.claim(site) }},
	"getHold":     {own: 200},
	"releaseHold": {own: 204},
	"extendHold":  {own: 200},
	"confirmHold": {own: 201, body: func(*matrix, string) any { return people(person(0)) }},
	"batchHolds": {own: 200, body: func(m *matrix, _ string) any {
		m.serial++
		item := m.claim("OWNA")
		item["idempotencyKey"] = fmt.Sprint("matrix-", m.serial)
		return object{"holds": []object{item}}
	}},
	"batchConfirmations": {own: 200, body: func(m *matrix, _ string) any {
		item := people(person(0))
		item["holdId"] = m.hold("OWNA")
		return object{"confirmations": []object{item}}
	}},

	"getBooking":       {own: 200, unknown: 404, public: 401},
	"cancelBooking":    {own: 200, unknown: 404, public: 401},
	"setBookingStatus": {own: 200, unknown: 404, body: func(*matrix, string) any { return object{"status": "arrived"} }},

	"getDay":   {own: 200, unknown: 404},
	"putDay":   {own: 200, unknown: 404, body: func(*matrix, string) any { return object{"sessions": []object{}} }},
	"closeDay": {own: 200, unknown: 404},
	"editDays": {own: 200, unknown: 404, body: func(m *matrix, _ string) any {
		return object{"from": dayOf(m.free), "until": dayOf(m.free), "edit": "close"}
	}},
	"getPlan":         {own: 200, unknown: 404},
	"putPlan":         {own: 200, unknown: 404, body: func(*matrix, string) any { return object{"series": []object{}} }},
	"listSuspensions": {own: 200, unknown: 404},
	"suspendService":  {own: 200, unknown: 404, body: func(*matrix, string) any { return object{"reason": "stock"} }},
	"resumeService":   {own: 200, unknown: 404},
	"listDayBookings": {own: 200, unknown: 404},
	"bookWalkIn": {own: 201, unknown: 404, body: func(m *matrix, _ string) any {
		return object{"service": "DROP:In", "start": m.at.Format(time.RFC3339)}
	}},
	"uploadCapacity": {own: 200, unknown: 200, body: func(m *matrix, site string) any {
		return fmt.Sprintf(`{"siteId":%q,"date":%q,"sessions":[]}`+"\n", site, dayOf(m.free))
	}},

	// What is public in FHIR is tried as far as its door: with nothing in the body, or of an id that is nobody's.
	"fhirMetadata":              {own: 200},
	"fhirSearchSlots":           {own: 400},
	"fhirSearchSlotsByForm":     {own: 400},
	"fhirReadSlot":              {own: 404},
	"fhirSearchSchedules":       {own: 400},
	"fhirSearchSchedulesByForm": {own: 400},
	"fhirReadSchedule":          {own: 404},
	"fhirReadHealthcareService": {own: 404},
	"fhirReadLocation":          {own: 404},
	"fhirCreateAppointment":     {own: 400, body: nothing},
	"fhirFind":                  {own: 400},
	"fhirFindByBody":            {own: 400, body: nothing},
	"fhirHold":                  {own: 400, body: nothing},
	"fhirBook":                  {own: 400, body: nothing},
	"fhirSearchAppointments":    {own: 200, unknown: 404},
	"fhirSearchAppointmentsByForm": {own: 200, unknown: 404, body: func(m *matrix, site string) any {
		return "location=" + site + "&date=" + dayOf(m.at)
	}},
	"fhirReadAppointment": {own: 200, unknown: 404, public: 401},
	"fhirUpdateAppointment": {own: 200, unknown: 404, public: 401, body: func(m *matrix, site string) any {
		return object{"resourceType": "Appointment", "id": m.reference("fhirUpdateAppointment", site), "status": "arrived"}
	}},

	"getWaitingRoom":   {own: 200},
	"putWaitingRoom":   {own: 200, body: func(*matrix, string) any { return object{"mode": "off"} }},
	"joinWaitingRoom":  {own: 200, body: func(*matrix, string) any { return object{"service": "DROP:In"} }},
	"lookWaitingRoom":  {own: 404},
	"enterWaitingRoom": {own: 404},

	"getLinksManifest": {own: 200},
	"getLinksFile":     {own: 404},
	"getWorklistKeys":  {own: 200},
	"exportPerson":     {own: 200, body: func(*matrix, string) any { return object{"nhsNumber": "9434765919"} }},
	"erasePerson":      {own: 200, body: func(*matrix, string) any { return object{"nhsNumber": "9434765919"} }},
	"getFreeCapacity":  {own: 200}, // sums of what anyone may search
	"listEvents":       {own: 200},

	"listWebhooks":        {own: 200},
	"createWebhook":       {own: 201, body: webhookBody},
	"getWebhook":          {own: 200, unknown: 404},
	"putWebhook":          {own: 200, unknown: 404, body: webhookBody},
	"deleteWebhook":       {own: 204, unknown: 404},
	"rotateWebhookSecret": {own: 200, unknown: 404},
	"testWebhook":         {own: 200, unknown: 404},

	"getAuditTrail": {own: 200, unknown: 404},
	"getDocument":   {own: 200},
}

func webhookBody(*matrix, string) any {
	return object{"url": "https://localhost:1/", "status": "disabled"}
}

func nothing(*matrix, string) any { return object{} }

// caller is a kind of caller.
type caller struct {
	name         string
	token        string
	organisation string
	scopes       []string
	everywhere   bool
	homeless     bool // bound to an organisation that the token does not name
	invalid      bool
}

// callers are the public, a token of each scope, rivals, staff, operators, and everything that is wrong with a token.
func (i *trust) callers() []caller {
	all := []caller{{name: "public"}}
	for _, scope := range append(strings.Fields(publisherScopes), "nonsense") {
		all = append(all, caller{name: scope, token: i.client("A", scope), organisation: "A", scopes: []string{scope}})
	}
	all = append(all,
		caller{name: "publisher A", token: i.client("A", publisherScopes), organisation: "A", scopes: strings.Fields(publisherScopes)},
		caller{name: "publisher B", token: i.client("B", publisherScopes), organisation: "B", scopes: strings.Fields(publisherScopes)},
		caller{name: "publisher C", token: i.client("C", publisherScopes), organisation: "C", scopes: strings.Fields(publisherScopes)},
		caller{name: "no organisation", token: i.client("", publisherScopes), scopes: strings.Fields(publisherScopes), homeless: true},
		caller{name: "sites:all alone", token: i.client("", "sites:all"), scopes: []string{"sites:all"}, everywhere: true},
		caller{name: "national", token: i.client("", publisherScopes+" sites:all"), scopes: strings.Fields(publisherScopes), everywhere: true},
		caller{name: "admin", token: i.client("", "admin"), scopes: []string{"admin"}, everywhere: true},
		caller{name: "dev", token: "dev", scopes: []string{"admin"}, everywhere: true},
		caller{name: "clerk of A", token: i.person("A", "clerk"), organisation: "A", scopes: strings.Fields(clerkScopes)},
		caller{name: "clerk of B", token: i.person("B", "clerk"), organisation: "B", scopes: strings.Fields(clerkScopes)},
		caller{name: "clerk of nobody", token: i.person("", "clerk"), scopes: strings.Fields(clerkScopes), homeless: true},
		caller{name: "national clerk", token: i.person("", "national"), scopes: strings.Fields(clerkScopes), everywhere: true},
		caller{name: "role unknown", token: i.person("A", "admin"), organisation: "A"},
	)
	now := time.Now().Unix()
	admin := func(change object) object { return claims("A", "admin", change) }
	es := func(change object) string { return i.sign(jose.ES256, i.key, "at+jwt", admin(change)) }
	for name, token := range map[string]string{
		"expired":        es(object{"exp": now - 60}),
		"not yet valid":  es(object{"nbf": now + 600}),
		"wrong audience": es(object{"aud": "another"}),
		"wrong issuer":   es(object{"iss": "https://evil.test"}),
		"no subject":     es(object{"sub": ""}),
		"wrong type":     i.sign(jose.ES256, i.key, "logout+jwt", admin(nil)),
		"forged":         i.sign(jose.ES256, newSigningKey(i.t), "at+jwt", admin(nil)),
		"HS256":          i.sign(jose.HS256, i.publicPEM(), "at+jwt", admin(nil)),
		"none":           i.unsigned(admin(nil)),
		"not a token":    "nonsense",
	} {
		all = append(all, caller{name: name, token: token, invalid: true})
	}
	return all
}

func (c caller) may(scopes []string) bool {
	return slices.ContainsFunc(c.scopes, func(s string) bool { return s == "admin" || slices.Contains(scopes, s) })
}

// matrix is a server with a site of A, one of B, and bookings at both.
type matrix struct {
	*server
	*trust
	t        *testing.T
	at, free time.Time // of the bookings; a day without any
	serial   int
	bookings map[string]string // reference by operation and site
}

func siteBody() object {
	return object{"name": "Example", "address": object{"lines": []string{"1 High Street"}, "postcode": "LS1 4AP"}}
}

func newMatrix(t *testing.T) *matrix {
	i := newTrust(t)
	m := &matrix{t: t, trust: i, server: serve(t, append(embedded(t), i.flags...)...), at: soon(), bookings: map[string]string{}}
	m.free = m.at.AddDate(0, 0, 7)
	m.server.staff("PUT", "/v1/services/DROP:In", object{"name": "Drop-in", "onePerPerson": false}).want2xx()
	for _, organisation := range []string{"A", "B"} {
		token, site := bearer(i.client(organisation, publisherScopes)), "/v1/sites/OWN"+organisation
		m.call("PUT", site, siteBody(), token...).want(201)
		m.call("PUT", site+"/days/"+dayOf(m.at), object{"sessions": []object{session("10:00", "11:00", 10, 900, "DROP:In")}}, token...).want(200)
		for _, operation := range []string{"getBooking", "cancelBooking", "setBookingStatus", "fhirReadAppointment", "fhirUpdateAppointment"} {
			booked := m.confirm(m.hold("OWN"+organisation), person(0)).want(201)
			m.bookings[operation+" OWN"+organisation] = booked.text("bookings.0.reference")
		}
	}
	return m
}

func (m *matrix) claim(site string) object {
	c := claim(site, m.at)
	c["service"] = "DROP:In"
	return c
}

func (m *matrix) hold(site string) string {
	m.t.Helper()
	return m.call("POST", "/v1/holds", m.claim(site)).want(201).text("holdId")
}

// reference is that of a site's booking, which an operation has for itself.
func (m *matrix) reference(operation, site string) string {
	if reference := m.bookings[operation+" "+site]; reference != "" {
		return reference
	}
	return allocator.BookingKey(123456789).Reference()
}

// path fills in a route's path for a site.
func (m *matrix) path(operation, path, site string) string {
	date := m.at
	if operation == "putDay" || operation == "closeDay" {
		date = m.free
	}
	hold := ""
	if strings.Contains(path, "{holdId}") {
		hold = m.hold("OWNA")
	}
	hook := "nobodys"
	if owner, known := strings.CutPrefix(site, "OWN"); known && strings.Contains(path, "{webhookId}") {
		headers := append(bearer(m.client(owner, "events:read")), "Idempotency-Key", operation)
		hook = m.call("POST", "/v1/webhooks", webhookBody(m, site), headers...).want(201).text("webhookId")
	}
	path = strings.NewReplacer("{webhookId}", hook, "{siteId}", site, "{reference}", m.reference(operation, site), "{id}", "nobodys", "{file}", "nobodys", "{date}", dayOf(date), "{service}", "DROP:In",
		"{postcode}", "LS14AP", "{holdId}", hold).Replace(path)
	switch operation {
	case "searchSites":
		path += "?postcode=LS14AP&service=DROP:In"
	case "fhirSearchAppointments":
		path += "?location=" + site + "&date=" + dayOf(m.at)
	case "suspendService", "resumeService": // others go on booking
		path += "?dryRun=true"
	case "getAuditTrail":
		path += "?site=" + site
	case "getAvailability":
		path += "?service=DROP:In"
	}
	return path
}

// ask sends an operation to the object of a site, and gives what does not differ from request to request.
func (m *matrix) ask(r *operation, c caller, site string) (int, string) {
	m.t.Helper()
	var body any
	if r.body != nil {
		body = r.body(m, site)
	}
	var headers []string
	if c.token != "" {
		headers = bearer(c.token)
	}
	switch {
	case r.id == "uploadCapacity":
		headers = append(headers, "Content-Type", "application/x-ndjson")
	case strings.HasSuffix(r.id, "ByForm"):
		headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
	}
	a := m.call(r.method, m.path(r.id, r.path, site), body, headers...)
	if id := a.header.Get("X-Request-Id"); id != "" {
		a.body = bytes.ReplaceAll(a.body, []byte(id), []byte("ID"))
	}
	head := fmt.Sprint(a.status, a.header.Get("Content-Type"), a.header.Values("WWW-Authenticate"), a.header.Get("ETag"), slices.Sorted(maps.Keys(a.header)))
	return a.status, head + "\n" + strings.ReplaceAll(string(a.body), site, "SITE")
}

// operation is a route of the document, with its row.
type operation struct {
	reach
	id, method, path string
	scopes           []string // that suffice, any of them
	public           bool
	about            bool // one site, or one booking
}

// operations reads the document and finds each route's row.
func operationsOf(t *testing.T) (all []*operation) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	rows := maps.Clone(accessTable)
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		operations := doc.Paths.Value(path).Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			described := operations[method]
			row, ok := rows[described.OperationID]
			if !ok {
				t.Errorf("%s %s (%s) has no row in accessTable: say who may do it", method, path, described.OperationID)
				continue
			}
			delete(rows, described.OperationID)
			o := &operation{reach: row, id: described.OperationID, method: method, path: path, public: described.Security == nil, about: row.unknown != 0}
			if described.Security != nil {
				for _, way := range *described.Security {
					o.public = o.public || len(way) == 0
					o.scopes = append(o.scopes, way["bearer"]...)
				}
			}
			all = append(all, o)
		}
	}
	for id := range rows {
		t.Errorf("accessTable has a row for %s, which is no operation", id)
	}
	return all
}

// expected is the status for a caller at a site's object.
func (r *operation) expected(c caller, site string) int {
	owner, known := strings.CutPrefix(site, "OWN")
	answer := r.own
	switch {
	case r.about && !known:
		answer = r.unknown
	case r.about && !r.open && !c.everywhere && owner != c.organisation:
		answer = r.unknown
		if r.made {
			answer = http.StatusNotFound
		}
	}
	switch {
	case c.invalid:
		return http.StatusUnauthorized
	case c.token == "" && !r.public:
		return http.StatusUnauthorized
	case c.token == "" && r.reach.public != 0:
		return r.reach.public
	case c.token == "" || len(r.scopes) == 0:
		return answer
	case c.homeless || !c.may(r.scopes):
		return http.StatusForbidden
	}
	return answer
}

func TestAccessMatrix(t *testing.T) {
	operations := operationsOf(t)
	m := newMatrix(t)
	tried := 0
	for _, c := range m.callers() {
		for _, r := range operations {
			sites := []string{"OWNA"}
			if r.about {
				sites = []string{"OWNA", "OWNB", "NOBODYS"}
			}
			answers := map[string]string{}
			for _, site := range sites {
				if site == "NOBODYS" && r.made && r.expected(c, site) == r.unknown {
					m.serial++
					site = fmt.Sprint("NEW-", m.serial)
				}
				want := r.expected(c, site)
				status, text := m.ask(r, c, site)
				if status != want {
					t.Errorf("%s, %s of %s: %d, want %d\n%s", c.name, r.id, site, status, want, text)
				}
				answers[site] = text
				tried++
			}
			m.alike(r, c, answers)
		}
	}
	if least := 25 * 25; tried < least {
		t.Errorf("%d answers were looked at, want %d at least", tried, least)
	}
}

// alike checks that what is another's and what is nobody's cannot be told apart.
func (m *matrix) alike(r *operation, c caller, answers map[string]string) {
	m.t.Helper()
	if !r.about || r.open || r.made || c.everywhere {
		return
	}
	for _, site := range []string{"OWNA", "OWNB"} {
		if site != "OWN"+c.organisation && answers[site] != answers["NOBODYS"] {
			m.t.Errorf("%s can tell %s of %s from one that does not exist:\n%s\n%s", c.name, r.id, site, answers[site], answers["NOBODYS"])
		}
	}
}
