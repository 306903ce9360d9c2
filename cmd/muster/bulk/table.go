package bulk

import (
	"context"
	"fmt"
	"strings"

	"muster/allocator"
	"muster/api/daytable"
)

// LoadTable loads one file of capacity in the form of a table: CSV with a session in each line. The lines of a day are loaded
// together or not at all.
func (c Capacity) LoadTable(ctx context.Context, job Job) (Report, error) {
	return job.run(ctx, &tableLoader{capacityLoader: c.loader(&job)})
}

// tableLoader puts the lines of a table together to days. It is behind by the day whose lines are still coming.
type tableLoader struct {
	*capacityLoader
	table  daytable.Table
	faults []daytable.Fault // of lines, until the next write
}

func (t *tableLoader) header(text []byte) (bool, error) { return true, t.table.Header(text) }

func (t *tableLoader) line(number int, text []byte) (bool, error) {
	if !t.table.HasHeader() {
		return false, errNoHeader
	}
	t.take(t.table.Line(number, text))
	return len(t.batch) >= publishBatch, nil
}

// lost is told of a line that could not be read.
func (t *tableLoader) lost(number int, err error) bool {
	if !t.table.HasHeader() {
		return false
	}
	t.take(t.table.Unreadable(number, err))
	return true
}

func (t *tableLoader) end() { t.take(t.table.End()) }

func (t *tableLoader) waiting() int { return t.table.Waiting() }

// skip is told of a line that an earlier run has loaded, or was told to leave out: its day cannot begin again after it.
func (t *tableLoader) skip(l line) {
	switch {
	case !t.table.HasHeader():
	case l.tooLong:
		t.table.Unreadable(l.number, nil)
	default:
		t.table.Line(l.number, l.text)
	}
}

// begin is told that the lines to load begin.
func (t *tableLoader) begin() { t.table.End() }

// take puts a day that has ended into the batch, and what is wrong with its lines aside.
func (t *tableLoader) take(day *daytable.Day) {
	if day == nil {
		return
	}
	t.faults = append(t.faults, day.Faults...)
	err := day.Err()
	if err == nil {
		t.batch = append(t.batch, numbered{lines: day.Lines, change: allocator.DayChange{
			Day:   allocator.Day{Site: day.Site, Date: day.Date, Sessions: day.Sessions},
			Actor: t.actor, Services: t.CreateServices,
		}})
		return
	}
	faulty := make(map[int]bool, len(day.Faults))
	for _, f := range day.Faults {
		faulty[f.Line] = true
	}
	for _, line := range day.Lines {
		if !faulty[line] {
			t.faults = append(t.faults, daytable.Fault{Line: line, Err: err})
		}
	}
}

func (t *tableLoader) write(ctx context.Context, failed func(int, error)) error {
	if err := t.publish(ctx, failed); err != nil {
		return err
	}
	for _, f := range t.faults {
		failed(f.Line, explain(f.Err))
	}
	t.faults = t.faults[:0]
	return nil
}

// spread tells of each line of a change what became of it: its own faults, or that the others were not loaded either.
func (n *numbered) spread(fault error, failed func(int, error)) {
	if len(n.lines) == 1 {
		failed(n.lines[0], fault)
		return
	}
	own := func(i int) bool { return strings.Contains(fault.Error(), fmt.Sprintf("/sessions/%d/", i)) }
	blamed := 0
	for i := range n.lines {
		if own(i) {
			blamed = i
			break
		}
	}
	for i, line := range n.lines {
		if i == blamed || own(i) {
			failed(line, fault)
		} else {
			failed(line, fmt.Errorf("is of the same day as line %d, which is not loaded", n.lines[blamed]))
		}
	}
}
