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
