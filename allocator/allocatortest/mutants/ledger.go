package mutants

const (
	sqlRecord = "allocator/cockroachledger/queries/record.sql"
	sqlPlace  = "allocator/cockroachledger/migrations/00008_bookings_place.sql"
	sqlPerson = "allocator/cockroachledger/migrations/00009_bookings_person.sql"
)

// ledgerBugs break what the ledger enforces by itself, steps 3, 6 and 10, and the outbox.
func ledgerBugs() []Bug {
	return []Bug{
		{
			Name: "no seating in the recording transaction", Sentence: seatAtCommit,
			Edits: edit(recordingGo, "\tif !fast {\n", "\tif !fast && false {\n"),
			By:    []Check{rule("Record", "Evidence"), simulator(seeds)},
		},
		{
			Name: "a pin of another epoch passes for proven", Sentence: evidenceEqual,
			Edits: edit(recordingGo, "!e.Pinned || e.Epoch != st.Epochs[e.Shard] || e.Generation", "!e.Pinned || e.Generation"),
			By:    []Check{rule("Evidence")},
		},
		{
			Name: "a pin of another generation passes for proven", Sentence: evidenceEqual,
			Edits: edit(recordingGo, " || e.Generation != st.Sites[e.Site].Generation {", " {"),
			By:    []Check{rule("Evidence")},
		},
		{
			Name: "a pin of another revision passes for proven", Sentence: evidenceEqual,
			Edits: edit(recordingGo, "if e.Revisions[c.Date] != day.Revision || day.Revision == 0 {", "if day.Revision == 0 {"),
			By:    []Check{rule("Evidence"), simulator(seeds)},
		},
		{
			Name: "no pin passes for proven", Sentence: evidenceEqual,
			Edits: edit(recordingGo, "\t\tif e == nil {\n\t\t\tfast = false\n", "\t\tif e == nil {\n"),
			By:    []Check{rule("Evidence")},
		},
		{
			Name: "PostgreSQL's one statement compares no generation", Sentence: evidenceEqual,
			Edits: edit(sqlRecord, recordHead("IS DISTINCT FROM f.generation"), recordHead("IS DISTINCT FROM f.generation AND FALSE")),
			By:    []Check{postgres("Evidence", "Batch")},
		},
		{
			Name: "revisions are the server's present ones, not the pin's", Sentence: pinRevisions,
			Edits: edit(reseatingGo, "\t\t\tl.evidence.Revisions[date] = revisions[j]\n", "\t\t\tl.evidence.Revisions[date] = l.entry.revision(date)\n"),
			By:    []Check{core("TestCapacityCut", "TestMendedSurvivorOversells", "TestMendedZombieHoldAfterFailover"), simulator(seeds)},
		},
		{
			Name: "a record past the inventory raises nothing", Sentence: raiseSite,
			Edits: edit(recordingGo, "\t\tw.Raise = append(w.Raise, site)\n", ""),
			By:    []Check{rule("Record", "Evidence")},
		},
		{
			Name: "SQLite does not write a raised generation", Sentence: raiseSite,
			Edits: edit("allocator/sqliteledger/record.go", "SET generation = generation + 1 WHERE", "SET generation = generation + 0 WHERE"),
			By:    []Check{sqlite("Record", "Evidence")},
		},
		{
			Name: "a person may have two bookings", Sentence: uniquePerson,
			Edits: edit(recordingGo, "if taken && (replaced == nil || owner != replaced.Key) || seen[p] {", "if taken = false; taken || seen[p] {"),
			By:    []Check{rule("Record"), simulator(seeds)},
		},
		{
			Name: "PostgreSQL has no unique index of persons", Sentence: uniquePerson,
			Edits: edit(sqlPerson, "CREATE UNIQUE INDEX", "CREATE INDEX"),
			By:    []Check{postgres("Races", "Record")},
		},
		{
			Name: "a place may have two owners", Sentence: uniquePlace,
			Edits: edit(recordingGo, "if row.Place == item.Claims[i].Place && (replaced == nil || row.Key != replaced.Key) {", "if row.Place == item.Claims[i].Place && row.Key == item.Claims[i].Key {"),
			By:    []Check{rule("Record", "Races")},
		},
		{
			Name: "PostgreSQL has no unique index of places", Sentence: uniquePlace,
			Edits: edit(sqlPlace, "CREATE UNIQUE INDEX", "CREATE INDEX"),
			By:    []Check{postgres("Races", "Record")},
		},
		{
			Name: "each grant of a request has its own row", Sentence: oneRow,
			Edits: edit(confirmingGo, "Key: c.a.secret.Booking(l.ID.Key, j), Hold: l.ID", "Key: c.a.secret.Booking(RequestKey(l.ID.Stamp), j), Hold: l.ID"),
			By:    []Check{core("TestOneRequestOneBooking"), simulator(seeds)},
		},
		{
			Name: "a move leaves the old booking live", Sentence: movesTogether,
			Edits: edit(recordingGo, "\t\tst.end(replaced, item, w)\n", ""),
			By:    []Check{rule("Move"), simulator(seeds)},
		},
		{
			Name: "a capacity change commits at READ COMMITTED", Sentence: serializable,
			Edits: edit("allocator/cockroachledger/dialect.go", `begin := "BEGIN ISOLATION LEVEL SERIALIZABLE " + string(mode)`, `begin := "BEGIN ISOLATION LEVEL READ COMMITTED " + string(mode)`),
			By:    []Check{postgres("PublishRaces", "Races")},
		},
		{
			Name: "a changed day keeps its revision", Sentence: nextRevision,
			Edits: edit("allocator/publishing.go", "next.Revision = st.Current.Revision + 1", "next.Revision = max(st.Current.Revision, 1)"),
			By:    []Check{rule("Publish"), simulator(seeds)},
		},
		{
			Name: "a booking has no event", Sentence: oneEvent,
			Edits: edit(recordingGo, "\t\tw.Events = append(w.Events, EventOf(EventBooked, &c, item.Actor, st.Now))\n", ""),
			By:    []Check{rule("Events"), simulator(seeds)},
		},
		{
			Name: "a booking has two events", Sentence: oneEvent,
			Edits: edit(recordingGo, "w.Events = append(w.Events, EventOf(EventBooked, &c, item.Actor, st.Now))", "w.Events = append(w.Events, EventOf(EventBooked, &c, item.Actor, st.Now), EventOf(EventBooked, &c, item.Actor, st.Now))"),
			By:    []Check{rule("Events"), simulator(seeds)},
		},
		{
			Name: "a capacity change has no event", Sentence: oneEvent,
			Edits: edit("allocator/publishing.go", "\tw.Events = append(w.Events, Event{", "\t_ = append(w.Events, Event{"),
			By:    []Check{rule("Events"), simulator(seeds)},
		},
		{
			Name: "SQLite leaves the events of cancellations out", Sentence: oneEvent,
			Edits: edit("allocator/sqliteledger/change.go", "\t\treturn t.emit([]allocator.Event{event})\n", "\t\treturn t.emit([]allocator.Event{event}[:0])\n"),
			By:    []Check{sqlite("Events", "Transition")},
		},
		{
			Name: "PostgreSQL journals two events for one booking", Sentence: oneEvent,
			Edits: edit(sqlRecord, recordNoted("good g HAVING count(*) > 0"), recordNoted("(SELECT * FROM good UNION ALL SELECT * FROM good) g HAVING count(*) > 0")),
			By:    []Check{postgres("Races")},
		},
	}
}

// recordHead is where RecordPinned compares a pin's generation, with the name of the query before it: its twin compares
// alike.
func recordHead(compared string) string {
	return `FROM unnest($1::INT4[], $2::TEXT[], $3::INT4[], $4::INT8[], $5::INT8[], $6::INT8[], $7::INT8[])
		AS f(fact, site_id, date, revision, shard, epoch, generation)
	WHERE (SELECT d.revision FROM days d WHERE d.site_id = f.site_id AND d.date = f.date) IS DISTINCT FROM f.revision
		OR (SELECT s.generation FROM sites s WHERE s.site_id = f.site_id) ` + compared + `
		OR (f.shard, f.epoch) IN (SELECT p.shard, p.epoch FROM passed p)
), first_stale AS (
	SELECT c.site_id, min(c.item) AS item FROM stale s JOIN claim c ON c.fact = s.fact GROUP BY c.site_id
), refused AS (
	SELECT DISTINCT c.item`
}

// recordNoted is where RecordPinned writes its journal, with the name of the query after it.
func recordNoted(from string) string {
	return `	FROM ` + from + `
	RETURNING id
)
SELECT now(), ARRAY(SELECT r.item FROM refused r);

-- name: RecordPinnedChecked`
}
