package attack

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"muster/loadtest/audit"
	"muster/loadtest/people"
	"muster/loadtest/profile"
	"muster/loadtest/result"
)

// What people put up with.
const (
	mostSearches = 4 // beside waiting for a bell
	mostHolds    = 4
	mostPolls    = 6
	mostTries    = 5 // of one request without a definite answer, where a run says nothing else
	sitesShown   = 3
	farKm        = 150 // the radius of those who found nothing near
)

// world is what all journeys share.
type world struct {
	services []Service
	from, to string
	seed     uint64
	bell     time.Duration
	think    time.Duration
	retry    time.Duration
	tries    int
	recorder *result.Recorder
	evidence *audit.Evidence
	phantoms *phantoms
}

// journey is one citizen's way, as a machine: it has a request to send after a while, hears the answer, and then has another
// one or is over. It reads no clock. Not safe for concurrent use.
type journey struct {
	*world
	who     *people.Citizen
	service string

	request Request       // to send next
	after   time.Duration // since the last answer
	then    func(Reply, time.Duration)
	over    bool

	tries, searches, polls, holds int
	keys                          int           // idempotency keys so far
	far                           bool          // looks further away
	sent                          time.Duration // when the request that is answered was sent
	listed                        time.Duration // when the list that the slot was chosen from was asked for; negative: from none
	site                          string
	slots                         []offer // asked for
	token                         string  // of the hold; "" none
	booked                        []audit.Booking
	moving                        *audit.Booking
	ending                        result.Ending
}

// begin makes a citizen's journey.
func (w *world) begin(who *people.Citizen) *journey {
	j := &journey{world: w, who: who, ending: result.Ending{Journey: string(who.Journey), Home: who.Home}}
	j.ending.Looked = who.Journey == profile.Browse
	var suitable []string
	for _, s := range w.services {
		if s.suits(who.Age) {
			suitable = append(suitable, s.Code)
		}
	}
	if len(suitable) == 0 { // nothing is offered at this age: they look at what others get
		suitable = []string{w.services[who.Dice.IntN(len(w.services))].Code}
		j.who.Journey = profile.Browse
		j.ending.Looked = true
	}
	j.service = suitable[who.Dice.IntN(len(suitable))]
	j.search(0)
	return j
}

// ask plans a request.
func (j *journey) ask(after time.Duration, r Request, then func(Reply, time.Duration)) {
	j.request, j.after, j.then, j.tries = r, after, then, 0
}

// heard takes the answer to the request that was sent; at is the time since the beginning of the run.
func (j *journey) heard(r Reply, at time.Duration) {
	_, _, definite := classify(r)
	if !definite {
		if j.tries++; j.tries < j.world.tries {
			wait := max(r.RetryAfter, j.retry<<(j.tries-1))
			j.after = wait + time.Duration(j.who.Dice.Float64()*float64(wait)/2)
			return // the same request again, with the same key
		}
		j.doubt()
		j.ending.Failed = true
		j.end()
		return
	}
	j.then(r, at)
}

// doubt takes note of what nobody knows, where the request that is given up may have had an effect.
func (j *journey) doubt() {
	switch j.request.Step {
	case result.Hold:
		j.evidence.Unknown(j.asked())
	case result.Confirm, result.Move:
		j.evidence.Unknown(j.asked())
		j.recorder.Unknown()
		j.token = ""
		if j.moving != nil {
			j.evidence.Ended(j.moving.Reference, false)
		}
	case result.Cancel:
		j.evidence.Ended(j.booked[0].Reference, false)
	}
}

// end is the end of the journey; a hold that is left is left to expire.
func (j *journey) end() {
	if j.over {
		return
	}
	j.over = true
	if j.token != "" {
		j.evidence.Held(audit.Hold{Token: j.token, Slots: j.asked()})
	}
	j.recorder.End(j.ending)
}

// cut ends a journey for which no time is left.
func (j *journey) cut() {
	if j.tries > 0 { // it was sent, and is not going to be sent again
		j.doubt()
	}
	j.ending.Cut = true
	j.end()
}

func (j *journey) asked() []audit.Slot {
	var slots []audit.Slot
	for _, o := range j.slots {
		if slot, err := o.slot(o.SiteID); err == nil {
			slots = append(slots, slot)
		}
	}
	return slots
}

// search asks for sites near home.
func (j *journey) search(after time.Duration) {
	path := "/v1/sites?postcode=" + url.QueryEscape(j.who.Postcode) + "&service=" + url.QueryEscape(j.service) + "&limit=" + strconv.Itoa(sitesShown)
	if j.far {
		path += "&radiusKm=" + strconv.Itoa(farKm)
	}
	j.ask(after, Request{Step: result.Search, Method: "GET", Path: path + j.dates(j.from, j.to)}, j.found)
}

// dates are the parameters of a search that narrow it.
func (j *journey) dates(from, to string) string {
	query := ""
	if from != "" {
		query += "&from=" + from
	}
	if to != "" {
		query += "&to=" + to
	}
	if j.who.Family > 1 {
		query += "&people=" + strconv.Itoa(j.who.Family)
	}
	return query
}

// found reads the sites that a search lists.
func (j *journey) found(r Reply, at time.Duration) {
	sites, ok := scanSites(r.Body)
	if !j.understood(r, ok) {
		return
	}
	for i := range sites {
		s := &sites[i]
		j.recorder.Site(result.Supply{Site: s.SiteID, Name: s.Name, Lat: s.Lat, Lon: s.Lon})
	}
	if at < j.bell { // too early: reload the page until the bell, and then press the button as fast as people can
		reaction := time.Duration(j.who.Dice.ExpFloat64() * float64(j.think) / 2)
		reload := max(j.think, 200*time.Millisecond) * 3
		j.search(min(j.bell-at+reaction, reload+time.Duration(j.who.Dice.Int64N(int64(reload)))))
		return
	}
	j.searches++
	if len(sites) == 0 {
		j.notFound()
		return
	}
	if j.who.Journey == profile.Browse && j.searches > 1 {
		j.end()
		return
	}
	pick := 0
	for pick+1 < len(sites) && j.who.Dice.IntN(100) < 30 { // mostly the nearest
		pick++
	}
	site := sites[pick]
	days := slices.DeleteFunc(site.Days, func(d foundDay) bool { return d.Free <= 0 })
	if len(days) == 0 {
		j.wrong("a search lists %s among the sites with a free slot, and no day on which it has one", site.SiteID)
		j.notFound()
		return
	}
	j.site = site.SiteID
	j.availability(j.who.Think(), days[j.day(len(days))].Date)
}

// day chooses one of n days: mostly an early one.
func (j *journey) day(n int) int {
	return min(n-1, int(j.who.Dice.ExpFloat64()*float64(n)/3))
}

// notFound is what people do when there is no place: look further away, pollers come back, others leave.
func (j *journey) notFound() {
	if !j.far {
		j.far = true
		j.search(j.who.Think() / 4)
		return
	}
	if j.who.Journey == profile.Poll && j.polls < mostPolls {
		j.polls++
		j.search(3*j.who.Think() + 100*time.Millisecond)
		return
	}
	j.ending.Nothing = j.who.Journey != profile.Browse && len(j.booked) == 0
	j.end()
}

func (j *journey) availability(after time.Duration, date string) {
	path := "/v1/sites/" + url.PathEscape(j.site) + "/availability?service=" + url.QueryEscape(j.service) + j.dates(date, date)
	j.ask(after, Request{Step: result.Availability, Method: "GET", Path: path}, j.shown)
}

// shown reads the free slots of a site.
func (j *journey) shown(r Reply, _ time.Duration) {
	if r.Status == 404 {
		j.again(0)
		return
	}
	slots, ok := scanSlots(r.Body)
	if !j.understood(r, ok) {
		return
	}
	j.listed = j.sent
	for i := range slots {
		slots[i].SiteID = j.site
		if slots[i].Free <= 0 {
			j.wrong("a slot of %s at %s is listed as available with %d free", j.site, slots[i].Start, slots[i].Free)
		}
	}
	slots = slices.DeleteFunc(slots, func(s offer) bool { return s.Free <= 0 })
	switch {
	case j.who.Journey == profile.Browse:
		if j.searches < 2 && j.who.Dice.IntN(2) == 0 {
			j.search(j.who.Think())
			return
		}
		j.end()
	case len(slots) == 0:
		j.again(j.who.Think() / 4)
	default:
		j.choose(slots)
	}
}

// again searches once more, as often as people have the patience.
func (j *journey) again(after time.Duration) {
	if j.searches >= mostSearches || j.holds >= mostHolds {
		j.notFound()
		return
	}
	j.search(after)
}

// choose holds one of the slots, or for a family consecutive ones.
func (j *journey) choose(slots []offer) {
	chosen := slots[j.who.Dice.IntN(len(slots))]
	j.slots = []offer{chosen}
	if j.who.Family > 1 {
		j.slots = consecutive(chosen, slots, j.who.Family)
	}
	j.hold(j.who.Think() / 2)
}

// consecutive fills slots from the chosen one on with as many people as each has room for.
func consecutive(chosen offer, slots []offer, people int) []offer {
	byStart := make(map[int64]offer)
	for _, s := range slots {
		if slot, err := s.slot(s.SiteID); err == nil && s.Length == chosen.Length {
			byStart[slot.Start] = s
		}
	}
	first, err := chosen.slot(chosen.SiteID)
	if err != nil {
		return []offer{chosen}
	}
	var claims []offer
	for start := first.Start; len(claims) < people; start += int64(chosen.Length) {
		s, ok := byStart[start]
		if !ok {
			break
		}
		for range min(s.Free, people-len(claims)) {
			claims = append(claims, s)
		}
	}
	for len(claims) < people { // the list promised more room than it shows: the rest in the last one, and the server decides
		claims = append(claims, claims[len(claims)-1])
	}
	return claims
}

func (j *journey) hold(after time.Duration) {
	j.holds++
	j.keys++
	body := []byte(`{"claims":[`)
	if len(j.slots) == 1 {
		body = body[:0]
	}
	for i, s := range j.slots {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, '{')
		body = append(appendField(body, "siteId", s.SiteID), ',')
		body = append(appendField(body, "service", j.service), ',')
		body = append(appendField(body, "start", s.Start), `,"length":`...)
		body = append(strconv.AppendInt(body, int64(s.Length), 10), '}')
	}
	if len(j.slots) > 1 {
		body = append(body, `]}`...)
	}
	key := fmt.Sprintf("lt-%x-%x-%d", j.seed, j.who.Number, j.keys)
	j.ask(after, Request{Step: result.Hold, Method: "POST", Path: "/v1/holds", Body: body, Key: key}, j.held)
}

// read reads a success; anything else, or a body that is not what it should be, ends the journey.
func (j *journey) read(r Reply, into any) bool {
	return j.understood(r, r.Status/100 != 2 || json.Unmarshal(r.Body, into) == nil)
}

// understood ends the journey where an answer is no success, or could not be read.
func (j *journey) understood(r Reply, readable bool) bool {
	if r.Status/100 == 2 && readable {
		return true
	}
	if r.Status/100 == 2 {
		j.wrong("%s %s was answered %d with %.200q, which cannot be read", j.request.Method, j.request.Step, r.Status, r.Body)
	}
	j.ending.Failed = true
	j.end()
	return false
}

func (j *journey) wrong(format string, args ...any) { j.recorder.Wrong(fmt.Sprintf(format, args...)) }
