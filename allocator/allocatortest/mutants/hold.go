package mutants

const (
	luaCommon = "allocator/redisinventory/scripts/common.lua"
	luaHold   = "allocator/redisinventory/scripts/hold.lua"
)

// holdBugs break step 1.
func holdBugs() []Bug {
	return []Bug{
		{
			Name: "a repeated key takes a second place", Sentence: keyMemory,
			Edits: edit(luaHold, "  if g then\n    g = grant(key)", "  if false then\n    g = grant(key)"),
			By:    []Check{general("hold"), simulator(seeds)},
		},
		{
			Name: "another body gets the grant of its key", Sentence: sameBody,
			Edits: edit(luaHold, "if print ~= sub(body, 9, 16) and find(print, '[^%z]') then return '\\1' end", "if false then return '\\1' end"),
			By:    []Check{general("hold refusals", "hold", "key memory")},
		},
		{
			Name: "messages about one grant touch the next of its request", Sentence: oneGrant,
			Edits: edit(luaCommon, "return g and g.id == id and g or false", "return g or false"),
			By:    []Check{scripts("other grant", "release", "fences", "key memory")},
		},
		{
			Name: "two grants in one microsecond have one stamp", Sentence: oneGrant,
			Edits: edit(luaCommon, "if last and micros <= u7(last, 1) then micros = u7(last, 1) + 1 end", ""),
			By:    []Check{scripts("release", "hold batches", "fences", "key memory", "other grant")},
		},
		{
			Name: "a refused part leaves the others held", Sentence: atomicHold,
			Edits: edit("allocator/holding.go", "a.giveBack(ctx, wishes[:i], granted)", "_ = a.giveBack"),
			By:    []Check{core("TestFamilyAcrossSites")},
		},
		{
			Name: "holds are seated first fit", Sentence: matching,
			Edits: edit("allocator/seating.go", "unions := connectedUnions(masks, own)", "_, unions := connectedUnions, []uint32{own}"),
			By:    []Check{core("TestSeatingExample"), simulator(seeds)},
		},
		{
			Name: "the ledger seats first fit", Sentence: matching,
			Edits: edit("allocator/seating.go", "\t\tfor _, s := range slices.Sorted(maps.Keys(t.sits[at])) {\n\t\t\tvisit(at, s)\n\t\t}\n", ""),
			By:    []Check{rule("Record"), simulator(seeds)},
		},
		{
			Name: "two claims of one request are each seated alone", Sentence: matching,
			Edits: edit(luaCommon, "if not joins(c[3], s.counts, extra) then", "if not joins(c[3], s.counts, nil) then"),
			By:    []Check{scripts("several claims"), simulator(seeds)},
		},
		{
			Name: "a maximum counts the claim's own slot only", Sentence: limits,
			Edits: edit(luaCommon, "  fill(K_SLOT, keys, S, decodeSlot)\n  local n = 0\n", "  local n = 0\n"),
			By:    []Check{scripts("limit", "histories")},
		},
		{
			Name: "claims of one request are each held against the maximum alone", Sentence: limits,
			Edits: edit(luaCommon, "        if service == claims[j][4] then n = n + 1 end\n", ""),
			By:    []Check{scripts("limit")},
		},
		{
			Name: "the ledger does not count for a maximum", Sentence: limits,
			Edits: edit("allocator/maximum.go", "return n > limit.Places", "return false"),
			By:    []Check{rule("Maximum")},
		},
		{
			Name: "a suspended service is granted", Sentence: suspension,
			Edits: edit("allocator/catalogue.go", " && !slices.Contains(p.Suspended, service)\n", "\n"),
			By:    []Check{core("TestSuspendAndResume", "TestSuspendRacesHolds")},
		},
		{
			Name: "days published during a suspension are not suspended", Sentence: suspension,
			Edits: edit("allocator/publishing.go", "suspend(keep(st, change), st.Suspended, next.Date)", "suspend(keep(st, change), nil, next.Date)"),
			By:    []Check{core("TestSuspendAndResume"), rule("Suspend")},
		},
		{
			Name: "the server's clock decides whether a lost hold is in time", Sentence: shardClock,
			Edits: edit("allocator/reseating.go", "case r.State == GrantAbsent && r.InTime:",
				"case r.State == GrantAbsent && c.a.clock.Now().UnixMilli() < l.DeadlineMs:"),
			By: []Check{core("TestWrongClocks")},
		},
		{
			Name: "the server's clock expires holds", Sentence: shardClock,
			Edits: edit("allocator/confirming.go", "\tc := &confirmation{a: a, ticket: t, caller: r.Caller}\n",
				"\tc := &confirmation{a: a, ticket: t, caller: r.Caller}\n\tif a.clock.Now().UnixMilli() >= t.Legs[0].DeadlineMs {\n\t\treturn nil, Refuse(CodeHoldExpired, \"the hold has expired\")\n\t}\n"),
			By: []Check{core("TestWrongClocks"), simulator(seeds)},
		},
		{
			Name: "grace is not enforced", Sentence: graceEnforced,
			Edits: edit(luaCommon, "if g.state == HELD and now >= g.deadline + g.grace then return EXPIRED end",
				"if g.state == HELD and now >= g.deadline then return EXPIRED end"),
			By: []Check{scripts("grace")},
		},
		{
			Name: "holds lapse in order of their grant", Sentence: lapseInOrder,
			Edits: edit("allocator/redisinventory/scripts/extend.lua", "lapses(g.deadline + g.grace, g.id)", "appoint(K_EXP, g.deadline + g.grace, g.id)"),
			By:    []Check{scripts("lapsing order")},
		},
		{
			Name: "a lapsed hold is never freed", Sentence: lapseInOrder,
			Edits: edit(luaCommon, "if g.state == HELD then\n        giveAll(g, false)\n", "if g.state == HELD then\n"),
			By:    []Check{scripts("expiry"), simulator(seeds)},
		},
	}
}
