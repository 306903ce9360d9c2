package waitingroom

import (
	"math"
	"math/rand/v2"
	"time"

	"muster/allocator"
)

// view is a room as this server acts on it: as it was stored, with what is asked of it at every poll worked out before. It does
// not change.
type view struct {
	*Room
	service  allocator.ServiceCode
	at       Instant // as of when
	last     Instant // until when calls are good
	isDrawn  bool
	drawing  [32]byte  // once it is drawn
	before   []float64 // how many people lie before each bucket, and before the end of the last
	waits    float64
	perhaps  [2]float64 // people a second that the frontier passes: the slowest and the fastest of late; 0: unknown
	per      float64    // people of the line for each place that is taken
	taken    float64    // places that people who are called or inside will take
	free     int        // negative: unknown
	nearness *nearby
}

func (r *Room) view(service allocator.ServiceCode, seed [32]byte, free int, now Instant, n *nearby) *view {
	v := &view{Room: r, service: service, at: now, last: r.floor(now), isDrawn: r.drawn(now), free: free, nearness: n}
	if v.isDrawn {
		v.drawing = Draw(seed, r.BeaconValue)
	}
	v.before = make([]float64, len(r.Crowd.Counts)+1)
	for i, n := range r.Crowd.Counts {
		v.before[i+1] = v.before[i] + float64(n)
	}
	v.waits = v.between(r.Frontier, never)
	v.perhaps = r.pace()
	v.per = 1 / (r.mayCome() * r.stay())
	v.taken = r.expected() * r.stay()
	return v
}

// pace is how many people a second the frontier passed: the slowest and the fastest of the last half minute, two and ten
// minutes, as far as the room has called people for so long.
func (r *Room) pace() (pace [2]float64) {
	whole := r.Cells[:max(0, len(r.Cells)-1)]
	for len(whole) > 0 && whole[0].Called == 0 {
		whole = whole[1:]
	}
	for _, n := range []int{3, 12, 60} {
		if len(whole) < min(n, 3) {
			break
		}
		sum, n := 0.0, min(n, len(whole))
		for _, c := range whole[len(whole)-n:] {
			sum += c.Called
		}
		rate := sum / (time.Duration(n) * time.Duration(cellWidth) * time.Microsecond).Seconds()
		if rate > 0 && (pace[0] == 0 || rate < pace[0]) {
			pace[0] = rate
		}
		pace[1] = max(pace[1], rate)
	}
	return pace
}

// between is Crowd.between, in constant time.
func (v *view) between(a, b Instant) float64 {
	if b <= a {
		return 0
	}
	c := &v.Crowd
	drawn := float64(c.Drawn) * overlap(c.Opens-drawnWithin, c.Opens, a, b)
	return drawn + v.upTo(b) - v.upTo(a)
}

// upTo is how many arrivals lie before an instant.
func (v *view) upTo(at Instant) float64 {
	c := &v.Crowd
	i := c.index(at)
	if i >= len(c.Counts) {
		return v.before[len(c.Counts)]
	}
	from, until := c.bucket(i)
	return v.before[i] + float64(c.Counts[i])*overlap(from, until, from, at)
}

// placeOf is where a ticket lies in the order; ok is false while it is not drawn yet.
func (v *view) placeOf(t *slip) (at Instant, ok bool) {
	if t.At != 0 {
		return t.At, true
	}
	if !v.isDrawn {
		return 0, false
	}
	return drawnAt(v.Crowd.Opens, Rank(v.drawing, t.ID)), true
}

// Phase is where somebody stands.
type Phase string

// The phases.
const (
	Open    Phase = "open"    // there is no line: holds need no pass
	Drawing Phase = "drawing" // waits for the draw
	Waiting Phase = "waiting"
	Called  Phase = "called" // may take a pass
	Lapsed  Phase = "lapsed" // was called, and did not come in time
)

// Outlook is whether somebody will find a place, as far as that can be told.
type Outlook string

// The outlooks.
const (
	Likely    Outlook = "likely"
	Uncertain Outlook = "uncertain"
	Unlikely  Outlook = "unlikely" // more people are ahead than there are places
	SoldOut   Outlook = "sold_out" // nothing is free now; places may come back
	Unknown   Outlook = "unknown"
)

// Status is what somebody is told.
type Status struct {
	Service  allocator.ServiceCode
	Phase    Phase
	Position int              // 1: next; 0: not in the line yet, or not any more
	Ahead    int              // how many wait, in all
	Wait     [2]time.Duration // from, to; zero: unknown
	Poll     time.Duration    // when to ask again
	Free     int              // places; negative: unknown
	Outlook  Outlook
	Area     Area
	Near     int // places near the area; negative: unknown
	OpenAt   Instant
}

// status tells a ticket's owner. It allocates nothing.
func (v *view) status(t *slip, now Instant) Status {
	s := Status{
		Service: v.service, Ahead: int(math.Ceil(v.waits)), Free: v.free, Outlook: Unknown, Area: t.Area, Near: -1, OpenAt: v.Crowd.Opens,
	}
	if t.Area != (Area{}) {
		s.Near = v.nearness.free(v.service, t.Area, now)
	}
	at, drawn := v.placeOf(t)
	switch {
	case !v.Active:
		s.Phase = Open
	case !drawn:
		s.Phase, s.Ahead, s.Poll = Drawing, int(v.Crowd.Drawn), v.untilDraw(now)
		s.Outlook = v.outlook(float64(v.Crowd.Drawn))
	case now >= max(at, v.Crowd.Opens).plus(TicketLife) || at < v.last:
		s.Phase = Lapsed
	case at < v.Frontier:
		s.Phase = Called
	default:
		s.Phase = Waiting
		ahead := v.between(v.Frontier, at)
		s.Position = int(ahead) + 1
		s.Ahead = max(s.Ahead, s.Position)
		s.Wait = v.wait(ahead)
		s.Outlook = v.outlook(ahead)
		s.Poll = pollAfter(s.Wait[0], ahead)
	}
	return s
}

// wait is how long it takes until so many people have been called: from the fastest pace of late, rising as the rate may rise, to
// the slowest, and some more either way.
func (v *view) wait(ahead float64) (wait [2]time.Duration) {
	if v.perhaps[0] == 0 {
		return wait
	}
	seconds := func(s float64) time.Duration { return time.Duration(min(s, 1e6) * float64(time.Second)) }
	soon, late := ahead/v.perhaps[1], ahead/v.perhaps[0]
	if g := v.growth(); g > 0 {
		soon = math.Log1p(g*soon) / g
	}
	return [2]time.Duration{max(time.Second, seconds(0.8*soon)), 5*time.Second + seconds(1.25*late)}
}

// outlook compares how many places those ahead will take with how many are free. Who has no better than even chances is not
// told that they are good.
func (v *view) outlook(ahead float64) Outlook {
	taken := v.taken + (ahead+1)/v.per
	switch free := float64(v.free); {
	case v.free < 0:
		return Unknown
	case v.free == 0:
		return SoldOut
	case taken <= 0.8*free:
		return Likely
	case taken <= 1.2*free:
		return Uncertain
	}
	return Unlikely
}

const (
	soonest = time.Second
	latest  = 90 * time.Second
)

// pollAfter is when to look again: often where it may matter soon, seldom where it cannot. A fifth of the wait loses nobody more than
// a fifth of what was left of it.
func pollAfter(wait time.Duration, ahead float64) time.Duration {
	if wait == 0 { // unknown: as if fifty people a second were called
		wait = time.Duration(min(ahead/firstRate, 1e6)*float64(time.Second)) + 4*time.Second
	}
	return spread(min(latest, max(soonest, wait/5)))
}

// spread is a fifth less or more, so that those who came together do not ask together for ever.
func spread(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}

// untilDraw is when to look whether the draw is over: everybody within twenty seconds of it.
func (v *view) untilDraw(now Instant) time.Duration {
	if left := v.Crowd.Opens.plus(drawDelay).since(now); left > 0 {
		return min(spread(latest), left+rand.N(20*time.Second))
	}
	return spread(10 * time.Second) // the beacon is still to come
}
