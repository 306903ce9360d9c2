package mutants

const luaGate = "  if stored == INCARNATION then return nil end\n"

// epochBugs break what guards against lost memory, the first half of step 8, and what step 9 says of outages.
func epochBugs() []Bug {
	return []Bug{
		{
			Name: "no epoch gate", Sentence: epochGate,
			Edits: edit(luaCommon, luaGate, "  if true then return nil end\n"),
			By:    []Check{scripts("epochs", "loss")},
		},
		{
			Name: "a shard without its epoch key goes on", Sentence: epochKey,
			Edits: edit(luaCommon, "  if not stored then return redis.error_reply('LOST the shard has no epoch') end\n", "  if not stored then return nil end\n"),
			By:    []Check{scripts("loss")},
		},
		{
			Name: "an older epoch replaces a newer one", Sentence: epochGate,
			Edits: edit("allocator/redisinventory/scripts/open.lua", "  if n > EPOCH then return redis.error_reply('STALE the shard has epoch ' .. string.format('%.0f', n)) end\n", ""),
			By:    []Check{scripts("epochs")},
		},
		{
			Name: "NOSCRIPT falls back to EVAL", Sentence: evalshaOnly,
			Edits: edit("allocator/redisinventory/redisinventory.go", "args...).Result()\n\tif err != nil {\n",
				"args...).Result()\n\tif err != nil && redis.HasErrorPrefix(err, \"NOSCRIPT\") {\n\t\treply, err = inv.nodes.client.Eval(ctx, scripts[m].text, []string{inv.keys[shard].epoch}, args...).Result()\n\t}\n\tif err != nil {\n"),
			By: []Check{redis("TestForgottenScriptsAreALoss")},
		},
		{
			Name: "the incarnation does not name its node", Sentence: oneRunID,
			Edits: edit("allocator/redisinventory/scripts.go", `return fmt.Sprintf("%d %s", epoch, identity)`, `return fmt.Sprintf("%d %s", epoch, identity[:0])`),
			By:    []Check{redis("TestRestartIsALoss")},
		},
		{
			Name: "new connections are not checked", Sentence: newConnections,
			Edits: edit("allocator/redisinventory/nodes.go", "if ctx.Value(opening{}) != nil || !inv.openAt(address) {", "if ctx.Value(opening{}) != nil || !inv.openAt(address) || address != \"\" {"),
			By:    []Check{redis("TestDemotedAndPromotedAgain")},
		},
		{
			Name: "a superseded incarnation gets an epoch again at once (SQLite)", Sentence: oneRunID,
			Edits: edit("allocator/sqliteledger/catalogue.go", "t.now-openedAt < allocator.Quarantine.Microseconds()", "t.now-openedAt < 0"),
			By:    []Check{sqlite("Epochs")},
		},
		{
			Name: "a superseded incarnation gets an epoch again at once (PostgreSQL)", Sentence: oneRunID,
			Edits: edit("allocator/cockroachledger/catalogue.go", "age < allocator.Quarantine:", "age < 0:"),
			By:    []Check{postgres("Epochs")},
		},
		{
			Name: "a superseded incarnation never gets an epoch again", Sentence: quarantine,
			Edits: edit("allocator/sqliteledger/catalogue.go", "t.now-openedAt < allocator.Quarantine.Microseconds()", "t.now-openedAt >= 0"),
			By:    []Check{sqliteTest("TestQuarantineEnds")},
		},
		{
			Name: "an epoch is opened without comparing (SQLite)", Sentence: compareAndSet,
			Edits: edit("allocator/sqliteledger/catalogue.go", "\t\tif e.Epoch != expected {\n\t\t\treturn nil\n", "\t\tif expected = e.Epoch; e.Epoch != expected {\n\t\t\treturn nil\n"),
			By:    []Check{sqlite("Epochs")},
		},
		{
			Name: "an epoch is opened without comparing (PostgreSQL)", Sentence: compareAndSet,
			Edits: edit("allocator/cockroachledger/catalogue.go", "\t\tcase present.Epoch != expected:\n", "\t\tcase present.Epoch != expected && present.Epoch < 0:\n"),
			By:    []Check{postgres("Epochs")},
		},
		{
			Name: "reconcile does not compare epochs", Sentence: epochCompared,
			Edits: edit("allocator/reconcile.go", "\t\t\ta.epochs.compare(epochs)\n", "\t\t\t_ = epochs\n"),
			By:    []Check{core("TestMendedEpochOnlyInLedger")},
		},
		{
			Name: "an expired token confirms while Redis is away", Sentence: tokenInTime,
			Edits: edit("allocator/reseating.go", "\tif now.UnixMilli() >= l.DeadlineMs+l.GraceMs {\n\t\treturn CodeHoldExpired, nil\n", "\tif now.IsZero() {\n\t\treturn CodeHoldExpired, nil\n"),
			By:    []Check{core("TestOutages")},
		},
		{
			Name: "a hold is granted while the ledger is away", Sentence: quietLedger,
			Edits: edit("allocator/holding.go", "\tif a.ledgerQuiet() {\n", "\tif a.ledgerQuiet() && len(r.Claims) == 0 {\n"),
			By:    []Check{core("TestOutages")},
		},
	}
}
