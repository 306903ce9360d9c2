package waitingroom

import "time"

// tick is what a step of the frontier is decided by, besides the room itself.
type tick struct {
	now  Instant
	safe Instant // up to here every server has told its arrivals
	free int     // places that nobody has; negative: unknown
}

const (
	leastRate = 1.0
	leastShow = 0.1 // where fewer come than that, perhaps all of them come late
	mostRate  = 10_000.0

	// What people who are let in ask of the engine comes minutes later: they look for a place and fill in a form. So what a rate does
	// shows after that time, and it may not rise by much more in the meantime.
	raise      = 0.003                  // of itself each second: by two fifths in two minutes
	raiseAbove = 0.0005                 // near the rate at which the engine was last found to be at its end
	atEase     = 100 * time.Millisecond // holds and confirms that take less on average leave room for more
	slowAnswer = 500 * time.Millisecond // and those that take more are a sign of overload
	settling   = 30 * time.Second       // a lower rate has so long to show its effect
	calming    = 2 * time.Minute        // a room that opened by load closes when nobody has waited for so long

	// firstPeople are taken to have come, held and booked before anything is measured, so that the first few decide little.
	firstPeople = 10
	// answering is how many cells people have to notice that they were called.
	answering = 3
	// seeking is for how many cells people are taken to look for a place. Who holds none after that mostly does not want one.
	seeking = 30
	// measured is over how many cells shares of people are measured.
	measured = 12
)

// step moves the frontier on, once a second, by what is known. It is called for rooms that are not off.
func (r *Room) step(t tick) {
	if t.now.since(r.Stepped) < time.Second*9/10 {
		return
	}
	seconds := min(t.now.since(r.Stepped), 2*time.Second).Seconds()
	r.Stepped = t.now
	r.roll(t.now)
	strained := r.strained()
	if r.Mode == ByLoad && !r.switchByLoad(strained, t.now) {
		return
	}
	if t.now < r.Crowd.Opens || !r.drawn(t.now) {
		return
	}
	if strained { // those who are inside first
		r.ease(t.now)
	} else if r.call(seconds, t) {
		r.raise(seconds)
	}
	r.mark(t.now)
	r.Crowd.forget(r.Frontier)
}

// call moves the frontier over as many people as may come, and says whether only the rate kept it from more.
func (r *Room) call(seconds float64, t tick) (pressed bool) {
	waiting, show := r.waiting(), r.show()
	byRate := r.rate()*seconds/show + r.Credit
	n := byRate
	if t.free >= 0 {
		n = min(n, (float64(t.free)-r.expected())/show)
	}
	n = max(0, n)
	to := r.Crowd.advance(r.Frontier, n, t.safe)
	called := r.Crowd.between(r.Frontier, to)
	r.Frontier = max(r.Frontier, to)
	r.Cells[len(r.Cells)-1].Called += called
	// A crowd that was not there is not made up for. One that came in a single instant is called together, once it may be.
	r.Credit = min(max(1, r.Crowd.between(r.Frontier, r.Frontier+1)), max(0, n-called))
	return n == byRate && waiting > called
}

func (r *Room) rate() float64 {
	if r.MostPerSecond > 0 {
		return min(r.Rate, float64(r.MostPerSecond))
	}
	return r.Rate
}

// ease lowers the rate to what the engine was found to be able to do.
func (r *Room) ease(now Instant) {
	if now.since(r.Eased) >= settling {
		r.Knee = r.served()
		r.Rate = max(leastRate, min(r.rate(), 0.8*r.Knee))
	}
	r.Eased = now
}

// raise raises the rate, which was all used, while the engine is at ease.
func (r *Room) raise(seconds float64) {
	c := r.over(2, 0)
	if c.TookMs > atEase.Milliseconds()*int64(c.Done) {
		return
	}
	r.Rate = min(mostRate, r.Rate*(1+r.growth()*seconds))
}

// growth is by how much of itself the rate may rise each second.
func (r *Room) growth() float64 {
	switch {
	case r.rate() < r.Rate:
		return 0
	case r.Knee > 0 && r.Rate > 0.9*r.Knee:
		return raiseAbove
	}
	return raise
}

// strained says whether holds and confirms of these seconds failed for want of capacity, or were slow.
func (r *Room) strained() bool {
	c := r.over(2, 0)
	all := c.Done + c.Failed
	return c.Failed > firstPeople && c.Failed*50 > all || c.Done > firstPeople && c.TookMs > slowAnswer.Milliseconds()*int64(c.Done)
}

// switchByLoad says whether a room that opens by load is in force. What was turned away at the door opens it, but tells nothing
// of those who are inside.
func (r *Room) switchByLoad(strained bool, now Instant) bool {
	if strained || r.Active && r.waiting() >= 1 {
		r.Busy = now
	}
	switch {
	case !r.Active && (strained || r.over(2, 0).Shed > firstPeople):
		r.Active, r.Busy, r.Rate = true, now, max(leastRate, r.served())
		r.Frontier = max(r.Frontier, now) // whoever comes now is the first; tickets of the last time are over
		r.Marks = []mark{{now.plus(-CallLife), r.Frontier}}
	case r.Active && now.since(r.Busy) >= calming:
		r.Active = false
	}
	return r.Active
}

// served is for how many people a second the engine did what they asked, lately: its holds and confirms, by how many of these
// people asked for.
func (r *Room) served() float64 {
	const cells = 3
	all := r.over(maxCells, 0)
	each := min(3, max(1, (float64(all.Done)+2*firstPeople)/(float64(all.Entered)+firstPeople))) // some need no pass
	return float64(r.over(cells, 0).Done) / each / (cells * time.Duration(cellWidth) * time.Microsecond).Seconds()
}

// show is the share of those who are called that come.
func (r *Room) show() float64 {
	c := r.over(measured, answering)
	return min(1, max(leastShow, (float64(c.Entered)+firstPeople)/(c.Called+firstPeople)))
}

// mayCome is no less than the share of those who are called that come: all who came, of those who were called a minute ago or earlier.
// People are told their outlook by it, which must not be better than the truth.
func (r *Room) mayCome() float64 {
	const minute, first = 6, 3 * firstPeople
	return min(1, (float64(r.over(maxCells, 0).Entered)+first)/(r.over(maxCells, minute).Called+first))
}

// stay is the share of those who come that hold a place. It takes them a minute.
func (r *Room) stay() float64 {
	const minute = 6
	c := r.over(maxCells, minute)
	return min(1, (float64(c.Placed)+firstPeople)/(float64(c.Entered)+firstPeople))
}

// expected is how many people may still want one of the free places without having one: those who were called and are on
// their way, and those who are inside.
func (r *Room) expected() float64 {
	late, now := r.over(answering, 0), r.over(2, 0)
	coming := max(late.Called*r.show()-float64(late.Entered), now.Called*r.show()/2)
	in := 0
	for i := max(0, len(r.Cells)-seeking); i < len(r.Cells); i++ {
		in += max(0, r.Cells[i].Entered-r.Cells[i].Placed)
	}
	return coming + float64(in)
}
