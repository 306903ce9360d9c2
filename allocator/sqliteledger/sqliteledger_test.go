package sqliteledger_test

import (
	"testing"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/sqliteledger"
)

func TestLedger(t *testing.T) {
	ledgersuite.Run(t, func(t *testing.T) allocator.Ledger { return open(t, t.TempDir(), sqliteledger.Options{}) })
}

// open opens and migrates a ledger for one test.
func open(t testing.TB, path string, options sqliteledger.Options) *sqliteledger.Ledger {
	t.Helper()
	l, err := sqliteledger.Open(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}
