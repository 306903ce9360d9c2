// Package bulk loads files of sites and of capacity straight into a ledger: streaming, in bounded memory, with an answer
// for every line that fails. A line is loaded whole or not at all, and a bad one hurts no other. Loading a line again
// changes nothing, so a run that was interrupted may be repeated from anywhere before where it ended; a checkpoint beside
// the file remembers that place.
package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"muster/allocator"
)

// ErrLinesFailed says that a file was read to its end and that some lines of it were refused.
var ErrLinesFailed = errors.New("some lines were not loaded")

// ErrInterrupted says that a run ended early, and that all before its end is loaded.
var ErrInterrupted = errors.New("interrupted")

// Job is one file to load. Ledger, Path, Target and Messages are needed.
type Job struct {
	Ledger     allocator.Ledger
	Path       string
	Target     string    // names the ledger in the checkpoint
	ResumeFrom int       // the first line to load; 0: where an earlier run ended
	Actor      string    // for the audit trail
	Messages   io.Writer // for people: progress, and each line that failed

	// Retries is how often a batch is tried again when the ledger does not answer, after waits that double from RetryAfter.
	// Defaults: 5, 500 ms.
	Retries    int
	RetryAfter time.Duration
}

// loader turns lines into writes.
type loader interface {
	// header is given the first line of the file.
	header(text []byte) (taken bool, err error)
	// line takes a line in; an error is that line's own. full says that the batch must be written before more lines come.
	line(number int, text []byte) (full bool, err error)
	// write writes what was taken in since the last write, and tells of each line that failed. An error is one of the
	// whole batch, which stays taken in.
	write(ctx context.Context, failed func(line int, err error)) error
}

// grouping is what a loader does besides that makes one write of several lines.
type grouping interface {
	// lost takes in a line that could not be read; false: nothing of the file matters.
	lost(number int, err error) bool
	// skip takes notice of a line before those to load, begin that these begin.
	skip(l line)
	begin()
	// end says that the file has no more lines, so that nothing needs to wait for them.
	end()
	// waiting is the first of the lines that were taken in and wait for others; 0: none does.
	waiting() int
}

// Report tells what became of a file.
type Report struct {
	Lines  int // read, earlier runs included
	Failed int // of these
}

// maxLinesShown bounds the failed lines that are told one by one.
const maxLinesShown = 1000

// run is a job under way.
type run struct {
	job      *Job
	loader   loader
	groups   grouping // the loader, where it is one; nil: a line is a write
	file     *os.File
	lines    *lineReader
	size     int64
	progress *Progress
	point    checkpoint
	pending  int // lines since the checkpoint
	failed   int // up to where the lines were read
	told     int // lines that failed and were shown
	saved    time.Time
	unsaved  bool // the checkpoint could not be written, and that was said
}

func (j *Job) run(ctx context.Context, l loader) (Report, error) {
	if j.Retries == 0 {
		j.Retries = 5
	}
	if j.RetryAfter == 0 {
		j.RetryAfter = 500 * time.Millisecond
	}
	file, err := os.Open(j.Path)
	if err != nil {
		return Report{}, err
	}
	defer file.Close()
	r := &run{job: j, loader: l, file: file, lines: newLineReader(file), progress: NewProgress(j.Messages, "lines")}
	r.groups, _ = l.(grouping)
	if err := r.prepare(); err != nil {
		return Report{}, err
	}
	err = r.all(ctx)
	report := Report{Lines: r.point.Line, Failed: r.point.Failed}
	if err != nil {
		r.save()
		r.progress.Print("%s: stopped after line %d; the same command goes on from there (or --resume-from %d)", j.Path, r.point.Line, r.point.Line+1)
		return report, err
	}
	r.progress.Print("%s: %s lines read, %s failed, %v", j.Path, thousands(report.Lines), thousands(report.Failed),
		r.progress.Elapsed().Round(10*time.Millisecond))
	if err := removeCheckpoint(j.Path); err != nil {
		r.progress.Print("%v", err)
	}
	if report.Failed > 0 {
		return report, fmt.Errorf("%s: %w: %d of %d", j.Path, ErrLinesFailed, report.Failed, report.Lines)
	}
	return report, nil
}

// prepare finds where to begin.
func (r *run) prepare() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: write the data to a file first, so that loading can be resumed", r.job.Path)
	}
	r.size = info.Size()
	start, err := identity(r.file, info)
	if err != nil {
		return err
	}
	if r.job.ResumeFrom > 0 {
		r.point = checkpoint{Target: r.job.Target, File: start, Line: r.job.ResumeFrom - 1}
	} else if r.point = readCheckpoint(r.job.Path, r.job.Target, start); r.point.Line > 0 {
		r.progress.Print("%s: an earlier run came to line %d; going on after it (--resume-from 1 starts over)", r.job.Path, r.point.Line)
	}
	r.failed, r.progress.first, r.saved = r.point.Failed, r.point.Line, time.Now()
	return nil
}

func (r *run) all(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", r.job.Path, ErrInterrupted)
		}
		l, err := r.lines.next()
		if err == io.EOF {
			if r.groups != nil {
				r.groups.end()
			}
			return r.flush(ctx)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s, line %d: %w", r.job.Path, r.lines.number+1, err), r.flush(ctx))
		}
		full, err := r.take(l)
		if err == nil && full {
			err = r.flush(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// take hands a line to the loader.
func (r *run) take(l line) (full bool, err error) {
	if l.number == 1 && !l.tooLong {
		taken, err := r.loader.header(l.text)
		if err != nil {
			return false, fmt.Errorf("%s, line 1: %w", r.job.Path, err)
		}
		if taken {
			return false, nil
		}
	}
	if l.number <= r.point.Line {
		r.skip(l)
		return false, nil
	}
	r.pending++
	if l.tooLong {
		fault := fmt.Errorf("is longer than %d bytes", MaxLineBytes)
		if r.groups == nil || !r.groups.lost(l.number, fault) {
			r.refuse(l.number, fault)
		}
		return r.pending >= maxPending, nil
	}
	full, fault := r.loader.line(l.number, l.text)
	if fault != nil {
		r.refuse(l.number, fault)
	}
	return full || r.pending >= maxPending, nil
}

// skip passes by a line before those to load.
func (r *run) skip(l line) {
	if r.groups == nil {
		return
	}
	if r.groups.skip(l); l.number == r.point.Line {
		r.groups.begin()
	}
}

// maxPending bounds the lines between two checkpoints, bad ones included.
const maxPending = 4096

func (r *run) refuse(number int, fault error) {
	r.failed++
	if r.told++; r.told <= maxLinesShown {
		r.progress.Print("%s, line %d: %v", r.job.Path, number, fault)
	}
	if r.told == maxLinesShown {
		r.progress.Print("%s: further lines that fail are only counted", r.job.Path)
	}
}

// flush writes the batch and moves the checkpoint on.
func (r *run) flush(ctx context.Context) error {
	if err := r.write(ctx); err != nil {
		return err
	}
	done := r.lines.number
	if r.groups != nil && r.groups.waiting() > 0 {
		done = r.groups.waiting() - 1
	}
	r.point.Line, r.point.Failed, r.pending = max(r.point.Line, done), r.failed, 0
	r.progress.Show(r.point.Line, r.failed, float64(r.lines.offset)/float64(max(r.size, 1)))
	if time.Since(r.saved) > time.Second {
		r.save()
	}
	return nil
}

// write writes the batch, again and again for a while where the ledger does not answer: repeating changes nothing. A
// batch that has begun is finished even when ctx ends, so that where the run ended is certain.
func (r *run) write(ctx context.Context) error {
	wait := r.job.RetryAfter
	for try := 0; ; try++ {
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		err := r.loader.write(attempt, r.refuse)
		cancel()
		if err == nil {
			return nil
		}
		if try == r.job.Retries || errors.Is(err, allocator.ErrSchema) {
			return fmt.Errorf("%s: the ledger failed: %w", r.job.Path, err)
		}
		r.progress.Print("the ledger failed, trying again in %v: %v", wait, err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w while the ledger failed: %w", r.job.Path, ErrInterrupted, err)
		}
		wait *= 2
	}
}

// save keeps the checkpoint; where that is impossible, it says so once.
func (r *run) save() {
	r.saved = time.Now()
	if r.point.Line == 0 {
		return
	}
	if err := r.point.write(r.job.Path); err != nil && !r.unsaved {
		r.unsaved = true
		r.progress.Print("no checkpoint beside %s (%v): to resume, name the line with --resume-from", r.job.Path, err)
	}
}
