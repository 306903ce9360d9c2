package mutants

const (
	luaLate   = "allocator/redisinventory/scripts/late.lua"
	luaSettle = "allocator/redisinventory/scripts/settle.lua"
)

// lateBugs break settle and free, the end of step 2, and what step 6 says of owners.
func lateBugs() []Bug {
	return []Bug{
		{
			Name: "settle refused at an older epoch", Sentence: lateEpochs,
			Edits: edit(luaSettle, "local bad = gate(true)", "local bad = gate()"),
			By:    []Check{redis("TestAnotherProgramOpensAnEpoch")},
		},
		{
			Name: "settle accepted at an epoch newer than the site's", Sentence: lateEpochs,
			Edits: []Edit{
				{luaSettle, "if t and t.builder == '' and epoch <= t.epoch then", "if t and t.builder == '' then"},
				{luaSettle, "elseif epoch > t.epoch then", "elseif false then"},
			},
			By: []Check{scripts("epochs")},
		},
		{
			Name: "settle keeps the hold's other places", Sentence: settleRow,
			Edits: edit(luaCommon, "  if g and g.state ~= ENDED then\n    giveAll(g, false)\n    setState(g, BOOKED)", "  if g and g.state ~= ENDED then\n    setState(g, BOOKED)"),
			By:    []Check{scripts("settle"), simulator(seeds)},
		},
		{
			Name: "settle does not book the row's place", Sentence: settleRow,
			Edits: edit(luaLate, "    if not place(row[1], row[2]) then take(row[1], row[2], id, true, row[3]) end\n", ""),
			By:    []Check{scripts("settle"), simulator(seeds)},
		},
		{
			Name: "settle revives an ended id", Sentence: settleEnded,
			Edits: []Edit{
				{luaLate, "  if g and g.state == ENDED then return 0 end\n", ""},
				{luaCommon, "  if g and g.state ~= ENDED then\n    giveAll(g, false)", "  if g then\n    giveAll(g, false)"},
			},
			By: []Check{scripts("fences")},
		},
		{
			Name: "free leaves the places that no row named", Sentence: freeAll,
			Edits: edit(luaCommon, "  if g.id ~= id then return end\n  giveAll(g, true)\n", "  if g.id ~= id then return end\n"),
			By:    []Check{scripts("free")},
		},
		{
			Name: "free marks nothing ended", Sentence: freeAll,
			Edits: edit(luaCommon, "    setState(g, ENDED)\n", ""),
			By:    []Check{scripts("free")},
		},
		{
			Name: "free ignores the owner", Sentence: ownerFence,
			Edits: edit(luaCommon, "if not v or sub(v, 1, 18) ~= owner or byte(v, 19) == 1 and not booked then return end",
				"if not v or byte(v, 19) == 1 and not booked then return end"),
			By: []Check{scripts("fences")},
		},
		{
			Name: "cancelling one booking frees the whole hold", Sentence: partialFree,
			Edits: edit("allocator/managing.go", "Partial: true,", "Partial: false,"),
			By:    []Check{core("TestFamilyAcrossSites"), simulator(seeds)},
		},
		{
			Name: "a partial free frees everything", Sentence: partialFree,
			Edits: edit(luaLate, "  if sub(m.text, 1, 1) == 'P' then", "  if false then"),
			By:    []Check{scripts("free partly"), simulator(seeds)},
		},
		{
			Name: "a partial free marks nothing", Sentence: partialFree,
			Edits: edit(luaLate, "if not gone(g, row[1], row[2]) then g.gone = ", "if false then g.gone = "),
			By:    []Check{scripts("free partly")},
		},
	}
}
