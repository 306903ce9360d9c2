package sqliteledger

import (
	"testing"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
)

// A replaced incarnation may come back once its successor is no longer young.
func TestQuarantineEnds(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ledgersuite.QuarantineEnds(t, l, func() {
		err := l.write(t.Context(), func(t *tx) error {
			return t.exec("UPDATE shard_epochs SET opened_at = opened_at - ?", allocator.Quarantine.Microseconds())
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
