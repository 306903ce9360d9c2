package memoryledger_test

import (
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/allocatortest/memoryledger"
)

func TestLedger(t *testing.T) {
	ledgersuite.Run(t, func(*testing.T) allocator.Ledger { return memoryledger.New(time.Now) })
}

func TestQuarantineEnds(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	l := memoryledger.New(func() time.Time { return now })
	ledgersuite.QuarantineEnds(t, l, func() { now = now.Add(allocator.Quarantine) })
}
