//go:build crashpoints

package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"muster/allocator"
	"muster/allocator/cockroachledger"
	"muster/allocator/crashpoints"
)

// The form of seams.go that dies where the environment says.

var crash = planCrash()

// planCrash runs before anything else of the program.
func planCrash() *crashpoints.Plan {
	if os.Getenv(crashpoints.ListVariable) != "" {
		crashpoints.List(os.Stdout)
		os.Exit(exitDone)
	}
	plan, err := crashpoints.FromEnvironment(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "muster:", err)
		os.Exit(exitUsage)
	}
	plan.SQLite()
	return plan
}

type crashingLedger struct {
	allocator.Ledger
	whole migratable
}

func (l crashingLedger) Migrate(ctx context.Context) error {
	return crash.Around("migrate", func() error { return l.whole.Migrate(ctx) })
}

func seamLedger(ledger migratable) migratable { return crashingLedger{crash.Ledger(ledger), ledger} }

func seamInventory(inventory allocator.Inventory) allocator.Inventory {
	return crash.Inventory(inventory)
}

func seamListener(listener net.Listener) net.Listener { return crash.Listener(listener) }

func ledgerOptions() cockroachledger.Options { return cockroachledger.Options{Dial: crash.Dial} }
