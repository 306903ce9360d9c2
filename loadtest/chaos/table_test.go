package chaos

import (
	"math/rand/v2"

	"muster/loadtest/installation"
)

// The faults by kind.
var (
	killServer     = fault{"server killed (kill -9)", aServer, serverKilled}
	freezeServer   = fault{"server frozen while an epoch ends", aServer, serverFrozen}
	killRedis      = fault{"Redis killed (kill -9)", theRedis, redisKilled}
	freezeRedis    = fault{"Redis frozen", theRedis, redisFrozen}
	cutLog         = fault{"Redis killed, end of its file cut off", theRedis, redisLogCut}
	flushRedis     = fault{"Redis flushed", theRedis, redisFlushed}
	failOver       = fault{"Redis failed over, acknowledged writes lost", theRedis, redisFailedOver}
	killMaster     = fault{"Cluster's master killed (kill -9), twice", theRedis, masterKilled}
	cutRedisReply  = fault{"replies of Redis cut", redisLinks, redisRepliesCut}
	resetRedis     = fault{"connections to Redis reset", redisLinks, redisReset}
	delayRedis     = fault{"Redis late by 80 ms", redisLinks, redisLate}
	partRedis      = fault{"a server parted from Redis", redisLinks, redisParted}
	killLedger     = fault{"PostgreSQL killed (kill -9)", theLedger, ledgerKilled}
	freezeLedger   = fault{"PostgreSQL frozen", theLedger, ledgerFrozen}
	endSessions    = fault{"sessions of PostgreSQL terminated", theLedger, ledgerTerminated}
	cutLedgerReply = fault{"replies of PostgreSQL cut", ledgerLinks, ledgerRepliesCut}
	resetLedger    = fault{"connections to PostgreSQL reset", ledgerLinks, ledgerReset}
	delayLedger    = fault{"PostgreSQL late by 80 ms", ledgerLinks, ledgerLate}
	partLedger     = fault{"a server parted from PostgreSQL", ledgerLinks, ledgerParted}
)

var (
	plain      = installation.Options{}
	ownLedger  = installation.Options{Ledger: installation.LedgerOwn}
	replicated = installation.Options{Redis: installation.RedisReplicated}
	cluster    = installation.Options{Redis: installation.RedisCluster}
	embedded   = installation.Options{Redis: installation.RedisNone, Ledger: installation.LedgerEmbedded}
)

// scenarios are all that has a name. The first is also the smoke test; long ones come early, so that lanes end together.
var scenarios = []scenario{
	{name: "server-killed", options: plain, faults: []fault{killServer}},
	{name: "cluster-failover", options: cluster, faults: []fault{killMaster}},
	{name: "server-frozen", options: plain, faults: []fault{freezeServer}},
	{name: "redis-failed-over", options: replicated, faults: []fault{failOver}},
	{name: "ledger-parted", options: plain, faults: []fault{partLedger}},
	{name: "redis-killed", options: plain, faults: []fault{killRedis}},
	{name: "redis-frozen", options: plain, faults: []fault{freezeRedis}},
	{name: "redis-log-cut", options: plain, faults: []fault{cutLog}},
	{name: "redis-flushed", options: plain, faults: []fault{flushRedis}},
	{name: "redis-replies-cut", options: plain, faults: []fault{cutRedisReply}},
	{name: "redis-parted", options: plain, faults: []fault{partRedis}},
	{name: "ledger-killed", options: ownLedger, faults: []fault{killLedger}},
	{name: "ledger-frozen", options: ownLedger, faults: []fault{freezeLedger}},
	{name: "ledger-replies-cut", options: plain, faults: []fault{cutLedgerReply}},
	{name: "ledger-terminated", options: plain, faults: []fault{endSessions}},
	{name: "resets", options: plain, faults: []fault{resetRedis, resetLedger}},
	{name: "latency", options: plain, faults: []fault{delayRedis, delayLedger}},
	{name: "embedded-killed", options: embedded, faults: []fault{killServer}},
	{name: "embedded-disk-full", options: embedded, faults: []fault{fillDisk}, prepare: smallDisk},
}

const mixture = "mixture"

// mixable are the faults that may come together, before one Redis and a PostgreSQL of one's own.
var mixable = []fault{
	killServer, killRedis, freezeRedis, cutLog, flushRedis, cutRedisReply, resetRedis, delayRedis, partRedis,
	killLedger, freezeLedger, endSessions, cutLedgerReply, resetLedger, delayLedger, partLedger,
}

// anyScenario is a mixture of two to four faults, or one of those that have a name.
func anyScenario(rng *rand.Rand) scenario {
	if rng.IntN(5) < 2 {
		return scenarios[rng.IntN(len(scenarios))]
	}
	mix := scenario{name: mixture, options: ownLedger}
	broken := make(map[target]bool)
	for wanted := 2 + rng.IntN(3); len(mix.faults) < wanted; {
		f := mixable[rng.IntN(len(mixable))]
		if !broken[f.target] {
			broken[f.target] = true
			mix.faults = append(mix.faults, f)
		}
	}
	return mix
}
