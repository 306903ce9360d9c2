package trail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"muster/allocator"
)

// ErrBroken says that the trail is not as it was written. A sequencer then appends nothing until somebody has looked.
var ErrBroken = errors.New("the audit trail was changed")

// pageEvents is how many entries are appended, or compared, at once.
const pageEvents = 1000

// Ledger is what this package needs of an allocator.Ledger.
type Ledger interface {
	Events(ctx context.Context, after string, limit int) ([]allocator.Event, string, error)
	AppendTrail(ctx context.Context, after int64, entries []allocator.TrailEntry) (bool, error)
	Trail(ctx context.Context, q allocator.TrailQuery) ([]allocator.TrailEntry, error)
	TrailEnd(ctx context.Context) (allocator.TrailEntry, error)
}

// Sequencer appends what happened to the trail. Any number of them, in any number of servers, may work on one ledger: an append
// holds only where the trail still ends where its sequencer read, and the others' then does nothing. Nothing is kept but what the
// ledger has, so one that died is continued by the next.
type Sequencer struct {
	ledger Ledger
	key    Key
	log    *slog.Logger
	now    func() time.Time

	mu       sync.Mutex
	head     allocator.TrailEntry // as this sequencer last knew it
	complete time.Time            // when it last had everything
	broken   bool
}

// New makes a sequencer. Now tells the time for what is no safety rule: how far the trail lags behind.
func New(ledger Ledger, key Key, log *slog.Logger, now func() time.Time) *Sequencer {
	return &Sequencer{ledger: ledger, key: key, log: log, now: now, complete: now()}
}

// Run sequences again and again until ctx ends, with pauses of the given length at least.
func (s *Sequencer) Run(ctx context.Context, pause time.Duration) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	said := ""
	for {
		now := ""
		if _, err := s.Sequence(ctx); err != nil && ctx.Err() == nil {
			now = err.Error()
		}
		if now != "" && now != said { // not every time: the lag tells for how long
			s.log.Error("the audit trail waits", "error", now)
		}
		said = now
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Sequence appends all that is not in the trail yet, and says how many entries that were. Where another sequencer was faster it
// leaves the rest to that one.
func (s *Sequencer) Sequence(ctx context.Context) (appended int, err error) {
	for {
		end, err := s.end(ctx)
		if err != nil {
			return appended, err
		}
		events, _, err := s.ledger.Events(ctx, end.Event.Cursor, pageEvents)
		if err != nil {
			return appended, err
		}
		entries := chain(end, events, &s.key)
		if len(entries) > 0 {
			mine, err := s.ledger.AppendTrail(ctx, end.Seq, entries)
			if err != nil || !mine {
				return appended, err
			}
			appended, end = appended+len(entries), entries[len(entries)-1]
		}
		s.knows(end, len(entries) < pageEvents)
		if len(entries) < pageEvents {
			return appended, nil
		}
	}
}

// end reads where the trail ends, and makes sure that it is as a sequencer left it and goes on from what this one has seen.
func (s *Sequencer) end(ctx context.Context) (allocator.TrailEntry, error) {
	end, err := s.ledger.TrailEnd(ctx)
	if err != nil {
		return end, err
	}
	s.mu.Lock()
	head := s.head
	s.mu.Unlock()
	broken := ""
	switch {
	case end.Seq < head.Seq:
		broken = fmt.Sprintf("it ends with entry %d and had %d", end.Seq, head.Seq)
	case end.Seq > 0 && (hashOf(&end) != end.Hash || !s.key.sealed(&end)):
		broken = fmt.Sprintf("its last entry, %d, is not sealed by this installation", end.Seq)
	case head.Seq > 0:
		known, err := s.ledger.Trail(ctx, allocator.TrailQuery{After: head.Seq - 1, Limit: 1})
		if err != nil {
			return end, err
		}
		if len(known) != 1 || known[0].Hash != head.Hash {
			broken = fmt.Sprintf("its entry %d was another one", head.Seq)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken = broken != ""; s.broken {
		return end, fmt.Errorf("%w: %s; `muster audit --trail` tells more", ErrBroken, broken)
	}
	return end, nil
}

func (s *Sequencer) knows(head allocator.TrailEntry, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = head
	if complete {
		s.complete = s.now()
	}
}

// Head is the number of the last entry that this sequencer knows of.
func (s *Sequencer) Head() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head.Seq
}

// Lag is how long ago the trail had, for all that this sequencer knows, everything that had happened.
func (s *Sequencer) Lag() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Sub(s.complete)
}

// Broken says whether the trail was not as it had been written when it was last looked at.
func (s *Sequencer) Broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}
