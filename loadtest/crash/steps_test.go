package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"muster/allocator"
)

// way is how a server is led to a step.
type way struct {
	start   bool            // the step is part of starting: the process is armed from its beginning, and its traffic is that
	alone   bool            // the other server is frozen until the victim has died: it would be faster, or take the step over
	client  bool            // the traffic is somebody's wish, which he may insist on or leave
	most    int             // the step comes at most so often in one process, in the time that there is; 0: as often as wanted
	prepare func(c *course) // before anything is armed
	traffic func(c *course) // again and again until the victim has died
	why     string          // why nobody can get there; then nothing else is set
}

// ways says how two servers are led to each step. A step's commit is reached as the step is, unless it has a row.
var ways = map[string]way{
	"identity": {alone: true, traffic: (*course).flush},
	"open":     {alone: true, traffic: (*course).flush},
	"hold":     {client: true, traffic: (*course).book},
	"extend":   {client: true, traffic: (*course).extend},
	"release":  {client: true, traffic: (*course).release},
	"pin":      {client: true, traffic: (*course).book},
	"reseat":   {client: true, traffic: (*course).loseHold},
	"settle":   {client: true, traffic: (*course).book},
	"free":     {client: true, traffic: (*course).cancel},
	"state":    {traffic: (*course).inspect},
	"reap":     {traffic: (*course).rest},
	"stuck":    {traffic: (*course).rest},
	"apply":    {client: true, traffic: (*course).publish},
	"begin":    {client: true, traffic: (*course).newSite},
	"load":     {client: true, traffic: (*course).newSite},
	"finish":   {client: true, traffic: (*course).newSite},

	"read-site":   {traffic: (*course).publish},
	"read-places": {traffic: (*course).release},
	"repair":      {start: true, alone: true, most: drifts, prepare: (*course).drift, traffic: (*course).rest},
	"usage":       {traffic: (*course).flush},
	"changes":     {traffic: (*course).rest},

	"check":      {start: true, most: 2, traffic: (*course).rest},
	"agree":      {start: true, most: 2, traffic: (*course).rest},
	"amend":      {traffic: (*course).rest},
	"epochs":     {alone: true, traffic: (*course).flush},
	"open-epoch": {alone: true, traffic: (*course).flush},

	"put-site":     {traffic: (*course).putSite},
	"put-own-site": {traffic: (*course).putOwnSite},
	"suspend":      {traffic: (*course).suspend},
	"put-service":  {traffic: (*course).putService},
	"services":     {traffic: (*course).putService},
	"sites":        {start: true, most: 2, traffic: (*course).rest},
	"site":         {traffic: (*course).putSite},
	"days":         {start: true, most: 1, traffic: (*course).rest},
	"day":          {traffic: (*course).getDay},
	"site-plan":    {traffic: (*course).plan},
	"put-plan":     {traffic: (*course).plan},
	"due-plans":    {start: true, most: 1, traffic: (*course).rest},
	"publish":      {client: true, traffic: (*course).publish},
	"record":       {client: true, traffic: (*course).book},
	"void":         {client: true, traffic: (*course).lose},
	"transition":   {client: true, traffic: (*course).cancel},
	"bookings":     {traffic: (*course).walkIn},
	"booking":      {traffic: (*course).showBooking},
	"slot":         {traffic: (*course).showBooking},
	"day-bookings": {traffic: (*course).listDay},
	"site-state":   {traffic: (*course).newSite},
	"live-places":  {traffic: (*course).release},
	"generations":  {start: true, most: 2, traffic: (*course).rest},
	"changed":      {traffic: (*course).rest},
	"events":       {traffic: (*course).readEvents},
	"last-event":   {traffic: (*course).subscribe},
	"webhooks":     {traffic: (*course).rest},
	"webhook":      {traffic: (*course).subscribe},
	"swap-webhook": {traffic: (*course).subscribe},
	"append-trail": {alone: true, traffic: (*course).putSite},
	"trail":        {traffic: (*course).rest},
	"trail-end":    {traffic: (*course).rest},
	"now":          {traffic: (*course).rest},
	"payloads":     {traffic: (*course).rest},

	"person-bookings": {traffic: (*course).erase},
	"reseal":          {client: true, traffic: (*course).erase},

	"close":   {most: 1, traffic: (*course).stop},
	"migrate": {start: true, most: 1, traffic: (*course).rest},

	"reply-hold":      {client: true, traffic: (*course).book},
	"reply-extend":    {client: true, traffic: (*course).extend},
	"reply-release":   {client: true, traffic: (*course).release},
	"reply-confirm":   {client: true, traffic: (*course).book},
	"reply-cancel":    {client: true, traffic: (*course).cancel},
	"reply-status":    {client: true, traffic: (*course).arrive},
	"reply-walk-in":   {client: true, traffic: (*course).walkIn},
	"reply-erase":     {client: true, traffic: (*course).erase},
	"reply-day":       {client: true, traffic: (*course).publish},
	"reply-upload":    {client: true, traffic: (*course).upload},
	"reply-catalogue": {traffic: (*course).putSite},
	"reply-webhook":   {traffic: (*course).subscribe},
	"reply-read":      {traffic: (*course).getDay},
}

// only the first moment of a commit is known of SQLite.
var sqliteMoments = map[string]string{
	"sent":  "SQLite commits within the process: there is no moment at which it was told and has not answered",
	"after": "the moment after a commit of SQLite is the moment after the step",
}

const (
	leavesNothing = "it changes nothing that outlives the embedded server: the point is covered with two servers"
	alwaysRebuilt = "the embedded inventory is rebuilt by every start, and drifts from its ledger in no way that a test could bring about from outside"
)

// embeddedWays are the rows of the embedded server that differ. It opens an epoch when it starts, and never again.
var embeddedWays = withoutReads(map[string]way{
	"open":       {start: true, most: 1, traffic: (*course).rest},
	"agree":      {start: true, most: 1, traffic: (*course).rest},
	"open-epoch": {start: true, most: 1, traffic: (*course).rest},
	"reseat":     {start: true, prepare: (*course).holdSome, traffic: (*course).confirmSome},
	"repair":     {why: alwaysRebuilt},

	"agree-commit":  {why: "SQLite reads first, and writes at an installation's very first start only: the point is covered with two servers"},
	"events-commit": {why: "SQLite numbers an event in the transaction that it tells of: reading them writes nothing"},
})

// withoutReads adds the steps that leave nothing behind.
func withoutReads(rows map[string]way) map[string]way {
	for _, step := range []string{
		"identity", "state", "reap", "stuck", "read-site", "read-places", "usage", "changes", "check", "epochs", "services", "sites", "site",
		"site-plan", "due-plans", "days", "day", "bookings", "slot", "booking", "person-bookings", "payloads", "day-bookings", "site-state",
		"live-places", "generations", "changed", "events", "last-event", "webhooks", "webhook", "trail", "trail-end", "now", "close",
		"reply-read",
	} {
		rows[step] = way{why: leavesNothing}
	}
	return rows
}

// wayTo finds the way to a point; false where no row of the table speaks of it.
func wayTo(point string, embedded bool) (w way, step string, ok bool) {
	step, moment, _ := strings.Cut(point, "/")
	base, commit := strings.CutSuffix(step, "-commit")
	for _, name := range []string{step, base} {
		if w, ok = embeddedWays[name]; embedded && ok {
			break
		}
		if w, ok = ways[name]; ok {
			break
		}
	}
	if why := sqliteMoments[moment]; embedded && commit && why != "" && w.why == "" {
		w = way{why: why}
	}
	return w, step, ok
}

// The traffic that leads to steps.

func (c *course) rest() { pause(context.Background(), 50*time.Millisecond) }

func (c *course) book() { c.desk.book(c.guest(), c.places(serviceA)) }

func (c *course) extend() {
	if h := c.desk.hold(c.guest(), c.places(serviceA)); h != nil {
		c.desk.extend(c.guest(), h)
	}
}

func (c *course) release() {
	if h := c.desk.hold(c.guest(), c.places(serviceA)); h != nil {
		c.desk.release(c.guest(), h)
	}
}

func (c *course) cancel() {
	c.desk.cancel(c.guest(), c.desk.book(c.guest(), c.places(serviceA)))
}

// erase has somebody cancel, and be forgotten.
func (c *course) erase() {
	b := c.desk.book(c.guest(), c.places(serviceA))
	c.desk.cancel(c.guest(), b)
	c.desk.erase(c.guest(), b)
}

func (c *course) arrive() {
	c.desk.arrive(c.guest(), c.desk.book(c.guest(), c.places(serviceA)))
}

func (c *course) walkIn() { c.desk.walkIn(c.guest(), c.places(serviceA)[0]) }

// lose has somebody confirm a second booking of the same programme, which is refused once its void is committed.
func (c *course) lose() {
	who := c.desk.somebody()
	c.desk.confirm(c.guest(), c.desk.hold(c.guest(), c.places(serviceA)), nil, who)
	c.desk.confirm(c.guest(), c.desk.hold(c.guest(), c.places(serviceA)), nil, who)
}

// flush makes Redis forget everything, and then asks for a place.
func (c *course) flush() {
	c.forget()
	c.desk.book(c.guest(), c.places(serviceA))
}

func (c *course) forget() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	since := c.desk.now()
	if _, err := c.in.Primary().Do(ctx, "FLUSHALL"); err != nil {
		c.t.Errorf("flush Redis: %v", err)
	}
	c.desk.lost(since)
}

// loseHold confirms a hold that Redis has forgotten.
func (c *course) loseHold() {
	h := c.desk.hold(c.guest(), c.places(serviceA))
	c.forget()
	c.desk.confirm(c.guest(), h, nil, c.desk.somebody())
}

func (c *course) inspect() {
	if h := c.desk.hold(c.guest(), c.places(serviceA)); h != nil {
		c.desk.look(c.guest(), h.path(""), nil)
	}
}

func (c *course) publish() {
	places := 4 + int(c.desk.serial.Add(1)%3)
	c.desk.publish(c.guest(), c.site, places)
}

// plan puts the plan of a site at which nobody books: what becomes of its days is for the tests of plans to say.
func (c *course) plan() {
	c.desk.putSite(c.guest(), "PLANNED", "Planned site")
	c.desk.put(c.guest(), "/v1/sites/PLANNED/plan", object{"series": []object{{
		"id": "daily", "from": c.desk.date.String(), "until": (c.desk.date + 60).String(),
		"weekdays": []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, "sessions": documents(c.desk.sessions(1 + int(c.desk.serial.Add(1)%3))),
	}}})
}

func (c *course) upload() {
	places := 4 + int(c.desk.serial.Add(1)%3)
	c.desk.upload(c.guest(), c.site, places)
}

// newSite opens a site, whose first hold has it built.
func (c *course) newSite() {
	p := c.open()
	c.desk.book(c.guest(), c.desk.claims(p.id, serviceA, 0))
}

func (c *course) putSite() {
	c.desk.putSite(c.guest(), c.site.id, fmt.Sprint("Site renamed ", c.desk.serial.Add(1)))
}

func (c *course) putOwnSite() {
	c.desk.putOwnSite(c.guest(), "OWN", fmt.Sprint("Site renamed ", c.desk.serial.Add(1)))
}

// suspend suspends a service at a site where nobody else books.
func (c *course) suspend() {
	p := c.open()
	c.desk.put(c.guest(), "/v1/sites/"+string(p.id)+"/suspensions/"+string(serviceA), object{"reason": "stock"})
}

func (c *course) putService() {
	c.desk.put(c.guest(), "/v1/services/EXTRA:Any", object{"name": fmt.Sprint("Service renamed ", c.desk.serial.Add(1))})
}

func (c *course) getDay() { c.desk.look(c.guest(), c.desk.dayPath(c.site.id), staff) }

func (c *course) listDay() {
	c.desk.look(c.guest(), c.desk.dayPath(c.site.id)+"/bookings", staff)
}

func (c *course) showBooking() {
	if b := c.desk.book(c.guest(), c.places(serviceA)); b != nil {
		c.desk.look(c.guest(), "/v1/bookings/"+b.reference, map[string]string{"Authorization": "Manage " + b.manage})
	}
}

// subscribe makes a webhook that is sent nothing, and ends it.
func (c *course) subscribe() {
	name := fmt.Sprint("webhook-", c.desk.serial.Add(1))
	header := map[string]string{"Authorization": staff["Authorization"], "Idempotency-Key": name}
	a := c.desk.insist(c.guest(), request{http.MethodPost, "/v1/webhooks", object{"url": "https://events.example.org/", "status": "disabled"}, header})
	var made struct{ WebhookID string }
	if !a.definite() {
		return
	}
	if err := json.Unmarshal(a.body, &made); !a.ok() || err != nil {
		c.desk.complain("P11", "POST /v1/webhooks was answered %v", a)
		return
	}
	c.desk.insist(c.guest(), request{method: http.MethodDelete, path: "/v1/webhooks/" + made.WebhookID, header: staff})
}

// readEvents reads the outbox to its end: what is new there is numbered by whoever reads it first.
func (c *course) readEvents() {
	c.desk.book(c.guest(), c.places(serviceA))
	for {
		a := c.desk.insist(c.guest(), request{method: http.MethodGet, path: "/v1/events?limit=500&after=" + url.QueryEscape(c.cursor), header: staff})
		var got struct {
			Events []json.RawMessage
			Next   string
		}
		if err := json.Unmarshal(a.body, &got); !a.ok() || err != nil || len(got.Events) == 0 {
			return
		}
		c.cursor = got.Next
	}
}

func (c *course) stop() { c.victim.Stop() }

// drifts is at how many sites drift makes one.
const drifts = 5

// drift lets the inventory miss what the ledger knows: the victim cancels bookings while Redis does not hear it, and dies
// before it could tell. The other server is frozen, so that nobody mends it until the victim has started again.
func (c *course) drift() {
	var booked []*booking
	for range drifts {
		p := c.open()
		booked = append(booked, c.desk.book(c.victimFirst(), c.desk.claims(p.id, serviceA, 0)))
	}
	if err := c.consistent(c.began, time.Now().Add(patience)); err != nil { // settled: each place counts as booked
		c.t.Errorf("before the drift: %v", err)
	}
	c.other.Pause()
	c.victim.Redis.Cut()
	for _, b := range booked {
		c.desk.cancel(inOrder(c.victim), b)
	}
	c.victim.Kill()
	c.victim.Redis.Heal()
}

// holdSome and confirmSome lose holds by a restart of the server that has them in its memory.
func (c *course) holdSome() {
	for range 6 {
		c.holds = append(c.holds, c.desk.hold(c.victimFirst(), c.places(serviceA)))
	}
}

func (c *course) confirmSome() {
	if len(c.holds) == 0 {
		c.rest()
		return
	}
	h := c.holds[0]
	c.holds = c.holds[1:]
	c.desk.confirm(c.victimFirst(), h, nil, c.desk.somebody())
}

// places is one claim in the next slot of the course's site.
func (c *course) places(service allocator.ServiceCode) []claim {
	return c.desk.claims(c.site.id, service, int(c.desk.serial.Add(1)))
}
