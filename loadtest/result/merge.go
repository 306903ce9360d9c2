package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Merge makes one result of several generators' of one run. They must agree on profile, scale, seed and the length of windows,
// and no generator may be there twice. Thresholds are left out: they are to be decided anew. The first result is changed.
func Merge(results ...*Result) (*Result, error) {
	if len(results) == 0 {
		return nil, errors.New("there is nothing to merge")
	}
	sum := results[0]
	for _, r := range results[1:] {
		if err := sum.mergeable(r); err != nil {
			return nil, err
		}
		sum.add(r)
	}
	sum.Thresholds = nil
	sum.Finish()
	return sum, nil
}

func (r *Result) mergeable(other *Result) error {
	if r.Profile.Name != other.Profile.Name || r.Profile.Scale != other.Profile.Scale || r.Profile.LengthSeconds != other.Profile.LengthSeconds {
		return fmt.Errorf("they are of different loads: %s of %v s at %v, and %s of %v s at %v", r.Profile.Name, r.Profile.LengthSeconds, r.Profile.Scale,
			other.Profile.Name, other.Profile.LengthSeconds, other.Profile.Scale)
	}
	if r.Run.Seed != other.Run.Seed {
		return fmt.Errorf("they have seeds of their own, %d and %d, so the people are not divided", r.Run.Seed, other.Run.Seed)
	}
	for _, g := range other.Run.Generators {
		if slices.Contains(r.Run.Generators, g) {
			return fmt.Errorf("generator %s is there twice", g)
		}
	}
	for i := range min(len(r.Windows), len(other.Windows)) {
		if r.Windows[i].LengthSeconds != other.Windows[i].LengthSeconds {
			return errors.New("their windows differ in length")
		}
	}
	return nil
}

func (r *Result) add(other *Result) {
	r.Run.Generators = append(r.Run.Generators, other.Run.Generators...)
	slices.Sort(r.Run.Generators)
	if other.Run.Started.Before(r.Run.Started) {
		r.Run.Started = other.Run.Started
	}
	if r.Run.Broken == "" {
		r.Run.Broken = other.Run.Broken
	}
	if r.Hook == nil {
		r.Hook = other.Hook
	}
	addTotals(&r.Totals, &other.Totals)
	for name, step := range other.Steps {
		r.addStep(name, step)
	}
	r.Lag.Merge(other.Lag)
	for i, w := range other.Windows {
		if i == len(r.Windows) {
			r.Windows = append(r.Windows, w)
		} else {
			r.Windows[i].add(w)
		}
	}
	for name, o := range other.Journeys {
		mine := r.Journeys[name]
		r.Journeys[name] = Outcomes{mine.People + o.People, mine.Booked + o.Booked, mine.None + o.None, mine.Failed + o.Failed}
	}
	r.Generator.add(&other.Generator)
	r.Places = max(r.Places, other.Places)
	r.Map.add(&other.Map)
	r.Wrong = append(r.Wrong, other.Wrong...)
	r.Audit = addAudits(r.Audit, other.Audit)
}

func addTotals(a, b *Totals) {
	for _, pair := range [][2]*int64{
		{&a.Planned, &b.Planned}, {&a.Started, &b.Started}, {&a.OnTime, &b.OnTime}, {&a.Unsent, &b.Unsent}, {&a.Finished, &b.Finished},
		{&a.Cut, &b.Cut}, {&a.Requests, &b.Requests}, {&a.Late, &b.Late}, {&a.Refused, &b.Refused}, {&a.Failed, &b.Failed},
		{&a.Unpaced, &b.Unpaced}, {&a.Holds, &b.Holds}, {&a.Phantom, &b.Phantom}, {&a.Booked, &b.Booked}, {&a.Cancelled, &b.Cancelled}, {&a.Moved, &b.Moved},
		{&a.Nothing, &b.Nothing}, {&a.Unknown, &b.Unknown}, {&a.Wrong, &b.Wrong},
	} {
		*pair[0] += *pair[1]
	}
}

func (r *Result) addStep(name string, other *Step) {
	mine, ok := r.Steps[name]
	if !ok {
		r.Steps[name] = other
		return
	}
	mine.Service.Merge(other.Service)
	for name, code := range other.Codes {
		if known, ok := mine.Codes[name]; ok {
			known.Latency.Merge(code.Latency)
		} else {
			mine.Codes[name] = code
		}
	}
}

func (w *Window) add(other *Window) {
	w.Planned += other.Planned
	w.Started += other.Started
	w.Requests += other.Requests
	w.Refused += other.Refused
	w.Failed += other.Failed
	w.Booked += other.Booked
	w.Ended += other.Ended
	w.Latency.Merge(other.Latency)
	w.Confirm.Merge(other.Confirm)
}

func (g *Generator) add(other *Generator) {
	g.CPUSeconds += other.CPUSeconds
	g.WallSeconds = max(g.WallSeconds, other.WallSeconds)
	g.Cores += other.Cores
	g.InFlight += other.InFlight
	g.Workers += other.Workers
	g.Exhausted += other.Exhausted
	g.Limited = append(g.Limited, other.Limited...)
}

func (m *Map) add(other *Map) {
	m.Demand = append(m.Demand, other.Demand...)
	at := make(map[string]int)
	for i := range m.Supply {
		at[m.Supply[i].Site] = i
	}
	for _, s := range other.Supply {
		if i, ok := at[s.Site]; ok {
			m.Supply[i].Booked += s.Booked
			m.Supply[i].Places = max(m.Supply[i].Places, s.Places)
		} else {
			m.Supply = append(m.Supply, s)
		}
	}
}

// addAudits sums up what each generator found of its own people. Both look at the same days, so what they found there (a slot
// with too many bookings) is counted once, as the larger of the two.
func addAudits(a, b *Audit) *Audit {
	if a == nil || b == nil {
		return nil // half an audit is none
	}
	a.Acknowledged += b.Acknowledged
	a.Checked += b.Checked
	a.Lost += b.Lost
	a.Altered += b.Altered
	a.NotEnded += b.NotEnded
	a.Days = max(a.Days, b.Days)
	a.Oversold = max(a.Oversold, b.Oversold)
	a.Twice = max(a.Twice, b.Twice)
	a.Uncalled = max(a.Uncalled, b.Uncalled)
	a.Leaked = max(a.Leaked, b.Leaked)
	a.Engine = max(a.Engine, b.Engine)
	union := make(map[string]bool)
	for _, list := range [][]string{a.Unchecked, b.Unchecked} {
		for _, text := range list {
			union[text] = true
		}
	}
	a.Unchecked = slices.Sorted(maps.Keys(union))
	a.Examples = append(a.Examples, b.Examples...)
	return a
}

// Read reads a file of JSON.
func Read(name string) (*Result, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s is no result of a load test: %w", name, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%s has format %d, and %d is read", name, r.Format, Format)
	}
	r.fill()
	return r, nil
}

// fill makes what a file may leave out.
func (r *Result) fill() {
	if r.Steps == nil {
		r.Steps = make(map[string]*Step)
	}
	if r.Journeys == nil {
		r.Journeys = make(map[string]Outcomes)
	}
	if r.Lag == nil {
		r.Lag = new(Histogram)
	}
	for _, s := range r.Steps {
		if s.Service == nil {
			s.Service = new(Histogram)
		}
		for _, code := range s.Codes {
			if code.Latency == nil {
				code.Latency = new(Histogram)
			}
		}
	}
	for _, w := range r.Windows {
		if w.Latency == nil {
			w.Latency = new(Histogram)
		}
		if w.Confirm == nil {
			w.Confirm = new(Histogram)
		}
	}
}

// Write writes a file of JSON.
func (r *Result) Write(name string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}
