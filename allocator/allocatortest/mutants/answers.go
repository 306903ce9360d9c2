package mutants

// answerBugs break what losers are told, step 4, who may end a booking, step 6, and the resolver, step 7.
func answerBugs() []Bug {
	return []Bug{
		{
			Name: "a request's own rows do not answer first", Sentence: ownRowFirst,
			Edits: edit(recordingGo, "\tif r, ok := st.ownRows(item.Claims); ok {\n", "\tif r, ok := st.ownRows(item.Claims); ok && r.Outcome != RecordedEver {\n"),
			By:    []Check{rule("Record"), simulator(seeds)},
		},
		{
			Name: "an ended row is settled like a live one", Sentence: ownRowFirst,
			Edits: edit(confirmingGo, "\t\t\tif row.Status.Live() {\n", "\t\t\tif row.Status != StatusVoid {\n"),
			By:    []Check{core("TestRepeatedConfirmOfACancelled")},
		},
		{
			Name: "a late record books what was voided", Sentence: voidAnswers,
			Edits: edit(recordingGo, "\t\tif row.Status == StatusVoid {\n\t\t\treturn RecordResult{Outcome: RecordVoid, Reason: Code(row.Reason)}, true\n",
				"\t\tif row.Status == StatusVoid {\n\t\t\tcontinue\n"),
			By: []Check{rule("Void"), simulator(seeds)},
		},
		{
			Name: "a void overrules a row", Sentence: voidAnswers,
			Edits: edit(recordingGo, "\tif len(found) > 0 {\n", "\tif len(found) > len(item.Claims) {\n"),
			By:    []Check{rule("Void"), simulator(seeds)},
		},
		{
			Name: "a refusal is told without a void row", Sentence: voidFirst,
			Edits: edit(confirmingGo, "\tresult, err := c.a.void(ctx, Voiding{Claims: c.rows, Reason: code})\n",
				"\tif ctx != nil {\n\t\tc.release(code)\n\t\treturn nil, c.refusal(code, claim)\n\t}\n\tresult, err := c.a.void(ctx, Voiding{Claims: c.rows, Reason: code})\n"),
			By: []Check{simulator(seeds)},
		},
		{
			Name: "places are freed before the void is definite", Sentence: voidFirst,
			Edits: edit(confirmingGo, "\tresult, err := c.a.void(ctx, Voiding{Claims: c.rows, Reason: code})\n",
				"\tc.release(code)\n\tresult, err := c.a.void(ctx, Voiding{Claims: c.rows, Reason: code})\n"),
			By: []Check{core("TestNothingIsFreedBeforeTheVoid"), simulator(seeds)},
		},
		{
			Name: "re-seating grants without matching", Sentence: reseatMatching,
			Edits: edit("allocator/redisinventory/scripts/reseat.lua", "decodeBounds(ARGV[i + 2])", "{ { mine = true, places = 100000 } }"),
			By:    []Check{scripts("reseat lost", "reseat taken", "reseat refusals"), simulator(seeds)},
		},
		{
			Name: "a place given to its owner is counted for the loser's service", Sentence: takenService,
			Edits: edit("allocator/redisinventory/scripts/reseat.lua", "take(c[1], c[6], taken[i], true, takenFor[i])", "take(c[1], c[6], taken[i], true, c[4])"),
			By:    []Check{scripts("reseat taken")},
		},
		{
			Name: "cancelling needs no subject", Sentence: subject,
			Edits: edit("allocator/managing.go", `a.secret.Manages(key, access.ManageToken)`, `access.ManageToken != ""`),
			By:    []Check{core("TestOnlyTheSubjectCancels")},
		},
		{
			Name: "any date of birth opens a booking", Sentence: subject,
			Edits: edit("allocator/managing.go", "subtle.ConstantTimeEq(int32(person.DateOfBirth), int32(access.DateOfBirth)) == 1", "subtle.ConstantTimeEq(int32(person.DateOfBirth), int32(person.DateOfBirth)) == 1"),
			By:    []Check{core("TestOnlyTheSubjectCancels")},
		},
		{
			Name: "the resolver frees recorded pins", Sentence: resolveLive,
			Edits: edit("allocator/resolver.go", "\tif len(live) > 0 {\n", "\tif len(live) > 0 && len(pin.Places) == 0 {\n"),
			By:    []Check{core("TestRecordedPinsAreSettled"), simulator(seeds)},
		},
		{
			Name: "the resolver frees without a void", Sentence: resolveAbsent,
			Edits: edit("allocator/resolver.go", "\tresults, err := a.ledger.Void(ctx, items)\n",
				"\tresults := make([]RecordResult, len(items))\n\tfor i := range items {\n\t\tvar keys []BookingKey\n\t\tfor j := range items[i].Claims {\n\t\t\tkeys = append(keys, items[i].Claims[j].Key)\n\t\t}\n\t\tif results[i].Rows, err = a.ledger.Bookings(ctx, keys); err != nil {\n\t\t\treturn err\n\t\t}\n\t}\n"),
			By: []Check{core("TestLateRecordMeetsAVoid")},
		},
		{
			Name: "the resolver voids under keys of its own", Sentence: sharedKey,
			Edits: edit("allocator/resolver.go", "Key: a.secret.Booking(pin.ID.Key, i)", "Key: a.secret.Booking(RequestKey(pin.ID.Stamp), i)"),
			By:    []Check{core("TestLateRecordMeetsAVoid"), simulator(seeds)},
		},
	}
}
