package api

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/waitingroom"
)

// Headers that people in a waiting room send: neither a ticket nor a pass belongs into an address.
const (
	ticketHeader = "Waiting-Room-Ticket"
	passHeader   = "Waiting-Room-Pass"

	maxPassBytes = 1024 // several, for holds of several services
)

// roomView is a room as GET shows and PUT takes it; what follows from it is in State.
type roomView struct {
	Service        allocator.ServiceCode `json:"service"`
	Mode           waitingroom.Mode      `json:"mode"`
	OpenAt         string                `json:"openAt,omitempty"`
	LotteryFrom    string                `json:"lotteryFrom,omitempty"`
	Beacon         string                `json:"beacon,omitempty"`
	BeaconValue    string                `json:"beaconValue,omitempty"`
	MostPerSecond  int                   `json:"mostPerSecond,omitempty"`
	StartPerSecond int                   `json:"startPerSecond,omitempty"`
	State          *roomStateView        `json:"state,omitempty"`
}

type roomStateView struct {
	RoomID     string   `json:"roomId"`
	Active     bool     `json:"active"`
	Waiting    int      `json:"waiting"`
	Drawn      int      `json:"drawn"`
	CalledTo   string   `json:"calledTo,omitempty"`
	Free       *int     `json:"free,omitempty"`
	PerSecond  *between `json:"perSecond,omitempty"`
	Commitment string   `json:"commitment"`
	Seed       string   `json:"seed,omitempty"`
}

type between struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

func viewRoom(p *waitingroom.Public) *roomView {
	id, _ := p.ID.MarshalText() // never fails
	v := &roomView{
		Service: p.Service, Mode: p.Mode, Beacon: p.Beacon, BeaconValue: p.BeaconValue, MostPerSecond: p.MostPerSecond, StartPerSecond: p.StartPerSecond,
		State: &roomStateView{RoomID: string(id), Active: p.Active, Waiting: p.Waiting, Drawn: p.Drawn, Commitment: p.Commitment, Seed: p.Seed},
	}
	if !p.OpenAt.IsZero() {
		v.OpenAt = instant(p.OpenAt.UTC())
	}
	if !p.LotteryFrom.IsZero() {
		v.LotteryFrom = instant(p.LotteryFrom.UTC())
	}
	if p.Active {
		v.State.CalledTo = moment(p.Frontier.Time())
	}
	if p.Free >= 0 {
		v.State.Free = &p.Free
	}
	if p.Pace[1] > 0 {
		tenths := func(x float64) float64 { return math.Round(10*x) / 10 }
		v.State.PerSecond = &between{tenths(p.Pace[0]), tenths(p.Pace[1])}
	}
	return v
}

// rooms are the server's waiting rooms, or the refusal of a server that has none. Queries are refused.
func (s *Server) rooms(x *exchange) (*waitingroom.Rooms, error) {
	if s.options.Rooms == nil {
		return nil, allocator.Refuse(CodeNotFound, "this server has no waiting rooms")
	}
	return s.options.Rooms, x.noQuery()
}

// roomOf finds the rooms and the path's service, which must be known.
func (s *Server) roomOf(ctx context.Context, x *exchange) (*waitingroom.Rooms, allocator.ServiceCode, error) {
	rooms, err := s.rooms(x)
	if err != nil {
		return nil, "", err
	}
	code := allocator.ServiceCode(x.param("service"))
	services, err := s.engine.Services(ctx)
	if err != nil {
		return nil, "", err
	}
	if !slices.ContainsFunc(services, func(s allocator.Service) bool { return s.Code == code }) {
		return nil, "", allocator.Refuse(allocator.CodeServiceUnknown, "no such service")
	}
	return rooms, code, nil
}

func (s *Server) getWaitingRoom(ctx context.Context, x *exchange) (reply, error) {
	rooms, code, err := s.roomOf(ctx, x)
	if err != nil {
		return reply{}, err
	}
	p, ok := rooms.Public(code)
	if !ok {
		return reply{body: &roomView{Service: code, Mode: waitingroom.Off}, public: roomCaching}, nil
	}
	return reply{body: viewRoom(&p), public: roomCaching}, nil
}

// roomCaching is for how long caches may keep what is public of a room.
const roomCaching = 2 * time.Second

func (s *Server) putWaitingRoom(ctx context.Context, x *exchange) (reply, error) {
	rooms, code, err := s.roomOf(ctx, x)
	if err != nil {
		return reply{}, err
	}
	d, o := x.document(required)
	o.only("service", "mode", "openAt", "lotteryFrom", "beacon", "beaconValue", "mostPerSecond", "startPerSecond", "state")
	o.same("service", string(code))
	settings := waitingroom.Settings{
		Mode:   waitingroom.Mode(o.choice("mode", required, string(waitingroom.Off), string(waitingroom.On), string(waitingroom.ByLoad))),
		Beacon: o.text("beacon", optional, waitingroom.MaxBeaconBytes), BeaconValue: o.text("beaconValue", optional, waitingroom.MaxBeaconBytes),
		MostPerSecond:  o.integer("mostPerSecond", optional, 0, waitingroom.MaxPerSecond, 0),
		StartPerSecond: o.integer("startPerSecond", optional, 0, waitingroom.MaxPerSecond, 0),
	}
	settings.OpenAt, _ = o.instant("openAt", optional, time.Second)
	settings.LotteryFrom, _ = o.instant("lotteryFrom", optional, time.Second)
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	p, err := rooms.Put(ctx, code, settings)
	if err != nil {
		return reply{}, err
	}
	return reply{body: viewRoom(&p)}, nil
}

// placeView is what somebody in a waiting room is told.
type placeView struct {
	Ticket      string                `json:"ticket,omitempty"`
	Service     allocator.ServiceCode `json:"service"`
	Phase       waitingroom.Phase     `json:"phase"`
	Position    int                   `json:"position,omitempty"`
	Waiting     int                   `json:"waiting"`
	WaitSeconds *secondsView          `json:"waitSeconds,omitempty"`
	PollAfterMs int                   `json:"pollAfterMs,omitempty"`
	OpenAt      string                `json:"openAt,omitempty"`
	Outlook     waitingroom.Outlook   `json:"outlook"`
	Free        *int                  `json:"free,omitempty"`
	Near        *nearView             `json:"near,omitempty"`
	ServerTime  string                `json:"serverTime"`
}

type secondsView struct {
	From int `json:"from"`
	To   int `json:"to"`
}

type nearView struct {
	Area    string `json:"area"`
	Free    int    `json:"free"`
	SoldOut bool   `json:"soldOut"`
}

// viewPlace writes Retry-After, too.
func (x *exchange) viewPlace(ticket string, st *waitingroom.Status) *placeView {
	v := &placeView{
		Ticket: ticket, Service: st.Service, Phase: st.Phase, Position: st.Position, Waiting: st.Ahead, PollAfterMs: int(st.Poll.Milliseconds()),
		Outlook: st.Outlook, ServerTime: moment(x.server.options.Now()),
	}
	if st.Wait[1] > 0 {
		v.WaitSeconds = &secondsView{int(st.Wait[0].Seconds()), int(math.Ceil(st.Wait[1].Seconds()))}
	}
	if st.OpenAt != 0 {
		v.OpenAt = instant(st.OpenAt.Time().UTC())
	}
	if st.Free >= 0 {
		v.Free = &st.Free
	}
	if st.Near >= 0 {
		v.Near = &nearView{st.Area.Text(), st.Near, st.Near == 0}
	}
	if st.Poll > 0 {
		x.http.Response.Header.Set("Retry-After", itoa(int(math.Ceil(st.Poll.Seconds()))))
	}
	return v
}

func (v *placeView) appendJSON(b []byte) ([]byte, error) {
	b = someText(append(b, '{'), "ticket", v.Ticket)
	b = textMember(b, "service", v.Service)
	b = textMember(b, "phase", v.Phase)
	b = someNumber(b, "position", v.Position)
	b = numberMember(b, "waiting", v.Waiting)
	if w := v.WaitSeconds; w != nil {
		b = numberMember(append(member(b, "waitSeconds"), '{'), "from", w.From)
		b = append(numberMember(b, "to", w.To), '}')
	}
	b = someNumber(b, "pollAfterMs", v.PollAfterMs)
	b = someText(b, "openAt", v.OpenAt)
	b = textMember(b, "outlook", v.Outlook)
	if v.Free != nil {
		b = numberMember(b, "free", *v.Free)
	}
	if n := v.Near; n != nil {
		b = textMember(append(member(b, "near"), '{'), "area", n.Area)
		b = numberMember(b, "free", n.Free)
		b = append(strconv.AppendBool(member(b, "soldOut"), n.SoldOut), '}')
	}
	return append(textMember(b, "serverTime", v.ServerTime), '}'), nil
}

func someNumber(b []byte, name string, n int) []byte {
	if n == 0 {
		return b
	}
	return numberMember(b, name, n)
}

// joinWaitingRoom gives a ticket, or says that none is needed.
func (s *Server) joinWaitingRoom(_ context.Context, x *exchange) (reply, error) {
	rooms, err := s.rooms(x)
	if err != nil {
		return reply{}, err
	}
	d, o := x.document(required)
	o.only("service", "area")
	service := o.service("service")
	text := o.text("area", optional, maxWordBytes)
	area, ok := waitingroom.AreaOf(strings.ToUpper(text))
	if !ok && text != "" {
		d.fault("/area", "must be the first part of a postcode, such as LS1")
	}
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	if err := x.takeTicket(); err != nil {
		return reply{}, err
	}
	ticket, st, err := rooms.Join(service, area)
	if err != nil {
		return reply{}, err
	}
	status := fasthttp.StatusCreated
	if ticket == "" {
		status = fasthttp.StatusOK
	}
	return reply{status: status, body: x.viewPlace(ticket, &st)}, nil
}

// takeTicket bounds how many tickets an address gets, so that nobody fills the line, or the draw, from one machine.
func (x *exchange) takeTicket() error {
	ok, _, retry := x.server.tickets.allow(x.address().String(), x.server.options.Now())
	if !ok {
		return &allocator.Error{Code: allocator.CodeRateLimited, Detail: "too many tickets were asked for from this address", RetryAfter: retry}
	}
	return nil
}

// lookWaitingRoom tells somebody where they stand.
func (s *Server) lookWaitingRoom(_ context.Context, x *exchange) (reply, error) {
	rooms, err := s.rooms(x)
	if err != nil {
		return reply{}, err
	}
	st, err := rooms.Look(x.http.Request.Header.Peek(ticketHeader))
	if err != nil {
		return reply{}, err
	}
	return reply{body: x.viewPlace("", &st)}, nil
}

type passView struct {
	Pass      string `json:"pass"`
	ExpiresAt string `json:"expiresAt"`
}

// enterWaitingRoom gives somebody who was called a pass.
func (s *Server) enterWaitingRoom(_ context.Context, x *exchange) (reply, error) {
	rooms, err := s.rooms(x)
	if err != nil {
		return reply{}, err
	}
	pass, ends, err := rooms.Enter(x.http.Request.Header.Peek(ticketHeader))
	if err != nil {
		return reply{}, err
	}
	return reply{status: fasthttp.StatusCreated, body: passView{pass, moment(ends)}}, nil
}

// pass is what the request shows of waiting rooms.
func (x *exchange) pass() string {
	all := x.http.Request.Header.PeekAll(passHeader)
	return string(bytes.Join(all, []byte(",")))
}
