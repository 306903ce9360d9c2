package cockroachledger_test

import (
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/cockroachledger"
)

// open makes a ledger in the database at url, migrated; it is closed with the test.
func open(t testing.TB, url string, options cockroachledger.Options) *cockroachledger.Ledger {
	t.Helper()
	l, err := cockroachledger.Open(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSuiteOnPostgreSQL(t *testing.T) {
	ledgersuite.Run(t, func(t *testing.T) allocator.Ledger {
		return open(t, servers.Postgres(t), cockroachledger.Options{})
	})
}

func TestSuiteOnCockroachDB(t *testing.T) {
	if _, ok := servers.Cockroach(t); !ok {
		t.Skip("MUSTER_TEST_COCKROACH_URL names no CockroachDB")
	}
	ledgersuite.Run(t, func(t *testing.T) allocator.Ledger {
		url, _ := servers.Cockroach(t)
		return open(t, url, cockroachledger.Options{})
	})
}

func zone(t testing.TB) *time.Location {
	t.Helper()
	z, err := time.LoadLocation("UTC")
	if err != nil {
		t.Fatal(err)
	}
	return z
}
