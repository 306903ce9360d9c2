package mutants

import (
	"fmt"
	"strings"
)

// exactly is the pattern of a test, and of some of its parts where any are named.
func exactly(test string, parts ...string) string {
	pattern := "^" + test + "$"
	if len(parts) > 0 {
		pattern += "/^(" + strings.ReplaceAll(strings.Join(parts, "|"), " ", "_") + ")$"
	}
	return pattern
}

func suite(name, pkg, test string, parts ...string) Check {
	return Check{Name: name + ": " + strings.Join(parts, ", "), Package: pkg, Run: exactly(test, parts...)}
}

// scripts is the inventory suite on the real scripts, run by miniredis.
func scripts(parts ...string) Check {
	return suite("inventory suite on the scripts", "allocator/redisinventory", "TestSuiteOnScriptedRedis", parts...)
}

// general is the same without the fast paths of the scripts.
func general(parts ...string) Check {
	return suite("inventory suite on the scripts without fast paths", "allocator/redisinventory", "TestSuiteWithoutFastPaths", parts...)
}

// model is the inventory suite on the model, with which the scripts are compared.
func model(parts ...string) Check {
	return suite("inventory suite on the model", "allocator/memoryinventory", "TestSuite", parts...)
}

// rule is the ledger suite on the model of a ledger: what every ledger decides.
func rule(parts ...string) Check {
	return suite("ledger suite on the model", "allocator/allocatortest/memoryledger", "TestLedger", parts...)
}

// sqlite is the ledger suite on SQLite.
func sqlite(parts ...string) Check {
	return suite("ledger suite on SQLite", "allocator/sqliteledger", "TestLedger", parts...)
}

const postgresURL = "MUSTER_TEST_POSTGRES_URL"

// postgres is the ledger suite on PostgreSQL.
func postgres(parts ...string) Check {
	c := suite("ledger suite on PostgreSQL", "allocator/cockroachledger", "TestSuiteOnPostgreSQL", parts...)
	c.Backend = postgresURL
	return c
}

// postgresTest is a test of the PostgreSQL ledger's own.
func postgresTest(test string) Check {
	return Check{Name: test, Package: "allocator/cockroachledger", Run: exactly(test), Backend: postgresURL}
}

// sqliteTest is a test of the SQLite ledger's own.
func sqliteTest(test string) Check {
	return Check{Name: test, Package: "allocator/sqliteledger", Run: exactly(test)}
}

// redis is a test that starts redis-server processes of its own.
func redis(test string) Check {
	return Check{Name: test, Package: "allocator/redisinventory", Run: exactly(test), Backend: "MUSTER_TEST_REDIS_SERVER"}
}

// scriptTest is a test of the scripts' own, run by miniredis.
func scriptTest(test string) Check {
	return Check{Name: test, Package: "allocator/redisinventory", Run: exactly(test)}
}

// core is one or more of the core's own tests.
func core(tests ...string) Check {
	return Check{Name: strings.Join(tests, ", "), Package: "allocator", Run: "^(" + strings.Join(tests, "|") + ")$"}
}

// seeds is how many seeds of the simulator a bug is tried on; those that name it as a check are caught by several of them.
const seeds = 200

// simulator is the deterministic simulator: whole servers over the real scripts, from the first seed on.
func simulator(seeds int) Check {
	return Check{Name: "simulator", Package: "allocator/allocatortest/simulation", Run: exactly("TestSimulate"), Args: []string{fmt.Sprintf("-simulate.seeds=%d", seeds)}}
}
