package admission

import "time"

// State is how a class stands.
type State struct {
	Class   string
	Running int
	Queued  int
	Limit   int
	Dropped map[Reason]uint64 // since the beginning
}

// States tells of all classes, in order of precedence, at one instant.
func (g *Gate) States() []State {
	g.mu.Lock()
	defer g.mu.Unlock()
	states := make([]State, 0, len(g.classes))
	for i := range g.classes {
		k := &g.classes[i]
		s := State{Class: k.bounds.Name, Running: k.running, Queued: k.queue.len(), Limit: k.limit.now(), Dropped: make(map[Reason]uint64, len(Reasons))}
		for _, reason := range Reasons {
			s.Dropped[reason] = k.dropped[reason]
		}
		states = append(states, s)
	}
	return states
}

// mostBack is the longest that somebody is asked to stay away, in seconds.
const mostBack = 10

// Back is when it is worth for somebody who was refused to come again: the more so late, the more are refused for each who is
// admitted. Callers add jitter.
func (g *Gate) Back(c int) time.Duration {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.classes[c].second.back(now)
}

// second counts the decisions of the present second of the clock, and remembers those of the one before.
type second struct {
	at                int64 // Unix time
	admitted, refused int
	before            [2]int // admitted, refused
}

func (s *second) count(now time.Time, admitted bool) {
	s.turn(now)
	if admitted {
		s.admitted++
	} else {
		s.refused++
	}
}

func (s *second) turn(now time.Time) {
	at := now.Unix()
	switch at - s.at {
	case 0:
		return
	case 1:
		s.before = [2]int{s.admitted, s.refused}
	default:
		s.before = [2]int{}
	}
	s.at, s.admitted, s.refused = at, 0, 0
}

// rate is how many were admitted in the second before, or in this one where they are more.
func (s *second) rate(now time.Time) int {
	s.turn(now)
	return max(s.admitted, s.before[0])
}

func (s *second) back(now time.Time) time.Duration {
	s.turn(now)
	return time.Duration(min(mostBack, 1+(s.refused+s.before[1])/max(1, s.admitted+s.before[0]))) * time.Second
}
