package result

import (
	"sync"
	"time"

	"muster/geo"
)

// Late is from when on a request counts as sent late, and OnTime until when an arrival counts as on time.
const (
	Late   = 100 * time.Millisecond
	OnTime = time.Second
)

// Observation is one request and its answer. Times count from the beginning of the run.
type Observation struct {
	Step                 string
	Code                 string
	Class                Class
	Planned, Sent, Ended time.Duration
	Unpaced              bool // refused for now, without a word on when to come back
}

// Live is what may be shown while a run goes on.
type Live struct {
	Totals   Totals
	InFlight int
	Recent   Summary // since the last look
}

// Recorder counts while a run goes on. Safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	r      Result
	window time.Duration
	recent *Histogram
	supply map[string]int // positions in the map
}

// mostHomes bounds the map.
const mostHomes = 3000

// NewRecorder begins a result whose windows have a length.
func NewRecorder(window time.Duration) *Recorder {
	return &Recorder{r: Result{Format: Format, Steps: make(map[string]*Step), Lag: new(Histogram), Journeys: make(map[string]Outcomes)},
		window: window, recent: new(Histogram), supply: make(map[string]int)}
}

// at is the window of an instant; the caller has the lock.
func (c *Recorder) at(t time.Duration) *Window {
	i := int(max(0, t) / c.window)
	for len(c.r.Windows) <= i {
		c.r.Windows = append(c.r.Windows, &Window{FromSeconds: (time.Duration(len(c.r.Windows)) * c.window).Seconds(),
			LengthSeconds: c.window.Seconds(), Latency: new(Histogram), Confirm: new(Histogram)})
	}
	return c.r.Windows[i]
}

// Observe counts a request.
func (c *Recorder) Observe(o Observation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	step := c.r.Steps[o.Step]
	if step == nil {
		step = &Step{Codes: make(map[string]*Code), Service: new(Histogram)}
		c.r.Steps[o.Step] = step
	}
	code := step.Codes[o.Code]
	if code == nil {
		code = &Code{Class: o.Class, Latency: new(Histogram)}
		step.Codes[o.Code] = code
	}
	waited, lag := o.Ended-o.Planned, o.Sent-o.Planned
	code.Latency.Add(waited)
	step.Service.Add(o.Ended - o.Sent)
	c.r.Lag.Add(lag)
	c.recent.Add(waited)
	t, w := &c.r.Totals, c.at(o.Planned)
	t.Requests++
	w.Requests++
	w.Latency.Add(waited)
	if o.Step == Confirm {
		w.Confirm.Add(waited)
	}
	if o.Unpaced {
		t.Unpaced++
	}
	if lag >= Late {
		t.Late++
	}
	switch o.Class {
	case Refused:
		t.Refused++
		w.Refused++
	case Failed:
		t.Failed++
		w.Failed++
	}
	if o.Step == Hold {
		t.Holds++
	}
}

// Arrive counts an arrival: planned then, begun then; begun is negative where it never did.
func (c *Recorder) Arrive(planned, begun time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, w := &c.r.Totals, c.at(planned)
	t.Planned++
	w.Planned++
	if begun < 0 {
		t.Unsent++
		return
	}
	t.Started++
	w.Started++
	if begun-planned < OnTime {
		t.OnTime++
	}
}

// Ending is how a journey ended.
type Ending struct {
	Journey string
	Home    geo.Point
	Booked  bool // a booking was acknowledged, whatever became of it then
	Nothing bool // no place was to be had
	Failed  bool // gave up
	Looked  bool // wanted no booking
	Cut     bool // the run was over
}

// End counts the end of a journey.
func (c *Recorder) End(e Ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, o := &c.r.Totals, c.r.Journeys[e.Journey]
	o.People++
	t.Finished++
	switch {
	case e.Cut:
		t.Finished--
		t.Cut++
	case e.Failed:
		o.Failed++
	case e.Nothing:
		o.None++
		t.Nothing++
	}
	if e.Booked {
		o.Booked++
	}
	c.r.Journeys[e.Journey] = o
	if len(c.r.Map.Demand) < mostHomes && !e.Looked && !e.Cut {
		c.r.Map.Demand = append(c.r.Map.Demand, Home{e.Home.Lat, e.Home.Lon, e.Booked})
	}
}

// Booked counts acknowledged bookings at a site.
func (c *Recorder) Booked(site string, at time.Duration, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Totals.Booked += int64(n)
	c.at(at).Booked += int64(n)
	if i, ok := c.supply[site]; ok {
		c.r.Map.Supply[i].Booked += n
	}
}

// Ended counts a booking that was cancelled (moved: replaced) at a site.
func (c *Recorder) Ended(site string, at time.Duration, moved bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if moved {
		c.r.Totals.Moved++
	} else {
		c.r.Totals.Cancelled++
	}
	c.at(at).Ended++
	if i, ok := c.supply[site]; ok {
		c.r.Map.Supply[i].Booked--
	}
}

// Site tells of a site; one that is known stays as it is.
func (c *Recorder) Site(s Supply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.supply[s.Site]; !known {
		c.supply[s.Site] = len(c.r.Map.Supply)
		c.r.Map.Supply = append(c.r.Map.Supply, s)
	}
}

// Wrong counts an answer that contradicts what was asked or answered before, and keeps the first twenty.
func (c *Recorder) Wrong(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Totals.Wrong++
	if len(c.r.Wrong) < 20 {
		c.r.Wrong = append(c.r.Wrong, what)
	}
}

// Unknown counts a confirm without a definite answer.
func (c *Recorder) Unknown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Totals.Unknown++
}

// Look is where the run stands, and how long people waited since the last look.
func (c *Recorder) Look() Live {
	c.mu.Lock()
	defer c.mu.Unlock()
	live := Live{Totals: c.r.Totals, Recent: Summarise(c.recent)}
	c.recent = new(Histogram)
	return live
}

// Result is what was counted. The recorder is not to be used after it.
func (c *Recorder) Result() *Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &c.r
}
