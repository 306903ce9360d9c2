package attack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"muster/loadtest/audit"
	"muster/loadtest/result"
)

// Request is one request of a journey, to be sent to the target.
type Request struct {
	Step          string
	Method        string
	Path          string // with its query
	Body          []byte // JSON; nil: none
	Key           string // Idempotency-Key; "": none
	Authorization string
}

// Reply is what came back, or why nothing did.
type Reply struct {
	Status     int // 0: no answer
	Body       []byte
	RetryAfter time.Duration
	Err        error
}

// classify tells what an answer means: its name in reports, and its class. definite is false where the contract lets a client
// expect another answer to the same request.
func classify(r Reply) (code string, class result.Class, definite bool) {
	if r.Err != nil || r.Status == 0 {
		return noAnswer(r.Err), result.Failed, false
	}
	if r.Status/100 == 2 {
		return strconv.Itoa(r.Status), result.OK, true
	}
	code = strconv.Itoa(r.Status)
	var problem struct{ Code string }
	if json.Unmarshal(r.Body, &problem) == nil && problem.Code != "" && len(problem.Code) < 60 {
		code = problem.Code
	}
	switch {
	case r.Status >= 500, r.Status == http.StatusTooManyRequests, r.Status == http.StatusRequestTimeout:
		return code, result.Failed, false
	case code == "IN_PROGRESS":
		return code, result.Refused, false
	case expected[code]:
		return code, result.Refused, true
	}
	return code, result.Failed, true
}

// expected are refusals that are nobody's fault. Any other 4xx is a failure of generator or server.
var expected = map[string]bool{
	"SLOT_FULL": true, "SLOT_UNKNOWN": true, "SITE_UNKNOWN": true, "SESSION_CLOSED": true, "OUTSIDE_WINDOW": true,
	"HOLD_EXPIRED": true, "HOLD_RELEASED": true, "HOLD_REVOKED": true, "HOLD_LOST": true, "ALREADY_BOOKED": true,
}

func noAnswer(err error) string {
	if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
		return "TIMEOUT"
	}
	return "NO_ANSWER"
}

// foundSite is a site that a search lists.
type foundSite struct {
	SiteID, Name string
	Lat, Lon     float64
	Days         []foundDay
}

// foundDay is a day on which a site has free slots.
type foundDay struct {
	Date string
	Free int
}

// offer is a slot as the server writes it.
type offer struct {
	SiteID  string
	Service string
	Start   string
	Length  int
	Free    int
}

func (o offer) slot(site string) (audit.Slot, error) {
	start, err := time.Parse(time.RFC3339, o.Start)
	if err != nil {
		return audit.Slot{}, fmt.Errorf("%q is no instant", o.Start)
	}
	return audit.Slot{Site: site, Start: start.Unix() / 60, Length: o.Length}, nil
}

// holdReply is a hold that was granted.
type holdReply struct {
	HoldID string
	Claims []offer
}

// bookingsReply is what a confirm acknowledges.
type bookingsReply struct {
	Bookings []bookingReply
}

type bookingReply struct {
	offer
	Reference   string
	ManageToken string
	Status      string
}

// appendText appends a JSON string.
func appendText(to []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(text) // strings never fail
			return append(to, quoted...)
		}
	}
	return append(append(append(to, '"'), text...), '"')
}

func appendField(to []byte, name, text string) []byte {
	return appendText(append(append(append(to, '"'), name...), `":`...), text)
}
