package mutants

const (
	luaHoldFast   = "allocator/redisinventory/scripts/holdfast.lua"
	luaPinFast    = "allocator/redisinventory/scripts/pinfast.lua"
	luaSettleFast = "allocator/redisinventory/scripts/settlefast.lua"
)

// fastBugs break the fast paths of the scripts only: what the rest of each script decides stays right.
func fastBugs() []Bug {
	histories := []Check{scripts("histories")}
	small := []Check{scripts("hold", "hold batches", "hold refusals", "key memory", "seating", "release", "expiry", "grace", "pin", "other grant",
		"settle", "fences", "set aside", "rebuild", "builders", "survivors", "usage and changes", "race for one slot")}
	return []Bug{
		{
			Name: "the fast path grants one place too many", Sentence: matching,
			Edits: edit(luaHoldFast, "if not mine or worst - mine < 1 then", "if not mine or worst - mine < 0 then"), By: small,
		},
		{
			Name: "the fast path gives another body the grant of its key", Sentence: sameBody,
			Edits: edit(luaHoldFast, "if print ~= sub(body, 9, 16) and find(print, '[^%z]') then", "if false then"), By: small,
		},
		{
			Name: "the fast path grants a repeated key anew", Sentence: keyMemory,
			Edits: edit(luaHoldFast, "local raw = known[item] or fresh[key]", "local raw = fresh[key]"), By: small,
		},
		{
			Name: "the fast path does not see a key that came twice in one call", Sentence: keyMemory,
			Edits: edit(luaHoldFast, "local raw = known[item] or fresh[key]", "local raw = known[item]"), By: []Check{redis("TestFastPaths")},
		},
		{
			Name: "the fast path gives two grants of one microsecond one stamp", Sentence: oneGrant,
			Edits: edit(luaHoldFast, "if micros <= stamped then micros = stamped + 1 end", ""),
			By:    small,
		},
		{
			Name: "the fast path grants at a site that is being rebuilt", Sentence: readAfterBegin,
			Edits: edit(luaHoldFast, "if not record or sub(record, 1, 5) ~= ready5 then", "if not record then"), By: small,
		},
		{
			Name: "the fast path refuses a place that a lapsed hold has", Sentence: lapseInOrder,
			Edits: edit(luaHoldFast, "if lapsed <= now then ordinary = false break end", ""), By: []Check{scriptTest("TestLapsedHoldGivesWay")},
		},
		{
			Name: "the fast path forgets the index of slots in use", Sentence: survivors,
			Edits: edit(luaHoldFast, "if nUsed > 0 then", "if false then"), By: histories,
		},
		{
			Name: "the fast path appoints long holds before short ones", Sentence: lapseInOrder,
			Edits: edit(luaHoldFast, "* 256 + f then break end -- it lapses out of turn", "* 256 + f then end"),
			By:    []Check{scripts("lapsing order", "histories")},
		},
		{
			Name: "the fast path pins a hold whose time is up", Sentence: graceEnforced,
			Edits: edit(luaPinFast, "        ordinary = false\n        break\n", ""), By: small,
		},
		{
			Name: "the fast path pins another grant of the request", Sentence: newerGrant,
			Edits: edit(luaPinFast, "if not raw or sub(raw, 1, 9) ~= sub(packed, 1, 9) then", "if not raw then"), By: small,
		},
		{
			Name: "the fast path pins at a site that is being rebuilt", Sentence: readAfterBegin,
			Edits: edit(luaPinFast, "if not record or sub(record, 1, 5) ~= ready5 then", "if not record then"), By: histories,
		},
		{
			Name: "a pin by the fast path proves what is older than the site's rebuild", Sentence: rebuiltSince,
			Edits: edit("allocator/redisinventory/confirm.go", "if bytes.Compare(p.ID.Stamp[:], built[:]) <= 0 {", "if bytes.Compare(p.ID.Stamp[:], built[:]) < -1 {"),
			By:    small,
		},
		{
			Name: "the fast path settles a place of another owner", Sentence: ownerFence,
			Edits: edit(luaSettleFast, "if not raw or owners[item] ~= want or", "if not raw or"), By: histories,
		},
		{
			Name: "the fast path settles at a site that is being rebuilt", Sentence: setAside,
			Edits: edit(luaSettleFast, "if not record or sub(record, 1, 5) ~= ready5 then", "if not record then"), By: small,
		},
	}
}
