package trail

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/cockroachledger"
	"muster/allocator/sqliteledger"
)

var ours = Key{1, 2, 3}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sequencer(l Ledger) *Sequencer { return New(l, ours, slog.New(slog.DiscardHandler), time.Now) }

func sequence(t testing.TB, s *Sequencer) int {
	t.Helper()
	n, err := s.Sequence(t.Context())
	must(t, err)
	return n
}

func verify(t testing.TB, l Ledger, from int64, note *[32]byte) Report {
	t.Helper()
	r, err := Verify(t.Context(), l, ours, from, note)
	must(t, err)
	return r
}

func kinds(r Report) string {
	var found []string
	for _, v := range r.Listed {
		found = append(found, v.Kind)
	}
	slices.Sort(found)
	return strings.Join(slices.Compact(found), " ")
}

// busy makes a site, and some bookings that change.
func busy(t testing.TB, l allocator.Ledger, name string) *ledgersuite.World {
	t.Helper()
	w := ledgersuite.NewWorld(t, l, name)
	w.Publish(t, ledgersuite.Open(4, ledgersuite.Blue))
	for n := range 4 {
		row := w.Book(t, ledgersuite.Spot{Slot: n, Service: ledgersuite.Blue, Person: n + 1})[0]
		w.Turn(t, row.Key, allocator.StatusArrived, "")
	}
	return w
}

// raw is a ledger whose tables a test can get at, as whoever owns them could.
type raw struct {
	allocator.Ledger
	exec func(t testing.TB, statement string, args ...any) error // with $1 and so on
	lift string                                                  // what takes the guards off the trail
}

func onSQLite(t testing.TB) raw {
	t.Helper()
	file := filepath.Join(t.TempDir(), sqliteledger.FileName)
	l, err := sqliteledger.Open(t.Context(), file, sqliteledger.Options{})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	must(t, l.Migrate(t.Context()))
	db, err := sql.Open("sqlite", file)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return raw{l, func(t testing.TB, statement string, args ...any) error {
		_, err := db.ExecContext(t.Context(), strings.ReplaceAll(statement, "$", "?"), args...)
		return err
	}, "DROP TRIGGER trail_is_not_changed; DROP TRIGGER trail_is_not_shortened"}
}

func onPostgres(t testing.TB) raw {
	t.Helper()
	url := servers.Postgres(t)
	l, err := cockroachledger.Open(t.Context(), url, cockroachledger.Options{})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	must(t, l.Migrate(t.Context()))
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return raw{l, func(t testing.TB, statement string, args ...any) error {
		_, err := conn.Exec(t.Context(), statement, args...)
		return err
	}, "DROP TRIGGER trail_is_kept ON trail"}
}

// rewrite stores entries in place of those of the same numbers.
func (r raw) rewrite(t testing.TB, entries ...allocator.TrailEntry) {
	t.Helper()
	for i := range entries {
		e := &entries[i]
		var seal any
		if e.Seal != nil {
			seal = e.Seal
		}
		must(t, r.exec(t, "UPDATE trail SET actor = $1, digest = $2, previous = $3, hash = $4, seal = $5 WHERE seq = $6",
			e.Event.Actor, e.Digest[:], e.Previous[:], e.Hash[:], seal, e.Seq))
	}
}

// forge makes the chain anew from an entry on, with another actor there, as one can who has not got the secret.
func forge(entries []allocator.TrailEntry, at int, key *Key) []allocator.TrailEntry {
	var events []allocator.Event
	for _, e := range entries[at:] {
		events = append(events, e.Event)
	}
	events[0].Actor = "somebody else"
	return chain(entries[at-1], events, key)
}

// tamperings are what can be done to a trail of 12 entries, sealed at 6 and 12, and by what it is seen. Cut off at a seal, it shows
// only by a head that was noted before.
var tamperings = []struct {
	name   string
	seen   string
	headed string // with the noted head
	change func(t testing.TB, r raw, entries []allocator.TrailEntry)
}{
	{"nothing", "", "", func(testing.TB, raw, []allocator.TrailEntry) {}},
	{"edit", "digest", "digest", func(t testing.TB, r raw, _ []allocator.TrailEntry) {
		must(t, r.exec(t, "UPDATE trail SET actor = 'somebody else' WHERE seq = 4"))
	}},
	{"edit an instant", "digest", "digest", func(t testing.TB, r raw, e []allocator.TrailEntry) {
		must(t, r.exec(t, "UPDATE trail SET happened_at = (SELECT happened_at FROM trail WHERE seq = 9) WHERE seq = 4"))
	}},
	{"edit with its hashes", "chain event-differs", "chain event-differs", func(t testing.TB, r raw, e []allocator.TrailEntry) {
		r.rewrite(t, forge(e[:5], 3, &Key{})[0])
	}},
	{"delete", "chain event-missing gap", "chain event-missing gap", func(t testing.TB, r raw, _ []allocator.TrailEntry) {
		must(t, r.exec(t, "DELETE FROM trail WHERE seq = 5"))
	}},
	{"insert", "event-unknown seal", "event-unknown seal", func(t testing.TB, r raw, e []allocator.TrailEntry) {
		made := allocator.Event{Cursor: "900", Type: allocator.EventSite, At: e[11].Event.At, Site: "x", Revision: 1}
		if ok, err := r.AppendTrail(t.Context(), 12, chain(e[11], []allocator.Event{made}, &Key{})); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}},
	{"reorder", "chain event-missing event-unknown hash", "chain event-missing event-unknown hash", func(t testing.TB, r raw, _ []allocator.TrailEntry) {
		for _, move := range [][2]int{{3, 103}, {4, 3}, {103, 4}} {
			must(t, r.exec(t, "UPDATE trail SET seq = $1 WHERE seq = $2", move[1], move[0]))
		}
	}},
	{"make the chain anew", "event-differs seal", "event-differs head seal", func(t testing.TB, r raw, e []allocator.TrailEntry) {
		r.rewrite(t, forge(e, 3, &Key{})...)
	}},
	{"make the chain anew without seals", "event-differs unsealed", "event-differs head unsealed", func(t testing.TB, r raw, e []allocator.TrailEntry) {
		made := forge(e, 3, &Key{})
		made[len(made)-1].Seal = nil
		r.rewrite(t, made...)
	}},
	{"cut off", "unsealed", "head unsealed", func(t testing.TB, r raw, _ []allocator.TrailEntry) {
		must(t, r.exec(t, "DELETE FROM trail WHERE seq > 9"))
	}},
	{"cut off at a seal", "", "head", func(t testing.TB, r raw, _ []allocator.TrailEntry) {
		must(t, r.exec(t, "DELETE FROM trail WHERE seq > 6"))
	}},
	{"take it all away", "", "head", func(t testing.TB, r raw, _ []allocator.TrailEntry) {
		must(t, r.exec(t, "DELETE FROM trail"))
	}},
}

// Whatever is done to the table is seen, also by who may do anything to it but has not got the secret.
func TestTamperingIsSeen(t *testing.T) {
	for name, open := range map[string]func(testing.TB) raw{"SQLite": onSQLite, "PostgreSQL": onPostgres} {
		t.Run(name, func(t *testing.T) {
			l := open(t)
			s := sequencer(l)
			w := ledgersuite.NewWorld(t, l, "tampered")
			w.Publish(t, ledgersuite.Open(4, ledgersuite.Blue))
			row := w.Book(t, ledgersuite.Spot{Service: ledgersuite.Blue, Person: 1})[0]
			if n := sequence(t, s); n != 6 {
				t.Fatalf("%d entries at first", n)
			}
			w.Turn(t, row.Key, allocator.StatusArrived, "")
			w.Turn(t, row.Key, allocator.StatusFulfilled, "")
			for n := range 4 {
				w.Book(t, ledgersuite.Spot{Slot: 1 + n, Service: ledgersuite.Blue, Person: 2 + n})
			}
			sequence(t, s)
			entries, err := l.Trail(t.Context(), allocator.TrailQuery{Limit: 100})
			must(t, err)
			if len(entries) != 12 || entries[5].Seal == nil || entries[11].Seal == nil {
				t.Fatalf("%d entries, sealed %x and %x", len(entries), entries[5].Seal, entries[11].Seal)
			}
			guarded(t, l)
			must(t, l.exec(t, l.lift))
			for _, c := range tamperings {
				t.Run(c.name, func(t *testing.T) {
					c.change(t, l, entries)
					if got := kinds(verify(t, l, 1, nil)); got != c.seen {
						t.Errorf("seen: %s, want %s", got, c.seen)
					}
					if got := kinds(verify(t, l, 1, &entries[11].Hash)); got != c.headed {
						t.Errorf("with the noted head: %s, want %s", got, c.headed)
					}
					must(t, l.exec(t, "DELETE FROM trail"))
					for _, part := range [][]allocator.TrailEntry{entries[:6], entries[6:]} {
						if ok, err := l.AppendTrail(t.Context(), part[0].Seq-1, part); err != nil || !ok {
							t.Fatal(ok, err)
						}
					}
				})
			}
			changedBehind(t, l)
		})
	}
}

// guarded: the database itself refuses what is no append.
func guarded(t *testing.T, l raw) {
	t.Helper()
	for _, statement := range []string{"UPDATE trail SET actor = 'x' WHERE seq = 1", "DELETE FROM trail WHERE seq = 12"} {
		if err := l.exec(t, statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// changedBehind: what the ledger says now is compared with what it said then.
func changedBehind(t *testing.T, l raw) {
	t.Helper()
	must(t, l.exec(t, "UPDATE bookings SET starts_at = starts_at + 1 WHERE place = 0 AND status = 'fulfilled'"))
	if r := verify(t, l, 1, nil); kinds(r) != "event-differs" || r.Violations != 3 {
		t.Errorf("a booking was changed in the ledger: %+v", r)
	}
	if r := verify(t, l, 9, nil); r.Violations != 0 || r.Entries != 4 || r.First != 9 {
		t.Errorf("from entry 9 on: %+v", r)
	}
	if r := verify(t, l, 99, nil); kinds(r) != "event-differs gap" {
		t.Errorf("from an entry that is not there: %+v", r)
	}
}

// A sequencer goes on only from what this installation sealed, and from what it has seen itself.
func TestNothingIsAppendedToAForgedTrail(t *testing.T) {
	l := onSQLite(t)
	s := sequencer(l)
	w := busy(t, l, "first")
	sequence(t, s)
	must(t, l.exec(t, l.lift))
	entries, err := l.Trail(t.Context(), allocator.TrailQuery{Limit: 100})
	must(t, err)
	w.Book(t, ledgersuite.Spot{Slot: 9, Service: ledgersuite.Blue, Person: 9})
	refused := func(what string, s *Sequencer) {
		t.Helper()
		if n, err := s.Sequence(t.Context()); n != 0 || !errors.Is(err, ErrBroken) || !s.Broken() {
			t.Errorf("%s: %d appended, %v", what, n, err)
		}
	}
	l.rewrite(t, forge(entries, 4, &Key{})...)
	refused("a chain made anew", s)
	refused("a chain made anew, to a sequencer that just began", sequencer(l))
	l.rewrite(t, entries...)
	must(t, l.exec(t, "DELETE FROM trail WHERE seq > 5"))
	refused("a trail cut off", s)
	must(t, l.exec(t, "DELETE FROM trail"))
	refused("a trail taken away", s)
	if n := sequence(t, sequencer(l)); n != len(entries)+1 {
		t.Errorf("made anew from the events: %d entries", n)
	}
	if n := sequence(t, s); n != 0 || s.Broken() {
		t.Errorf("after it was mended: %d, broken %v", n, s.Broken())
	}
	if r := verify(t, l, 1, &entries[len(entries)-1].Hash); r.Violations != 0 {
		t.Errorf("the chain follows from the events, so its old head is in it: %+v", r)
	}
}

// Many sequencers beside each other, and many that write: each event has one entry.
func TestSequencersRace(t *testing.T) {
	for name, open := range map[string]func(testing.TB) raw{"SQLite": onSQLite, "PostgreSQL": onPostgres} {
		t.Run(name, func(t *testing.T) {
			l := open(t)
			w := busy(t, l, "race")
			var working atomic.Int64
			working.Store(4)
			ledgersuite.Race(7, func(i int) {
				if i < 4 {
					defer working.Add(-1)
					for n := range 10 {
						w.Book(t, ledgersuite.Spot{Slot: 5 + n, Place: int32(i), Service: ledgersuite.Blue, Person: 100 + 10*i + n})
					}
					return
				}
				for s := sequencer(l); working.Load() > 0; {
					if _, err := s.Sequence(t.Context()); err != nil && !errors.Is(err, allocator.ErrUnavailable) && !errors.Is(err, allocator.ErrOutcomeUnknown) {
						t.Errorf("sequencer %d: %v", i, err)
						return
					}
				}
			})
			sequence(t, sequencer(l))
			if r := verify(t, l, 1, nil); r.Violations != 0 || r.Waiting != 0 || r.Entries != 4+1+8+40 {
				t.Errorf("after the race: %+v", r)
			}
		})
	}
}

// dying is a ledger whose program dies at an append: before it, or after it was made.
type dying struct {
	Ledger
	after bool
}

var errDied = errors.New("died")

func (d dying) AppendTrail(ctx context.Context, after int64, entries []allocator.TrailEntry) (bool, error) {
	if d.after {
		if _, err := d.Ledger.AppendTrail(ctx, after, entries); err != nil {
			return false, err
		}
	}
	return false, errDied
}

// A sequencer that dies is continued by the next as if nothing had been, whether its append was made or not.
func TestCrashBetween(t *testing.T) {
	for _, after := range []bool{false, true} {
		l := memoryledger.New(time.Now)
		busy(t, l, "before")
		sequence(t, sequencer(l))
		busy(t, l, "while")
		if _, err := sequencer(dying{l, after}).Sequence(t.Context()); !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		want := 1 + 1 + 8 // the services are there
		if after {
			want = 0
		}
		if n := sequence(t, sequencer(l)); n != want {
			t.Errorf("the next one appended %d entries, want %d", n, want)
		}
		if r := verify(t, l, 1, nil); r.Violations != 0 || r.Entries != 13+10 {
			t.Errorf("after a death: %+v", r)
		}
	}
}

// What a program in another language made of the same event.
const (
	digestForm = "5c243880d13dbd371a34995bd6c0b1626018912fa2c09cf7c18b9c8ef49d6f29"
	hashForm   = "b73a1df8c44e9e29844747655626a55a2637a28baa72d5f76448408b841f39d9"
	sealForm   = "2849d1301c93861117c95e17cd752333a2729a105b6ed0c83ebc51d00962c4ce"
)

// The forms of digest, hash and seal are promises: whoever keeps a head, or checks a trail by a program of their own, relies on them.
func TestForms(t *testing.T) {
	e := allocator.Event{
		Cursor: "7", Type: allocator.EventCancelled, At: time.UnixMicro(1_800_000_000_000_001), Actor: "public", Request: "R", Site: "FA512",
		Booking: 5, Slot: allocator.SlotID{Site: "FA512", Start: 30_000_000, Length: 10}, Service: "RSV:Adult",
		Status: allocator.StatusCancelled, Version: 2, Reason: "citizen", Date: 20_900, Person: allocator.PersonKey{1},
	}
	entry := chain(allocator.TrailEntry{}, []allocator.Event{e}, &ours)[0]
	e.Person = allocator.PersonKey{}
	if Digest(&e) != entry.Digest {
		t.Error("the person key is in the digest")
	}
	for what, form := range map[string][2]string{
		"digest": {hex.EncodeToString(entry.Digest[:]), digestForm}, "hash": {hex.EncodeToString(entry.Hash[:]), hashForm},
		"seal": {hex.EncodeToString(entry.Seal), sealForm},
	} {
		if form[0] != form[1] {
			t.Errorf("%s is %s, was %s", what, form[0], form[1])
		}
	}
	changed := map[string]func(e *allocator.Event){
		"type": func(e *allocator.Event) { e.Type = allocator.EventMoved }, "at": func(e *allocator.Event) { e.At = e.At.Add(time.Microsecond) },
		"actor": func(e *allocator.Event) { e.Actor, e.Request = "publicR", "" }, "request": func(e *allocator.Event) { e.Request = "S" },
		"site": func(e *allocator.Event) { e.Site = "FA513" }, "booking": func(e *allocator.Event) { e.Booking++ },
		"start": func(e *allocator.Event) { e.Slot.Start++ }, "length": func(e *allocator.Event) { e.Slot.Length++ },
		"service": func(e *allocator.Event) { e.Service = "FLU:65" }, "status": func(e *allocator.Event) { e.Status = allocator.StatusNoShow },
		"version": func(e *allocator.Event) { e.Version++ }, "reason": func(e *allocator.Event) { e.Reason = "" },
		"date": func(e *allocator.Event) { e.Date++ }, "revision": func(e *allocator.Event) { e.Revision++ },
	}
	seen := map[[sha256.Size]byte]string{entry.Digest: "nothing"}
	for what, change := range changed {
		other := e
		change(&other)
		if before, same := seen[Digest(&other)]; same {
			t.Errorf("a change of %s has the digest of a change of %s", what, before)
		}
		seen[Digest(&other)] = what
	}
}

// The lag grows while events wait, and ends when they have their entries.
func TestLag(t *testing.T) {
	l := memoryledger.New(time.Now)
	now := time.UnixMilli(1_800_000_000_000)
	s := New(l, ours, slog.New(slog.DiscardHandler), func() time.Time { return now })
	busy(t, l, "lag")
	now = now.Add(time.Minute)
	if _, err := New(dying{l, false}, ours, s.log, s.now).Sequence(t.Context()); s.Lag() != time.Minute || err == nil {
		t.Errorf("lag %v, %v", s.Lag(), err)
	}
	sequence(t, s)
	if s.Lag() != 0 || s.Head() != 13 {
		t.Errorf("lag %v, head %d", s.Lag(), s.Head())
	}
}
