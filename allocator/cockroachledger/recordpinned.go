package cockroachledger

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// pinnedTries is how often the one-statement form may fail to serialize before the general transaction takes over, which
// can have the other writers wait.
const pinnedTries = 5

// recordPinned records requests by one statement and answers those that it left alone, in order, and the instant at which
// the others are dated; zero where there are none.
func (l *Ledger) recordPinned(ctx context.Context, items []allocator.Recording, chosen []int, results []allocator.RecordResult) (left []int, at time.Time, err error) {
	statement := newPinnedStatement(items, chosen)
	query := l.q.RecordPinned
	for try := range pinnedTries {
		if try > 0 && !pause(ctx, try) {
			break
		}
		var now time.Time
		var refused []int32
		err = l.withConn(ctx, func(conn *pgx.Conn) error {
			if err := conn.QueryRow(ctx, query, statement.args()...).Scan(&now, &refused); err != nil {
				return &commitError{err} // the statement is its own commit
			}
			return nil
		})
		switch {
		case err == nil:
			left = statement.answer(items, chosen, results, now.UTC(), refused)
			if len(left) < len(chosen) {
				at = now.UTC()
			}
			return left, at, nil
		case !worthRetrying(err):
			return nil, at, verdict(err)
		case stateOf(err) == stateUniqueViolation:
			query = l.q.RecordPinnedChecked
		}
	}
	if ctx.Err() != nil {
		return nil, at, errors.Join(allocator.ErrUnavailable, err)
	}
	return chosen, at, nil
}

// fact is what a pin claims of the ledger for one day of a site.
type fact struct {
	site                               allocator.SiteID
	date                               allocator.Date
	revision, shard, epoch, generation int64
}

// pinnedStatement is the parameters of RecordPinned.
type pinnedStatement struct {
	factNumbers                            []int32
	factSites                              []string
	factDates                              []int32
	revisions, shards, epochs, generations []int64
	items, facts                           []int32 // per claim
	actors                                 []string
	claims                                 *columns
	journalID                              [16]byte
	bucket                                 int64
}

func newPinnedStatement(items []allocator.Recording, chosen []int) *pinnedStatement {
	n := 0
	for _, i := range chosen {
		n += len(items[i].Claims)
	}
	s := &pinnedStatement{
		items: make([]int32, 0, n), facts: make([]int32, 0, n), actors: make([]string, 0, n), claims: newColumns(n),
	}
	s.journalID, s.bucket = newJournalID()
	numbers := make(map[fact]int32)
	for _, i := range chosen {
		item := &items[i]
		actor := storable(item.Actor)
		for j := range item.Claims {
			c := &item.Claims[j]
			s.items = append(s.items, int32(i))
			s.facts = append(s.facts, s.fact(numbers, evidence(item, c.Slot.Site), c.Date))
			s.actors = append(s.actors, actor)
			s.claims.add(c, siblingsOf(item.Claims, j))
		}
	}
	return s
}

// fact numbers what a pin claims, once for all claims that need the same.
func (s *pinnedStatement) fact(numbers map[fact]int32, e *allocator.Evidence, date allocator.Date) int32 {
	f := fact{e.Site, date, e.Revisions[date], int64(e.Shard), e.Epoch, e.Generation}
	if number, ok := numbers[f]; ok {
		return number
	}
	number := int32(len(numbers))
	numbers[f] = number
	s.factNumbers = append(s.factNumbers, number)
	s.factSites = append(s.factSites, string(f.site))
	s.factDates = append(s.factDates, int32(f.date))
	s.revisions = append(s.revisions, f.revision)
	s.shards = append(s.shards, f.shard)
	s.epochs = append(s.epochs, f.epoch)
	s.generations = append(s.generations, f.generation)
	return number
}

func (s *pinnedStatement) args() []any {
	c := s.claims
	return []any{
		s.factNumbers, s.factSites, s.factDates, s.revisions, s.shards, s.epochs, s.generations,
		s.items, s.facts, c.keys, c.holds, c.sites, c.starts, c.lengths, c.dates,
		c.places, c.services, c.programmes, c.doses, c.persons, c.onePerson, c.sealed, c.siblings,
		s.actors, s.journalID, s.bucket,
	}
}

// answer fills in the results of what was recorded and lists what was left alone.
func (s *pinnedStatement) answer(items []allocator.Recording, chosen []int, results []allocator.RecordResult, now time.Time, refused []int32) (left []int) {
	slices.Sort(refused)
	for _, i := range chosen {
		if _, is := slices.BinarySearch(refused, int32(i)); is {
			left = append(left, i)
			continue
		}
		rows := slices.Clone(items[i].Claims)
		for j := range rows {
			rows[j].Status, rows[j].Version, rows[j].RecordedAt = allocator.StatusBooked, 1, now
		}
		results[i] = allocator.RecordResult{Outcome: allocator.Recorded, Rows: rows}
	}
	return left
}
