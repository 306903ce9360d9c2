package waitingroom

import (
	"time"

	"muster/allocator"
)

// Mode says when a service's holds need a pass.
type Mode string

// The modes.
const (
	Off    Mode = "off"
	On     Mode = "on"      // from OpenAt on, or at once
	ByLoad Mode = "by_load" // while more is asked than the engine can do, and until nobody waits any more
)

// Settings are what operators say of a room.
type Settings struct {
	Mode Mode `json:"mode"`
	// OpenAt is when the first people enter; zero: at once. Those who come before it are drawn.
	OpenAt time.Time `json:"openAt,omitzero"`
	// LotteryFrom is when tickets are first given; zero: as soon as the room is made.
	LotteryFrom time.Time `json:"lotteryFrom,omitzero"`
	// Beacon names the public value, published after OpenAt, that is mixed into the draw; "": none is.
	Beacon string `json:"beacon,omitempty"`
	// BeaconValue is that value, once it is known. Nobody enters before.
	BeaconValue string `json:"beaconValue,omitempty"`
	// MostPerSecond bounds how many people are let in; 0: as many as the engine can do.
	MostPerSecond int `json:"mostPerSecond,omitempty"`
	// StartPerSecond is how many people are let in until it is known what the engine can do; 0: 50.
	StartPerSecond int `json:"startPerSecond,omitempty"`
}

// Room is one opening of a service's waiting room, as the servers share it.
type Room struct {
	Settings
	ID       RoomID  `json:"id"`
	Made     Instant `json:"made"`
	Active   bool    `json:"active"`   // holds need a pass
	Frontier Instant `json:"frontier"` // whoever lies before it may enter
	Marks    []mark  `json:"marks"`    // where it was, for as long as calls are good
	Crowd    Crowd   `json:"crowd"`

	Cells   []cell  `json:"cells"`   // what happened, the latest last
	CellsAt Instant `json:"cellsAt"` // when the latest one began
	Rate    float64 `json:"rate"`    // people a second that the engine can do
	Held    int64   `json:"held"`    // by people with a pass, ever
	Credit  float64 `json:"credit"`  // the part of a person that was allowed and not called
	Stepped Instant `json:"stepped"` // when the frontier was last looked at
	Knee    float64 `json:"knee"`    // people a second when the engine was last at its end; 0: never
	Eased   Instant `json:"eased"`   // when it last was
	Busy    Instant `json:"busy"`    // when somebody last waited, or the load was last too high
}

// mark is where the frontier was at an instant.
type mark struct {
	At       Instant `json:"at"`
	Frontier Instant `json:"frontier"`
}

// cell is what happened within cellWidth.
type cell struct {
	Called  float64 `json:"called"`  // people whom the frontier passed
	Entered int     `json:"entered"` // of them, those who took a pass
	Held    int     `json:"held"`    // people who held their first place
	Placed  int     `json:"placed"`  // of those who entered in this cell, those who have held a place by now
	Done    int     `json:"done"`    // holds and confirms that the engine answered
	Failed  int     `json:"failed"`  // holds and confirms that it could not do
	TookMs  int64   `json:"tookMs"`  // those that it answered, together
	Shed    int     `json:"shed"`    // holds that were turned away at the door
}

func (c *cell) join(o *cell) {
	c.Called += o.Called
	c.Entered += o.Entered
	c.Held += o.Held
	c.Placed += o.Placed
	c.Done += o.Done
	c.Failed += o.Failed
	c.TookMs += o.TookMs
	c.Shed += o.Shed
}

const (
	cellWidth = Instant(10 * time.Second / time.Microsecond)
	maxCells  = 63 // the paces of ten minutes
)

const (
	// PassLife is how long a pass is good.
	PassLife = 10 * time.Minute
	// CallLife is for how long somebody who was called may enter.
	CallLife = 30 * time.Minute
	// TicketLife is for how long after its instant a ticket is one.
	TicketLife = 24 * time.Hour
	// drawDelay is how long after the opening the seed stays secret, so that no server with a slow clock gives a ticket of the
	// draw to somebody who knows the seed.
	drawDelay = 5 * time.Second
)

// Bounds of settings.
const (
	MaxBeaconBytes = 200
	MaxPerSecond   = 100_000
)

// firstRate is what an engine on the smallest machine does in tests.
const firstRate = 50

// newRoom makes a room that opens as its settings say. Nobody has been let in.
func newRoom(s Settings, id RoomID, now Instant) *Room {
	r := &Room{Settings: s, ID: id, Made: now, Active: s.Mode == On, Rate: float64(s.StartPerSecond), Stepped: now, Frontier: now}
	if s.StartPerSecond == 0 {
		r.Rate = firstRate
	}
	if !s.OpenAt.IsZero() {
		r.Crowd.Opens = instantOf(s.OpenAt)
		r.Frontier = r.Crowd.Opens - drawnWithin
	}
	return r
}

// draws says whether tickets are to be drawn at an instant: before the opening.
func (r *Room) draws(now Instant) bool { return now < r.Crowd.Opens }

// drawn says whether the draw is over, so that its seed may be known.
func (r *Room) drawn(now Instant) bool {
	return r.Crowd.Opens == 0 || now >= r.Crowd.Opens.plus(drawDelay) && (r.Beacon == "" || r.BeaconValue != "")
}

// waiting is about how many people wait.
func (r *Room) waiting() float64 { return r.Crowd.between(r.Frontier, never) }

const never = Instant(1) << 62

// floor is the instant before which calls are over.
func (r *Room) floor(now Instant) (floor Instant) {
	for _, m := range r.Marks {
		if m.At.plus(CallLife) > now {
			break
		}
		floor = m.Frontier
	}
	return floor
}

// mark remembers where the frontier is, once a minute, for as long as calls are good.
func (r *Room) mark(now Instant) {
	if n := len(r.Marks); n > 0 && now.since(r.Marks[n-1].At) < time.Minute {
		return
	}
	r.Marks = append(r.Marks, mark{now, r.Frontier})
	for len(r.Marks) > 1 && r.Marks[1].At.plus(CallLife) <= now {
		r.Marks = r.Marks[1:]
	}
}

// roll makes the latest cell that of an instant.
func (r *Room) roll(now Instant) {
	at := now - now%cellWidth
	if len(r.Cells) == 0 || at-r.CellsAt >= cellWidth*Instant(maxCells) {
		r.Cells, r.CellsAt = []cell{{}}, max(at, r.CellsAt)
	}
	for r.CellsAt < at {
		r.Cells, r.CellsAt = append(r.Cells, cell{}), r.CellsAt+cellWidth
	}
	if n := len(r.Cells) - maxCells; n > 0 {
		r.Cells = append([]cell(nil), r.Cells[n:]...)
	}
}

// place notes that people who entered at an instant have held a place.
func (r *Room) place(entered Instant, people int) {
	back := int((r.CellsAt - (entered - entered%cellWidth)) / cellWidth)
	if i := len(r.Cells) - 1 - back; i >= 0 && back >= 0 {
		r.Cells[i].Placed += people
	}
}

// over adds up n cells, of which the latest is skipped cells back.
func (r *Room) over(n, skipped int) (sum cell) {
	until := max(0, len(r.Cells)-skipped)
	for i := max(0, until-n); i < until; i++ {
		sum.join(&r.Cells[i])
	}
	return sum
}

// checked finds what is wrong with settings that are to replace those of a room, which may be none.
func (s *Settings) checked(r *Room, now Instant) error {
	var faults []allocator.Fault
	check := func(ok bool, pointer, detail string) {
		if !ok {
			faults = append(faults, allocator.Fault{Pointer: pointer, Detail: detail})
		}
	}
	check(s.Mode == Off || s.Mode == On || s.Mode == ByLoad, "/mode", "must be off, on or by_load")
	check(s.OpenAt.IsZero() || s.Mode != ByLoad, "/openAt", "has no meaning for a room that opens by load")
	check(s.LotteryFrom.IsZero() || s.LotteryFrom.Before(s.OpenAt), "/lotteryFrom", "must be before openAt")
	check(s.Beacon == "" || !s.OpenAt.IsZero(), "/beacon", "has no meaning without openAt")
	check(s.BeaconValue == "" || s.Beacon != "", "/beaconValue", "has no meaning without beacon")
	check(s.StartPerSecond >= 0 && s.StartPerSecond <= MaxPerSecond, "/startPerSecond", "must be 0 to 100000")
	check(s.MostPerSecond >= 0 && s.MostPerSecond <= MaxPerSecond, "/mostPerSecond", "must be 0 to 100000")
	check(max(len(s.Beacon), len(s.BeaconValue)) <= MaxBeaconBytes, "/beacon", "must be at most 200 bytes, and so must its value")
	same := r != nil && s.sameOpening(&r.Settings)
	if !same {
		check(s.OpenAt.IsZero() || instantOf(s.OpenAt) > now, "/openAt", "must lie ahead")
		check(s.BeaconValue == "", "/beaconValue", "cannot be known before the opening")
		check(r == nil || r.Mode == Off || r.Crowd.Drawn == 0 && r.waiting() == 0, "/openAt",
			"cannot change while people wait: what they were told would not be true; switch the room off first")
	} else if s.BeaconValue != r.BeaconValue {
		check(r.BeaconValue == "" && !r.draws(now), "/beaconValue", "is taken once, after the opening")
	}
	if len(faults) > 0 {
		return &allocator.Error{Code: allocator.CodeInvalid, Detail: "the waiting room is not valid", Faults: faults}
	}
	return nil
}

// sameOpening says whether settings are of the same opening, so that tickets stay what they are.
func (s *Settings) sameOpening(o *Settings) bool {
	return s.OpenAt.Equal(o.OpenAt) && s.LotteryFrom.Equal(o.LotteryFrom) && s.Beacon == o.Beacon
}

// put changes the settings of a room, which may be none.
func put(r *Room, s Settings, id RoomID, now Instant) *Room {
	if r == nil || !s.sameOpening(&r.Settings) {
		return newRoom(s, id, now)
	}
	again := r.Mode != s.Mode
	r.Settings = s
	if again {
		r.Active = s.Mode == On
	}
	return r
}
