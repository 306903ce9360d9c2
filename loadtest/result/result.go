// Package result is what a load test found out: what was planned and sent, how long people waited, what they were told, what
// the audit says, and whether the thresholds held. Results of several generators merge into one, and two runs compare.
//
// Waiting counts from the planned start of a request: a server that stalls makes everyone wait who was due meanwhile, and a
// generator that only asks again after an answer would never notice.
package result

import (
	"slices"
	"time"

	"muster/loadtest/profile"
	"muster/loadtest/threshold"
)

// Format is the version of the JSON; files of another are not read.
const Format = 1

// Class is what an answer means for the run.
type Class string

// The classes.
const (
	OK      Class = "ok"
	Refused Class = "refused" // for a reason that people must expect: full, expired, booked already
	Failed  Class = "failed"  // 5xx, 429, 400, no answer
)

// The steps of journeys, in the order in which people take them.
const (
	Search       = "search"
	Availability = "availability"
	Hold         = "hold"
	Extend       = "extend"
	Confirm      = "confirm"
	Release      = "release"
	Cancel       = "cancel"
	Move         = "move"   // the confirm that replaces a booking
	Repeat       = "repeat" // the same request once more
)

// Steps lists the steps.
func Steps() []string {
	return []string{Search, Availability, Hold, Extend, Confirm, Release, Cancel, Move, Repeat}
}

// Result is all of it.
type Result struct {
	Format     int                 `json:"format"`
	Profile    Profile             `json:"profile"`
	Run        Run                 `json:"run"`
	Totals     Totals              `json:"totals"`
	Steps      map[string]*Step    `json:"steps"`
	Lag        *Histogram          `json:"lag"` // from planned to sent
	Windows    []*Window           `json:"windows"`
	Generator  Generator           `json:"generator"`
	Journeys   map[string]Outcomes `json:"journeys"`
	Places     int                 `json:"places"` // on offer at the beginning; 0: unknown
	Map        Map                 `json:"map"`
	Wrong      []string            `json:"wrong,omitempty"` // examples of wrong answers
	Hook       *Hook               `json:"hook,omitempty"`
	Knee       *Knee               `json:"knee,omitempty"`
	Audit      *Audit              `json:"audit,omitempty"`
	Thresholds []threshold.Verdict `json:"thresholds"`
}

// Profile is what was wanted.
type Profile struct {
	Name          string       `json:"name"`
	Title         string       `json:"title"`
	Source        string       `json:"source,omitempty"`
	Mix           string       `json:"mix"`
	Scale         float64      `json:"scale"`
	People        float64      `json:"people"` // of all generators together
	PeakPerSecond float64      `json:"peakPerSecond"`
	LengthSeconds float64      `json:"lengthSeconds"`
	BellSeconds   float64      `json:"bellSeconds,omitempty"`
	Curve         [][2]float64 `json:"curve"` // seconds, arrivals a second
}

// ProfileOf describes a fitted profile.
func ProfileOf(p profile.Profile) Profile {
	d := Profile{Name: p.Name, Title: p.Title, Source: p.Source, Mix: p.Mix.String(), Scale: p.Scale, People: p.Curve.People(),
		PeakPerSecond: p.Curve.Peak(), LengthSeconds: p.Curve.Length().Seconds(), BellSeconds: p.Bell.Seconds()}
	for _, point := range p.Curve.Points() {
		d.Curve = append(d.Curve, [2]float64{point.At.Seconds(), point.Rate})
	}
	return d
}

// Run is who asked whom, how and when.
type Run struct {
	Target     string    `json:"target"`
	Engine     string    `json:"engine"`
	Seed       uint64    `json:"seed"`
	Command    string    `json:"command"`
	Version    string    `json:"version"`
	Commit     string    `json:"commit"`
	Machine    string    `json:"machine"`
	Started    time.Time `json:"started"`
	Generators []string  `json:"generators"` // "1/2" …
	Embedded   bool      `json:"embedded"`   // the server ran beside the generator
	Broken     string    `json:"broken,omitempty"`
}

// Totals are sums over the run.
type Totals struct {
	Planned   int64 `json:"planned"` // arrivals
	Started   int64 `json:"started"`
	OnTime    int64 `json:"onTime"`   // started within a second of their time
	Unsent    int64 `json:"unsent"`   // arrivals that never began
	Finished  int64 `json:"finished"` // journeys that came to their end
	Cut       int64 `json:"cut"`      // journeys that the end of the run ended
	Requests  int64 `json:"requests"`
	Late      int64 `json:"late"` // requests sent 100 ms or more after their time
	Refused   int64 `json:"refused"`
	Failed    int64 `json:"failed"`
	Unpaced   int64 `json:"unpaced"` // 429 and 503 without Retry-After
	Holds     int64 `json:"holds"`
	Phantom   int64 `json:"phantom"` // holds refused as full, listed as free a second or more after others were told that it is full
	Booked    int64 `json:"booked"`
	Cancelled int64 `json:"cancelled"`
	Moved     int64 `json:"moved"`
	Nothing   int64 `json:"nothing"` // people who found no place
	Unknown   int64 `json:"unknown"` // confirms that never got a definite answer
	Wrong     int64 `json:"wrong"`   // answers that contradict what was asked, or what was answered before
}

// Step is one kind of request.
type Step struct {
	Codes   map[string]*Code `json:"codes"`
	Service *Histogram       `json:"service"` // from sent to answered, for comparison
	Summary Summary          `json:"summary"` // of all codes; written for readers, worked out by Finish
}

// Code is what one kind of request was answered: the status of a success, the code of a problem, or why there was no answer.
type Code struct {
	Class   Class      `json:"class"`
	Latency *Histogram `json:"latency"` // from planned to answered
}

// Summary has the usual figures, in milliseconds.
type Summary struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"meanMs"`
	P50   float64 `json:"p50Ms"`
	P90   float64 `json:"p90Ms"`
	P95   float64 `json:"p95Ms"`
	P99   float64 `json:"p99Ms"`
	P999  float64 `json:"p999Ms"`
	Max   float64 `json:"maxMs"`
}

// Window is a part of the run's time, all of one length.
type Window struct {
	FromSeconds   float64    `json:"fromSeconds"`
	LengthSeconds float64    `json:"lengthSeconds"`
	Planned       int64      `json:"planned"` // arrivals
	Started       int64      `json:"started"`
	Requests      int64      `json:"requests"` // answered or failed, by their planned time
	Refused       int64      `json:"refused"`
	Failed        int64      `json:"failed"`
	Booked        int64      `json:"booked"`
	Ended         int64      `json:"ended"` // bookings that were cancelled
	Latency       *Histogram `json:"latency"`
	Confirm       *Histogram `json:"confirm"`
}

// Generator is what the generator says of itself.
type Generator struct {
	CPUSeconds  float64  `json:"cpuSeconds"`
	WallSeconds float64  `json:"wallSeconds"`
	Cores       int      `json:"cores"` // that it may use
	InFlight    int      `json:"inFlight"`
	Workers     int      `json:"workers"` // the most that it may have
	Exhausted   int64    `json:"exhausted"`
	Limited     []string `json:"limited,omitempty"` // why its figures are its own and not the server's
}

// Outcomes are how journeys of a kind ended.
type Outcomes struct {
	People int64 `json:"people"`
	Booked int64 `json:"booked"`
	None   int64 `json:"none"`   // no place was to be had
	Failed int64 `json:"failed"` // gave up after failures
}

// Map is where people live and where places are.
type Map struct {
	Demand []Home   `json:"demand"` // some of the people
	Supply []Supply `json:"supply"`
}

// Home is where one citizen lives, and whether they got what they came for.
type Home struct {
	Lat    float64 `json:"lat"`
	Lon    float64 `json:"lon"`
	Served bool    `json:"served"`
}

// Supply is a site. Places is 0 where they are not known.
type Supply struct {
	Site   string  `json:"site"`
	Name   string  `json:"name"`
	Lat    float64 `json:"lat"`
	Lon    float64 `json:"lon"`
	Places int     `json:"places"`
	Booked int     `json:"booked"`
}

// Hook is what the operator's command did.
type Hook struct {
	Command   string  `json:"command"`
	AtSeconds float64 `json:"atSeconds"`
	Seconds   float64 `json:"seconds"`
	Error     string  `json:"error,omitempty"`
	Output    string  `json:"output,omitempty"`
}

// Audit is the verdict on what the server kept.
type Audit struct {
	Sources      []string `json:"sources"` // where it looked
	Acknowledged int64    `json:"acknowledged"`
	Checked      int64    `json:"checked"` // of the acknowledged
	Days         int64    `json:"days"`
	Lost         int64    `json:"lost"`
	Altered      int64    `json:"altered"`   // found with another slot, service or person
	NotEnded     int64    `json:"notEnded"`  // cancelled or moved, and still there
	Oversold     int64    `json:"oversold"`  // bookings beyond capacity
	Twice        int64    `json:"twice"`     // places or persons with two bookings
	Uncalled     int64    `json:"uncalled"`  // bookings that nobody was told of
	Leaked       int64    `json:"leaked"`    // places that nobody has and nobody can get
	Engine       int64    `json:"engine"`    // violations that the engine's own audit reports
	Unchecked    []string `json:"unchecked"` // what could not be looked at, and why
	Examples     []string `json:"examples"`
}

// Violations is how many there are of all kinds.
func (a *Audit) Violations() int64 {
	return a.Lost + a.Altered + a.NotEnded + a.Oversold + a.Twice + a.Uncalled + a.Leaked + a.Engine
}

// Add counts a violation, and keeps the first twenty in words.
func (a *Audit) Add(count *int64, example string) {
	*count++
	if len(a.Examples) < 20 {
		a.Examples = append(a.Examples, example)
	}
}

// Window length is at least a second, and there are at most so many.
const mostWindows = 120

// WindowFor is the length of windows for a run.
func WindowFor(length time.Duration) time.Duration {
	second := time.Second
	return max(second, (length+mostWindows*second-1)/(mostWindows*second)*second)
}

// SortedCodes lists a step's codes, the most frequent first.
func (s *Step) SortedCodes() []string {
	var codes []string
	for code := range s.Codes {
		codes = append(codes, code)
	}
	slices.SortFunc(codes, func(a, b string) int {
		if d := s.Codes[b].Latency.Count() - s.Codes[a].Latency.Count(); d != 0 {
			return int(d)
		}
		if a < b {
			return -1
		}
		return 1
	})
	return codes
}

// Latency is the step's histogram over its codes, from the planned start.
func (s *Step) Latency() *Histogram {
	all := new(Histogram)
	for _, code := range s.Codes {
		all.Merge(code.Latency)
	}
	return all
}
