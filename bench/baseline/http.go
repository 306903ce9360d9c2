package baseline

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// handler is muster's hold and confirm over a store.
type handler struct {
	ctx   context.Context // of the server: a client that goes away undoes nothing
	slots map[slotName]int32
	store store
	found []byte // answers every search, where there is anything
}

const (
	search  = "/v1/sites"
	holds   = "/v1/holds"
	confirm = "/confirm"
)

func (h *handler) serve(x *fasthttp.RequestCtx) {
	path := x.Path()
	rest, ok := bytes.CutPrefix(path, []byte(holds))
	switch {
	case len(h.found) > 0 && x.IsGet() && string(path) == search:
		h.search(x)
	case !ok || !x.IsPost():
		x.SetStatusCode(fasthttp.StatusNotFound)
	case len(rest) == 0:
		h.hold(x)
	case bytes.HasSuffix(rest, []byte(confirm)):
		h.confirm(x, string(bytes.TrimSuffix(rest[1:], []byte(confirm))))
	default:
		x.SetStatusCode(fasthttp.StatusNotFound)
	}
}

// search reads what it is asked and answers the same always.
func (h *handler) search(x *fasthttp.RequestCtx) {
	q := x.QueryArgs()
	if len(q.Peek("postcode")) == 0 || len(q.Peek("service")) == 0 {
		x.SetStatusCode(fasthttp.StatusBadRequest)
		return
	}
	x.SetContentType("application/json")
	x.Response.SetBodyRaw(h.found)
}

type claim struct {
	SiteID  string `json:"siteId"`
	Service string `json:"service"`
	Start   string `json:"start"`
	Length  int    `json:"length"`
}

type holdReply struct {
	HoldID     string    `json:"holdId"`
	ExpiresAt  time.Time `json:"expiresAt"`
	ServerTime time.Time `json:"serverTime"`
	Claims     []claim   `json:"claims"`
}

func (h *handler) hold(x *fasthttp.RequestCtx) {
	var c claim
	if err := json.Unmarshal(x.PostBody(), &c); err != nil {
		x.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	slot, ok := h.slots[slotName{c.SiteID, c.Start}]
	if !ok && h.slots != nil {
		refuse(x, errUnknown)
		return
	}
	id, err := h.store.hold(h.ctx, slot)
	if err != nil {
		refuse(x, err)
		return
	}
	now := time.Now().UTC()
	answer(x, holdReply{HoldID: id, ExpiresAt: now.Add(HoldSeconds * time.Second), ServerTime: now, Claims: []claim{c}})
}

type booking struct {
	Reference   string `json:"reference"`
	ManageToken string `json:"manageToken"`
	Status      string `json:"status"`
}

func (h *handler) confirm(x *fasthttp.RequestCtx, hold string) {
	var body struct{ People []person }
	if err := json.Unmarshal(x.PostBody(), &body); err != nil || len(body.People) != 1 {
		x.Error("one person is needed", fasthttp.StatusBadRequest)
		return
	}
	p := body.People[0]
	number, ok := allocator.ValidNHSNumber(p.NHSNumber)
	if !ok {
		x.SetStatusCode(fasthttp.StatusUnprocessableEntity)
		return
	}
	p.NHSNumber = number
	b := booking{Reference: random(), ManageToken: random(), Status: "booked"}
	if err := h.store.confirm(h.ctx, hold, b.Reference, p); err != nil {
		refuse(x, err)
		return
	}
	answer(x, map[string][]booking{"bookings": {b}})
}

func answer(x *fasthttp.RequestCtx, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		x.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	x.SetStatusCode(fasthttp.StatusCreated)
	x.SetContentType("application/json")
	x.SetBody(text)
}

func refuse(x *fasthttp.RequestCtx, err error) {
	status := fasthttp.StatusServiceUnavailable
	switch {
	case errors.Is(err, errUnknown):
		status = fasthttp.StatusNotFound
	case errors.Is(err, errFull), errors.Is(err, errPerson):
		status = fasthttp.StatusConflict
	case errors.Is(err, errExpired):
		status = fasthttp.StatusGone
	}
	x.Error(err.Error(), status)
}

// random is 80 bits that nobody guesses.
func random() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// noOp keeps nothing.
type noOp struct{}

func (noOp) hold(context.Context, int32) (string, error)           { return random(), nil }
func (noOp) confirm(context.Context, string, string, person) error { return nil }
func (noOp) close()                                                {}
