package mutants

const (
	confirmingGo = "allocator/confirming.go"
	combinerGo   = "allocator/combiner.go"
	recordingGo  = "allocator/recording.go"
	reseatingGo  = "allocator/reseating.go"
)

// confirmBugs break the pin and the record, steps 2 and 5.
func confirmBugs() []Bug {
	return []Bug{
		{
			Name: "no pin: a confirm records a hold that goes on expiring", Sentence: pinHolds,
			Edits: edit("allocator/redisinventory/scripts/pin.lua", "        setState(g, PINNED)\n", ""),
			By:    []Check{general("pin")},
		},
		{
			Name: "pins lapse like holds", Sentence: pinEvidence,
			Edits: edit(luaCommon, "      if g.state == HELD then\n        giveAll(g, false)", "      if alive(g) then\n        giveAll(g, false)"),
			By:    []Check{scripts("pin", "stuck pins")},
		},
		{
			Name: "a pinned hold can be released", Sentence: pinEvidence,
			Edits: edit("allocator/redisinventory/scripts/release.lua", "if g.state ~= HELD then return g.state end", "if not alive(g) then return g.state end"),
			By:    []Check{scripts("release", "pin")},
		},
		{
			Name: "a confirm that runs out of time frees its pin", Sentence: unknownOutcome,
			Edits: edit(confirmingGo, "\t\tresult, err := c.record(ctx)\n\t\tif err != nil {\n", "\t\tresult, err := c.record(ctx)\n\t\tif err != nil {\n\t\t\tc.release(CodeHoldExpired)\n"),
			By:    []Check{core("TestUnknownOutcomeFreesNothing"), simulator(seeds)},
		},
		{
			Name: "an unknown outcome is told as a refusal", Sentence: unknownOutcome,
			Edits: edit(confirmingGo, "if err == nil || errors.As(err, &refusal) && !unknown {\n\t\t\treturn value, err",
				"if errors.Is(err, ErrOutcomeUnknown) {\n\t\t\treturn value, Refuse(CodeHoldExpired, \"not recorded\")\n\t\t}\n\t\tif err == nil || errors.As(err, &refusal) && !unknown {\n\t\t\treturn value, err"),
			By: []Check{simulator(seeds)},
		},
		{
			Name: "a lost answer to COMMIT is taken for nothing happened", Sentence: unknownOutcome,
			Edits: edit("allocator/cockroachledger/retry.go", "if errors.As(err, &commit) && !refused(commit.cause) {", "if errors.As(err, &commit) && false {"),
			By:    []Check{postgresTest("TestLostAfterCommit")},
		},
		{
			Name: "acknowledged before the commit", Sentence: commitPoint,
			Edits: edit(confirmingGo, "\treturn untilDefinite(ctx, c.a, func(ctx context.Context) (RecordResult, error) { return c.a.records.submit(ctx, item) })",
				"\tc.a.records.post(item)\n\treturn RecordResult{Outcome: Recorded, Rows: item.Claims}, nil"),
			By: []Check{simulator(seeds)},
		},
		{
			Name: "SQLite's COMMIT fails unseen", Sentence: commitPoint,
			Edits: edit("allocator/sqliteledger/transaction.go", "\t\treturn commitError(err)\n", "\t\treturn nil\n"),
			By:    []Check{sqliteTest("TestCommitError")},
		},
		{
			Name: "neighbours in a batch get each other's answers", Sentence: ownAnswer,
			Edits: edit(combinerGo, "w.answer(answer[O]{value: values[i]})", "w.answer(answer[O]{value: values[len(values)-1-i]})"),
			By:    []Check{core("TestCombinerGathers")},
		},
		{
			Name: "a full queue makes callers wait", Sentence: boundedQueue,
			Edits: edit(combinerGo, "\tcase c.queue <- w:\n\tdefault:\n", "\tcase c.queue <- w:\n\tcase <-ctx.Done():\n"),
			By:    []Check{core("TestCombinerBounds")},
		},
		{
			Name: "one loser fails its neighbours", Sentence: groupRecord,
			Edits: edit(recordingGo, "\t\tresults[i] = st.decide(&items[i], &w)\n",
				"\t\tif i > 0 && results[i-1].Outcome != Recorded {\n\t\t\tresults[i] = RecordResult{Outcome: RecordPerson}\n\t\t\tcontinue\n\t\t}\n\t\tresults[i] = st.decide(&items[i], &w)\n"),
			By: []Check{rule("Batch"), simulator(seeds)},
		},
		{
			Name: "a hold is recorded without the claims that conflict", Sentence: wholeHold,
			Edits: []Edit{
				{recordingGo, "\tif r, ok := st.conflict(item, replaced); ok {", "\tif r, ok := st.conflict(item, replaced); ok && (r.Outcome != RecordTaken || r.Claim == 0) {"},
				{recordingGo, "\t\tc.Status, c.Version, c.RecordedAt = StatusBooked, 1, st.Now\n",
					"\t\tif slices.ContainsFunc(st.Slots[c.Slot], func(b Booking) bool { return b.Place == c.Place }) {\n\t\t\tcontinue\n\t\t}\n\t\tc.Status, c.Version, c.RecordedAt = StatusBooked, 1, st.Now\n"},
			},
			By: []Check{rule("Record")},
		},
		{
			Name: "ON CONFLICT DO NOTHING in the one-statement record", Sentence: wholeHold,
			Edits: edit("allocator/cockroachledger/queries/record.sql", recordedTail, recordedTailIgnoring),
			By:    []Check{postgres("Record", "Batch", "Races")},
		},
	}
}

// recordedTail is the end of RecordPinned, up to the name of what follows: RecordPinnedChecked ends alike.
const recordedTail = `	FROM good g
	RETURNING booking_key
), noted AS (
	INSERT INTO journal (id, bucket, events, keys, actors)
	SELECT $25::UUID, $26::INT8, count(*), array_agg(g.booking_key ORDER BY g.item, g.booking_key),
		array_agg(g.actor ORDER BY g.item, g.booking_key)
	FROM good g HAVING count(*) > 0
	RETURNING id
)
SELECT now(), ARRAY(SELECT r.item FROM refused r);

-- name: RecordPinnedChecked`

const recordedTailIgnoring = `	FROM good g
	ON CONFLICT DO NOTHING
	RETURNING booking_key
), noted AS (
	INSERT INTO journal (id, bucket, events, keys, actors)
	SELECT $25::UUID, $26::INT8, count(*), array_agg(g.booking_key ORDER BY g.item, g.booking_key),
		array_agg(g.actor ORDER BY g.item, g.booking_key)
	FROM good g HAVING count(*) > 0
	RETURNING id
)
SELECT now(), ARRAY(SELECT r.item FROM refused r);

-- name: RecordPinnedChecked`
