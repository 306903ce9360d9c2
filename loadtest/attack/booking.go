package attack

import (
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"muster/loadtest/audit"
	"muster/loadtest/profile"
	"muster/loadtest/result"
)

// held reads the answer to a hold.
func (j *journey) held(r Reply, at time.Duration) {
	if r.Status/100 != 2 {
		j.refused(r, at)
		return
	}
	token, ok := j.granted(r)
	if !ok {
		return
	}
	j.token = token
	j.phantoms.grant(j.slots, at)
	switch j.who.Journey {
	case profile.Abandon:
		j.end()
	case profile.Release:
		j.release()
	case profile.Extend:
		j.extend()
	case profile.Duplicate:
		j.holdAgain()
	default:
		j.confirm(j.who.Think())
	}
}

// granted checks that a hold is for what was asked.
func (j *journey) granted(r Reply) (token string, ok bool) {
	var reply holdReply
	if !j.read(r, &reply) {
		return "", false
	}
	right := reply.HoldID != "" && len(reply.Claims) == len(j.slots)
	for i := range reply.Claims {
		right = right && j.same(reply.Claims[i], j.slots[i])
	}
	if !right {
		j.wrong("a hold of %v for %s was answered %.300q", j.slots, j.service, r.Body)
		j.evidence.Unknown(j.asked())
		j.ending.Failed = true
		j.end()
	}
	return reply.HoldID, right
}

func (j *journey) same(got, asked offer) bool {
	one, err := got.slot(got.SiteID)
	other, err2 := asked.slot(asked.SiteID)
	return err == nil && err2 == nil && one == other && got.Service == j.service
}

// refused is what people do when somebody else was faster: take what is offered instead, or look again.
func (j *journey) refused(r Reply, at time.Duration) {
	code, class, _ := classify(r)
	if code == "SLOT_FULL" && len(j.slots) == 1 {
		j.phantoms.refuse(j.slots[0], j.listed, at)
	}
	if class != result.Refused {
		j.ending.Failed = true
		j.end()
		return
	}
	var problem struct{ Alternatives []offer }
	if json.Unmarshal(r.Body, &problem) == nil && len(j.slots) == 1 && len(problem.Alternatives) > 0 && j.holds < mostHolds &&
		code == "SLOT_FULL" && j.who.Dice.IntN(100) < 60 {
		chosen := problem.Alternatives[j.who.Dice.IntN(len(problem.Alternatives))]
		if chosen.SiteID == "" {
			chosen.SiteID = j.site
		}
		j.site, j.slots, j.listed = chosen.SiteID, []offer{chosen}, -1
		j.hold(j.who.Think() / 2)
		return
	}
	j.again(j.who.Think() / 4)
}

func (j *journey) release() {
	j.ask(j.who.Think(), Request{Step: result.Release, Method: "DELETE", Path: j.path("")}, func(r Reply, _ time.Duration) {
		if r.Status/100 == 2 {
			j.token = ""
		}
		j.ending.Looked = true
		j.end()
	})
}

func (j *journey) path(verb string) string { return "/v1/holds/" + url.PathEscape(j.token) + verb }

// extend asks for more time, and confirms later with the new token.
func (j *journey) extend() {
	j.ask(j.who.Think(), Request{Step: result.Extend, Method: "POST", Path: j.path("/extend")}, func(r Reply, _ time.Duration) {
		if r.Status/100 != 2 {
			j.lost(r)
			return
		}
		if token, ok := j.granted(r); ok {
			j.token = token
			j.confirm(j.who.Think())
		}
	})
}

// holdAgain presses the button twice: the same key must give the same hold.
func (j *journey) holdAgain() {
	again := j.request
	again.Step = result.Repeat
	j.ask(j.who.Think()/8, again, func(r Reply, _ time.Duration) {
		var reply holdReply
		if r.Status/100 == 2 && (json.Unmarshal(r.Body, &reply) != nil || reply.HoldID != j.token) {
			j.wrong("the same hold, asked for twice with one key, is %.60q and %.60q", j.token, reply.HoldID)
		}
		j.confirm(j.who.Think())
	})
}

// lost is what people do when their hold is gone: look again.
func (j *journey) lost(r Reply) {
	code, class, _ := classify(r)
	if class != result.Refused { // the hold stays as it is
		j.ending.Failed = true
		j.end()
		return
	}
	j.token = ""
	switch {
	case code == "ALREADY_BOOKED":
		j.end()
	default:
		j.again(j.who.Think() / 4)
	}
}

// confirm gives the names of the people; where a booking is moved, it is replaced.
func (j *journey) confirm(after time.Duration) {
	step := result.Confirm
	body := []byte(`{"people":[`)
	for i := range j.slots {
		if i > 0 {
			body = append(body, ',')
		}
		number, name, born := j.who.Member(i)
		body = append(body, '{')
		body = append(appendField(body, "nhsNumber", number), ',')
		body = append(appendField(body, "givenName", name), ',')
		body = append(appendField(body, "familyName", j.who.FamilyName), ',')
		body = append(appendField(body, "dateOfBirth", born), '}')
	}
	body = append(body, ']')
	if j.moving != nil {
		step = result.Move
		body = append(appendField(append(body, `,"replaces":{`...), "reference", j.moving.Reference), ',')
		body = append(appendField(body, "manageToken", j.moving.ManageToken), '}')
	}
	body = append(body, '}')
	j.ask(after, Request{Step: step, Method: "POST", Path: j.path("/confirm"), Body: body}, j.confirmed)
}

// confirmed reads what is booked, and takes it as evidence.
func (j *journey) confirmed(r Reply, at time.Duration) {
	if r.Status/100 != 2 {
		j.lost(r)
		return
	}
	bookings, ok := j.acknowledged(r)
	j.token = ""
	if !ok {
		j.evidence.Unknown(j.asked())
		j.ending.Failed = true
		j.end()
		return
	}
	for _, b := range bookings {
		if !j.evidence.Booked(b) {
			j.wrong("reference %s was given to two people", b.Reference)
		}
	}
	j.recorder.Booked(bookings[0].Slot.Site, at, len(bookings))
	if j.moving != nil {
		j.evidence.Ended(j.moving.Reference, true)
		j.recorder.Ended(j.moving.Slot.Site, at, true)
		j.moving = nil
		j.end()
		return
	}
	j.booked, j.ending.Booked = bookings, true
	j.afterwards()
}

// acknowledged checks that a confirm booked what was held.
func (j *journey) acknowledged(r Reply) (bookings []audit.Booking, ok bool) {
	var reply bookingsReply
	if err := json.Unmarshal(r.Body, &reply); err != nil || len(reply.Bookings) != len(j.slots) {
		j.wrong("a confirm of %d was answered %.300q", len(j.slots), r.Body)
		return nil, false
	}
	for i, b := range reply.Bookings {
		if b.Reference == "" || b.ManageToken == "" || b.Status != "booked" || !j.same(b.offer, j.slots[i]) {
			j.wrong("a hold of %v for %s was confirmed as %.300q", j.slots[i], j.service, r.Body)
			return nil, false
		}
		slot, _ := b.slot(b.SiteID) // same has read it
		number, _, _ := j.who.Member(i)
		bookings = append(bookings, audit.Booking{Reference: b.Reference, ManageToken: b.ManageToken, Slot: slot, Service: b.Service, NHSNumber: number})
	}
	return bookings, true
}

// afterwards is what people do with a booking.
func (j *journey) afterwards() {
	switch j.who.Journey {
	case profile.Duplicate:
		j.confirmAgain()
	case profile.Cancel:
		j.cancel()
	case profile.Move:
		moving := j.booked[0]
		j.moving, j.searches, j.holds = &moving, 0, 0
		j.search(2 * j.who.Think())
	default:
		j.end()
	}
}

// confirmAgain presses the button twice: the same people must get the same bookings.
func (j *journey) confirmAgain() {
	again := j.request
	again.Step = result.Repeat
	j.ask(j.who.Think()/8, again, func(r Reply, _ time.Duration) {
		var reply bookingsReply
		if r.Status/100 == 2 {
			var references []string
			if json.Unmarshal(r.Body, &reply) == nil {
				for _, b := range reply.Bookings {
					references = append(references, b.Reference)
				}
			}
			if !slices.EqualFunc(references, j.booked, func(reference string, b audit.Booking) bool { return reference == b.Reference }) {
				j.wrong("a confirm, repeated, is %v and before that %s", references, j.booked[0].Reference)
			}
		}
		j.end()
	})
}

func (j *journey) cancel() {
	b := j.booked[0]
	path := "/v1/bookings/" + url.PathEscape(b.Reference) + "/cancel"
	request := Request{Step: result.Cancel, Method: "POST", Path: path, Body: []byte(`{"reason":"citizen"}`), Authorization: "Manage " + b.ManageToken}
	j.ask(2*j.who.Think(), request, func(r Reply, at time.Duration) {
		var reply bookingReply
		if !j.read(r, &reply) {
			return
		}
		if reply.Reference != b.Reference || reply.Status != "cancelled" {
			j.wrong("cancelling %s was answered %.200q", b.Reference, r.Body)
		}
		j.evidence.Ended(b.Reference, true)
		j.recorder.Ended(b.Slot.Site, at, false)
		j.end()
	})
}
