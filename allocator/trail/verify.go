package trail

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"muster/allocator"
)

// Violation is one thing about the trail that should not be. Kind is a stable word: gap, digest, hash, chain, seal, unsealed,
// event-differs, event-missing, event-unknown or head.
type Violation struct {
	Kind   string
	Seq    int64 // of the entry; for event-missing, of the entry before which it should be
	Detail string
}

// Report is what Verify found.
type Report struct {
	First, Last int64 // numbers of the entries that were looked at; 0: there are none
	Entries     int
	Seals       int
	Waiting     int // events that are not in the trail yet, which is no violation
	Head        [32]byte
	Violations  int
	Listed      []Violation // the first of them
}

// listed is how many violations are told one by one.
const listed = 100

// Verify reads the trail from an entry on (1 or less: from the first), beside the ledger's events: that each entry has the hashes
// that follow from it and goes on from the one before, that the seals are the installation's and the last entry has one, and that
// each event is in it exactly once, as the ledger has it. With note, a head that was printed before must be in the chain that was
// read. An error says that something could not be read.
func Verify(ctx context.Context, ledger Ledger, key Key, from int64, note *[32]byte) (Report, error) {
	v := &verifier{ledger: ledger, key: key, note: note}
	if err := v.begin(ctx, from); err != nil {
		return v.report, err
	}
	for {
		page, err := ledger.Trail(ctx, allocator.TrailQuery{After: v.last.Seq, Limit: pageEvents})
		if err != nil {
			return v.report, err
		}
		for i := range page {
			v.entry(&page[i])
			if err := v.compare(ctx, &page[i]); err != nil {
				return v.report, err
			}
			v.last = page[i]
		}
		if len(page) < pageEvents {
			break
		}
	}
	return v.report, v.end(ctx)
}

type verifier struct {
	ledger Ledger
	key    Key
	note   *[32]byte
	report Report

	last   allocator.TrailEntry // the one before, as it is stored
	noted  bool                 // the noted head was met
	events []allocator.Event    // read and not compared yet
	cursor string               // to go on reading events from
	read   bool                 // all events were read
}

func (v *verifier) violated(kind string, seq int64, format string, args ...any) {
	if v.report.Violations++; len(v.report.Listed) < listed {
		v.report.Listed = append(v.report.Listed, Violation{kind, seq, fmt.Sprintf(format, args...)})
	}
}

// begin reads the entry before the first one that is looked at.
func (v *verifier) begin(ctx context.Context, from int64) error {
	if from <= 1 {
		return nil
	}
	before, err := v.ledger.Trail(ctx, allocator.TrailQuery{After: from - 2, Limit: 1})
	switch {
	case err != nil:
		return err
	case len(before) == 0 || before[0].Seq != from-1:
		v.violated("gap", from-1, "there is no such entry to begin after; all are read from the first")
		return nil
	}
	v.last, v.cursor = before[0], before[0].Event.Cursor
	v.meet(&v.last)
	return nil
}

// meet notices the noted head.
func (v *verifier) meet(t *allocator.TrailEntry) {
	if v.note != nil && t.Hash == *v.note {
		v.noted = true
	}
}

// entry checks an entry by itself and against the one before.
func (v *verifier) entry(t *allocator.TrailEntry) {
	if v.report.Entries++; v.report.First == 0 {
		v.report.First = t.Seq
	}
	v.report.Last, v.report.Head = t.Seq, t.Hash
	v.meet(t)
	if t.Seq != v.last.Seq+1 {
		v.violated("gap", t.Seq, "follows entry %d", v.last.Seq)
	}
	if Digest(&t.Event) != t.Digest {
		v.violated("digest", t.Seq, "what it says (%s) is not what its digest is of", describe(&t.Event))
	}
	if hashOf(t) != t.Hash {
		v.violated("hash", t.Seq, "its hash does not follow from it")
	}
	if t.Previous != v.last.Hash {
		v.violated("chain", t.Seq, "it does not go on from the entry before")
	}
	if t.Seal == nil {
		return
	}
	if v.report.Seals++; !v.key.sealed(t) {
		v.violated("seal", t.Seq, "its seal is not this installation's, or of another chain")
	}
}

// compare finds the event of an entry, and what should have come before.
func (v *verifier) compare(ctx context.Context, t *allocator.TrailEntry) error {
	for {
		if err := v.fill(ctx); err != nil {
			return err
		}
		order := 1
		if len(v.events) > 0 {
			order = cmp.Compare(number(v.events[0].Cursor), number(t.Event.Cursor))
		}
		switch {
		case order > 0:
			v.violated("event-unknown", t.Seq, "the ledger has no such event now: %s", describe(&t.Event))
			return nil
		case order == 0:
			if e := &v.events[0]; Digest(e) != t.Digest {
				v.violated("event-differs", t.Seq, "the ledger says %s", describe(e))
			}
			v.events = v.events[1:]
			return nil
		}
		v.violated("event-missing", t.Seq, "it comes after event %s, which the trail does not have: %s", v.events[0].Cursor, describe(&v.events[0]))
		v.events = v.events[1:]
	}
}

// fill reads events where none is left.
func (v *verifier) fill(ctx context.Context) (err error) {
	if len(v.events) > 0 || v.read {
		return nil
	}
	v.events, v.cursor, err = v.ledger.Events(ctx, v.cursor, pageEvents)
	v.read = err == nil && len(v.events) < pageEvents
	return err
}

// end looks at what is left when every entry was read.
func (v *verifier) end(ctx context.Context) error {
	if v.report.Entries > 0 && v.last.Seal == nil {
		v.violated("unsealed", v.last.Seq, "the last entry has no seal, which every append ends with")
	}
	if v.note != nil && !v.noted {
		v.violated("head", v.last.Seq, "the noted head %s is not in the chain that was read", hex.EncodeToString(v.note[:]))
	}
	for {
		if err := v.fill(ctx); err != nil || len(v.events) == 0 {
			return err
		}
		v.report.Waiting += len(v.events)
		v.events = nil
	}
}

// number reads a cursor; they are decimal numbers in every ledger.
func number(cursor string) int64 {
	n, _ := strconv.ParseInt(cursor, 10, 64)
	return n
}

// describe tells an event in one line.
func describe(e *allocator.Event) string {
	subject := "site " + string(e.Site)
	switch {
	case e.Booking != 0:
		subject = "booking " + e.Booking.Reference()
	case e.Type == allocator.EventService:
		subject = "service " + string(e.Service)
	case e.Type == allocator.EventCapacity:
		subject += " " + e.Date.String()
	}
	return fmt.Sprintf("%s of %s by %s at %s, version %d", e.Type, subject, e.Actor, e.At.UTC().Format("2006-01-02T15:04:05.000000Z"),
		max(int64(e.Version), e.Revision))
}
