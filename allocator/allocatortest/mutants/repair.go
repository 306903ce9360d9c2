package mutants

const (
	reconcileGo = "allocator/reconcile.go"
	luaRepair   = "allocator/redisinventory/scripts/repair.lua"
)

// repairBugs break how revisions reach the inventory and how it is brought back to the ledger, steps 10 and 11.
func repairBugs() []Bug {
	return []Bug{
		{
			Name: "the inventory applies older revisions", Sentence: applyNewer,
			Edits: edit(luaCommon, "  elseif revision > u6(t.revisions, at + 3) then\n", "  elseif revision > 0 then\n"),
			By:    []Check{scripts("apply")},
		},
		{
			Name: "reconcile does nothing", Sentence: reconcileRuns,
			Edits: edit(reconcileGo, "\t\ta.perShard(due, func", "\t\ta.perShard(due[:0], func"),
			By:    []Check{core("TestReconcileMendsDrift"), simulator(seeds)},
		},
		{
			Name: "reconcile keeps bookings without a row", Sentence: reconcileRuns,
			Edits: edit(reconcileGo, "\t\tcase p.Booked || row != nil && !own:\n", "\t\tcase p.Booked && row == nil:\n\t\t\tcontinue\n\t\tcase p.Booked || row != nil && !own:\n"),
			By:    []Check{core("TestReconcileMendsDrift"), simulator(seeds)},
		},
		{
			Name: "reconcile does not book rows that the inventory lacks", Sentence: reconcileRuns,
			Edits: edit(reconcileGo, "if key := (placeKey{b.Slot, b.Place}); !seen[key] {", "if key := (placeKey{b.Slot, b.Place}); seen[key] && rows[key] == nil {"),
			By:    []Check{core("TestReconcileMendsDrift")},
		},
		{
			Name: "slots where something happened are not compared", Sentence: reconcileRuns,
			Edits: edit("allocator/follow.go", "\t\t\ta.checkSlot(s.Slot, s.Counts.Total())\n", ""),
			By:    []Check{core("TestChangedSlotsAreCompared")},
		},
		{
			Name: "claims that ended are not compared", Sentence: reconcileRuns,
			Edits: edit("allocator/refresh.go", "\t\t\ta.checkEnded(e)\n", "\t\t\t_ = e\n"),
			By:    []Check{core("TestChangedSlotsAreCompared")},
		},
		{
			Name: "what is certain puts no site in doubt", Sentence: reconcileRuns,
			Edits: edit("allocator/checking.go", "\t\t\ta.dirty.add(r.Slot.Site)\n", ""),
			By:    []Check{core("TestChangedSlotsAreCompared")},
		},
		{
			Name: "a doubt is forgotten before the second look", Sentence: reconcileRuns,
			Edits: edit("allocator/checking.go", "\tc.doubts[r] = found\n", ""),
			By:    []Check{core("TestChangedSlotsAreCompared"), core("TestDoubtsAreLookedAtTwice")},
		},
		{
			Name: "pins of ended grants are no doubt", Sentence: reconcileRuns,
			Edits: edit("allocator/checking.go", "(p.Booked || ended)", "(p.Booked || ended && false)"),
			By:    []Check{core("TestChangedSlotsAreCompared"), core("TestDoubtsMissNothing")},
		},
		{
			Name: "rows without a place are no doubt", Sentence: reconcileRuns,
			Edits: edit("allocator/checking.go", "\tfor _, row := range byPlace {\n", "\tfor _, row := range byPlace {\n\t\tif row.Booked {\n\t\t\tbreak\n\t\t}\n"),
			By:    []Check{core("TestChangedSlotsAreCompared"), core("TestDoubtsMissNothing")},
		},
		{
			Name: "places outside of the range are read", Sentence: reconcileRuns,
			Edits: edit("allocator/redisinventory/scripts/common.lua", "if b % 2 == 1 and n >= first and n <= last then", "if b % 2 == 1 then"),
			By:    []Check{scripts("read places"), scripts("large slot")},
		},
		{
			Name: "reconcile applies no newer revision", Sentence: applyNewer,
			Edits: edit(reconcileGo, "revision > view.Revisions[date] {", "revision > view.Revisions[date] && date < 0 {"),
			By:    []Check{core("TestReconcileMendsDrift"), simulator(seeds)},
		},
		{
			Name: "a site behind its generation is not rebuilt", Sentence: behindRebuilt,
			Edits: []Edit{
				{reconcileGo, "\tif ledger.Site.Generation > view.Generation {\n", "\tif ledger.Site.Generation < view.Generation {\n"},
				{confirmingGo, "\t\tc.a.dirty.raise(site)\n", "\t\tc.a.dirty.add(site)\n"},
			},
			By: []Check{core("TestQuietSitesAreRebuilt")},
		},
		{
			Name: "a site behind its epoch is not rebuilt by reconcile", Sentence: behindRebuilt,
			Edits: edit(reconcileGo, "\tif !view.Built {\n\t\treturn a.rebuild(ctx, site)\n\t}\n", "\tif !view.Built {\n\t\treturn nil\n\t}\n"),
			By:    []Check{core("TestQuietSitesAreRebuilt"), simulator(seeds)},
		},
		{
			Name: "reconcile reads the ledger, then the inventory", Sentence: inventoryFirst,
			Edits: []Edit{
				{reconcileGo, "\tview, err := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {",
					"\tledger, err := a.readLedger(ctx, site)\n\tif err != nil || !ledger.Found {\n\t\treturn err\n\t}\n\tview, err := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {"},
				{reconcileGo, "\tledger, err := a.readLedger(ctx, site)\n\tif err != nil || !ledger.Found {\n\t\treturn err\n\t}\n\tif ledger.Site", "\tif ledger.Site"},
			},
			By: []Check{core("TestBookedWhileReconciling")},
		},
		{
			Name: "repair changes places that are not as they were read", Sentence: asRead,
			Edits: edit(luaRepair, "  if (v and sub(v, 1, 19) or none .. '\\0') ~= sub(f, 5, 23) then return false end\n", ""),
			By:    []Check{scripts("repair")},
		},
		{
			Name: "repair books what ended meanwhile", Sentence: asRead,
			Edits: edit(luaRepair, "if g and (g.state == ENDED or gone(g, k, n)) then return false end", "if false then return false end"),
			By:    []Check{scripts("free partly")},
		},
		{
			Name: "repair takes the place of a pin", Sentence: pinEvidence,
			Edits: edit(luaRepair, "      if g and g.state == PINNED then return false end", "      if false then return false end"),
			By:    []Check{scripts("pins stay")},
		},
		{
			Name: "repairs settle a recorded hold place by place", Sentence: wholeRepair,
			Edits: edit(reconcileGo, "\t\tcase byHold[p.Owner] != nil:\n", "\t\tcase own:\n\t\tcase byHold[p.Owner] != nil:\n"),
			By:    []Check{core("TestLostSettleIsMendedWhole")},
		},
	}
}
