package cockroachledger

import (
	"testing"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/allocatortest/servers"
)

// A replaced incarnation may come back once its successor is no longer young.
func TestQuarantineEnds(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) { quarantineEnds(t, servers.Postgres(t)) })
	t.Run("CockroachDB", func(t *testing.T) {
		url, ok := servers.Cockroach(t)
		if !ok {
			t.Skip("no CockroachDB is given")
		}
		quarantineEnds(t, url)
	})
}

func quarantineEnds(t *testing.T, url string) {
	l := openOn(t, url, Options{})
	ledgersuite.QuarantineEnds(t, l, func() {
		const older = "UPDATE shard_epochs SET opened_at = opened_at - $1::INT8 * INTERVAL '1 second'"
		if _, err := l.pool.Exec(t.Context(), older, int64(allocator.Quarantine.Seconds())); err != nil {
			t.Fatal(err)
		}
	})
}
