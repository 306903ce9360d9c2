package checkers

import (
	"cmp"
	"slices"

	"muster/allocator"
)

// Stats tells how much was judged.
type Stats struct {
	Operations int                    // of the history
	Histories  int                    // partitions (a place, or a person's dose) of two operations or more judged linearizable or not
	Searched   int                    // of these, how many took a search by Porcupine; see linear.go
	Refusals   map[allocator.Code]int // operations by the code of their refusal
	Drift      int                    // places at which inventory and ledger differ
}

// Add sums up the figures of several runs.
func (s *Stats) Add(o Stats) {
	s.Operations += o.Operations
	s.Histories += o.Histories
	s.Searched += o.Searched
	s.Drift += o.Drift
	for code, n := range o.Refusals {
		if s.Refusals == nil {
			s.Refusals = make(map[allocator.Code]int)
		}
		s.Refusals[code] += n
	}
}

// Checker judges one promise.
type Checker struct {
	Name  string
	Check func(r *Run) []Violation
}

// All lists every checker.
var All = []Checker{
	{"codes", Codes},
	{"acknowledged", Acknowledged},
	{"refused", Refused},
	{"answers", Answers},
	{"groups", Groups},
	{"places", Places},
	{"persons", Persons},
	{"events", Events},
	{"holds", Holds},
	{"inventory", Inventory},
	{"linear-places", LinearPlaces},
	{"linear-persons", LinearPersons},
}

// Check judges a run by every checker. Violations are sorted; none means that every promise held as far as can be told
// from what clients saw and what was left behind. It reads its arguments only, and may run beside other calls.
func Check(history []Op, e *Evidence) ([]Violation, Stats) {
	r := NewRun(history, e)
	var violations []Violation
	for _, c := range All {
		violations = append(violations, c.Check(r)...)
	}
	slices.SortFunc(violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Promise, b.Promise), cmp.Compare(a.Text, b.Text))
	})
	return violations, r.stats
}
