//go:build !linux

package chaos

import (
	"testing"

	"muster/loadtest/installation"
)

func smallDisk(t *testing.T, _ *installation.Options) {
	t.Helper()
	t.Skip("a full disk needs a small file system, which this test knows how to mount on Linux only")
}

var fillDisk = fault{"disk of the embedded ledger full", theLedger, func(*stage) {}}
