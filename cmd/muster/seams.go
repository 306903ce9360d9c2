//go:build !crashpoints

package main

import (
	"net"

	"muster/allocator"
	"muster/allocator/cockroachledger"
)

// This file and crashpoints.go are the two forms of the seams at which a crash can be planned: none here, in the program
// that people run.

func seamLedger(ledger migratable) migratable { return ledger }

func seamInventory(inventory allocator.Inventory) allocator.Inventory { return inventory }

func seamListener(listener net.Listener) net.Listener { return listener }

func ledgerOptions() cockroachledger.Options { return cockroachledger.Options{} }
