package bench

import "fmt"

// busy is how much of a core a deployment should use at its peak: the rest is for what no model knows.
const busy = 0.6

// peak is what a country once did, a second.
type peak struct {
	name                      string
	flows, searches, refusals float64
}

// peaks that were really seen. What was published are requests or bookings; how they divide is assumed, and said.
var peaks = []peak{
	{"Doctolib, 12 July 2021: 333 bookings and 233,000 requests a second; all else taken as searches", 333, 232_334, 0},
	{"CoWIN, 28 April 2021: 45,000 requests a second; taken as half searches, half refusals", 0, 22_500, 22_500},
	{"England, 8 June 2021: 1.03 million bookings in a day; taken as in one hour, with 20 searches each", 286, 5_722, 0},
}

// sizing says how many cores each peak needs, from what flows, searches and refusals cost in this run; nothing where one of
// them was not measured.
func (r *Report) sizing() (rows [][]string) {
	flow, search, storm := r.summary(Ours, Spread), r.summary(Ours, Search), r.summary(Ours, Storm)
	if flow == nil || search == nil || storm == nil {
		return nil
	}
	for _, p := range peaks {
		row := []string{p.name}
		for _, process := range []string{cpuServer, cpuRedis, cpuPostgres} {
			micros := p.flows*flow.CPU[process] + p.searches*search.CPU[process] + p.refusals*storm.CPU[process]
			row = append(row, fmt.Sprintf("%.1f", micros/1e6/busy))
		}
		rows = append(rows, row)
	}
	return rows
}

var sizingColumns = []string{"peak", "cores of servers", "of Redis", "of the ledger"}
