package mutants

const (
	luaBegin  = "allocator/redisinventory/scripts/begin.lua"
	luaFinish = "allocator/redisinventory/scripts/finish.lua"
	luaLoad   = "allocator/redisinventory/scripts/load.lua"
	rebuildGo = "allocator/rebuild.go"
)

// rebuildBugs break rebuilds and lost holds, the second half of step 8.
func rebuildBugs() []Bug {
	return []Bug{
		{
			Name: "a dead builder keeps its site for ever", Sentence: laterBuilder,
			Edits: edit(luaBegin, "if t.builder ~= builder then\n", "if t.builder == '' then\n"),
			By:    []Check{scripts("builders"), simulator(seeds)},
		},
		{
			Name: "a replaced builder goes on loading", Sentence: lastBuilder,
			Edits: edit(luaLoad, "if not t or t.builder ~= ARGV[2] then return 0 end", "if not t then return 0 end"),
			By:    []Check{scripts("builders")},
		},
		{
			Name: "a replaced builder finishes", Sentence: lastBuilder,
			Edits: edit(luaFinish, "if t.builder ~= builder then return ", "if t.builder == '' then return "),
			By:    []Check{scripts("builders")},
		},
		{
			Name: "a builder inherits what was set aside before it", Sentence: laterBuilder,
			Edits: edit(luaBegin, "  call('DEL', K_ASIDE .. id)\n", ""),
			By:    []Check{scripts("set aside", "builders")},
		},
		{
			Name: "what was set aside is not applied", Sentence: setAside,
			Edits: edit(luaFinish, "for at = 0, SET_ASIDE, 4000 do", "for at = 0, -1, 4000 do"),
			By:    []Check{scripts("set aside")},
		},
		{
			Name: "settles are applied while a site is being rebuilt", Sentence: setAside,
			Edits: []Edit{
				{luaSettle, "if t and t.builder == '' and epoch <= t.epoch then", "if t and epoch <= t.epoch then"},
				{luaSettle, "elseif t.builder ~= '' then", "elseif false then"},
			},
			By: []Check{scripts("set aside", "rebuild")},
		},
		{
			// Taken out alone, either guard is made good by the other: a free marks its id, and a settle heeds marks.
			Name: "settled beats ended", Sentence: endedBeats,
			Edits: []Edit{
				{luaFinish, "  if sub(m.text, 1, 1) ~= 'S' then free(m) end\n", "  if sub(m.text, 1, 1) ~= 'S' then free(m) else settle(m) end\n"},
				{luaFinish, "  if sub(m.text, 1, 1) == 'S' and not ended[sub(m.text, 2, 19)] then settle(m) end\n", ""},
				{luaLate, "  if g and g.state == ENDED then return 0 end\n", ""},
				{luaCommon, "  if g and g.state ~= ENDED then\n    giveAll(g, false)", "  if g then\n    giveAll(g, false)"},
			},
			By: []Check{scripts("set aside")},
		},
		{
			Name: "a full set-aside list is finished all the same", Sentence: asideFull,
			Edits: edit(luaFinish, "if t.overflowed == 1 then return 0 end", ""),
			By:    []Check{scripts("set aside")},
		},
		{
			Name: "the ledger is read before begin", Sentence: readAfterBegin,
			Edits: []Edit{
				{rebuildGo, "\tvar began int64 //", "\tledger, err := a.readLedger(ctx, site)\n\tif err != nil {\n\t\treturn false, err\n\t}\n\tvar began int64 //"},
				{rebuildGo, "\tledger, err := a.readLedger(ctx, site) // after Begin: what is settled or freed from now on is set aside\n\tif err != nil {\n\t\treturn false, err\n\t}\n", ""},
			},
			By: []Check{core("TestBookedJustBeforeBegin")},
		},
		{
			Name: "a rebuild goes on in the next epoch", Sentence: oneEpochBuild,
			Edits: []Edit{
				{rebuildGo, "\t\t\tif epoch != began {\n\t\t\t\treturn false, errEpochMoved\n\t\t\t}\n\t\t\treturn a.inventory.Load(", "\t\t\t_ = began\n\t\t\treturn a.inventory.Load("},
				{rebuildGo, "\t\tif epoch != began {\n\t\t\treturn false, errEpochMoved\n\t\t}\n\t\treturn a.inventory.Finish(", "\t\treturn a.inventory.Finish("},
			},
			By: []Check{core("TestMendedRebuildAcrossEpochs")},
		},
		{
			Name: "a hold survives the row that has its place", Sentence: survivors,
			Edits: edit(luaLoad, "        drop(owner)\n", "        drop(rep('\\0', 18))\n"),
			By:    []Check{scripts("load", "rebuild", "survivors")},
		},
		{
			Name: "a booking without a row survives a rebuild", Sentence: survivors,
			Edits: edit(luaLoad, "      elseif booked or not alive(g) then\n", "      elseif not alive(g) and not booked then\n"),
			By:    []Check{scripts("load", "rebuild", "survivors")},
		},
		{
			Name: "ended ids are not marked", Sentence: endedMarked,
			Edits: edit(luaLoad, "for i = 4, 3 + nEnded do finish(sub(ARGV[i], 1, 18), siteID, sub(ARGV[i], 19)) end\n", ""),
			By:    []Check{scripts("load", "rebuild")},
		},
		{
			Name: "a pin that a row pushes out goes as a whole", Sentence: pinLosesOne,
			Edits: edit(luaLoad, "elseif row and g.state == PINNED then\n        give(k, n, owner, false)", "elseif false then\n        give(k, n, owner, false)"),
			By:    []Check{scripts("load", "pins stay")},
		},
		{
			Name: "a grant older than the last rebuild is trusted (scripts)", Sentence: rebuiltSince,
			Edits: edit(luaCommon, "if made > built or made == built and u6(g.id, 13) > u6(t.built, 4) then return placesAndRevisions(g) end", "if made >= 0 then return placesAndRevisions(g) end"),
			By:    []Check{scripts("survivors")},
		},
		{
			Name: "a grant older than the last rebuild is trusted (model)", Sentence: rebuiltSince,
			Edits: edit("allocator/memoryinventory/grants.go", "if bytes.Compare(g.id.Stamp[:], st.built[:]) <= 0 {", "if bytes.Compare(g.id.Stamp[:], st.built[:]) > 9 {"),
			By:    []Check{model("survivors"), core("TestMendedSurvivorOversells", "TestMendedZombieHoldAfterFailover")},
		},
		{
			Name: "a lost hold is recorded as if it were pinned", Sentence: lostPinned,
			Edits: edit(reseatingGo, "\t\t\treturn c.reseatLost(ctx, l)\n\t\tcase r.State == GrantReleased:",
				"\t\t\tl.evidence.Pinned, l.evidence.Epoch, l.evidence.Generation, l.evidence.Revisions = true, r.Epoch, r.Generation, make(map[Date]int64)\n\t\t\tfor j := range l.Claims {\n\t\t\t\tl.evidence.Revisions[l.Claims[j].Date] = l.entry.revision(l.Claims[j].Date)\n\t\t\t}\n\t\t\treturn \"\", nil\n\t\tcase r.State == GrantReleased:"),
			By: []Check{core("TestLostHoldNeedsASeat")},
		},
		{
			Name: "a lost hold is refused", Sentence: lostPinned,
			Edits: edit(reseatingGo, "\t\t\treturn c.reseatLost(ctx, l)\n\t\tcase r.State == GrantReleased:", "\t\t\treturn CodeHoldLost, nil\n\t\tcase r.State == GrantReleased:"),
			By:    []Check{core("TestLostHold")},
		},
		{
			Name: "a newer grant does not stand for a lost one", Sentence: newerGrant,
			Edits: edit(reseatingGo, "\t\t\titem.ID = r.ID // the same request, granted again after a loss\n\t\t\tcontinue\n", "\t\t\treturn CodeHoldExpired, nil\n"),
			By:    []Check{core("TestNewerGrantStandsForALostOne")},
		},
		{
			Name: "a newer grant of other claims stands for a lost one", Sentence: newerGrant,
			Edits: edit(reseatingGo, "case len(r.Other) > 0 && !l.sameClaims(r.Other):", "case len(r.Other) > 0 && len(r.Other) != len(l.Claims):"),
			By:    []Check{core("TestMendedTokenOfOtherBody", "TestMendedTokenOfOtherBodyNoFault")},
		},
		{
			Name: "an ended id forgets why", Sentence: marked,
			Edits: edit(luaCommon, "    g.reason = reason\n", ""),
			By:    []Check{scripts("free", "pin")},
		},
		{
			Name: "releasing a lost hold voids nothing", Sentence: lostRelease,
			Edits: edit("allocator/releasing.go", "\t\t\tif err := a.releaseLost(ctx, l); err != nil {\n\t\t\t\treturn err\n\t\t\t}\n", "\t\t\t_ = a.releaseLost\n"),
			By:    []Check{core("TestReleaseOfALostHold")},
		},
	}
}
