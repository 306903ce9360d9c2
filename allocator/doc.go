// Package allocator allocates booking slots: vocabulary, rules and order of operations. It knows no network, no wall clock
// and no store; those stand behind the ports in ports.go and ledger.go.
//
// # Promises
//
//	P1   At most one live booking per place; live bookings of a slot never exceed what was published, except those that a
//	     later capacity cut left unsupported.
//	P2   An acknowledged booking is in the ledger ever after, until an authorised cancel or move.
//	P3   A place has at most one live hold per epoch; an acknowledged hold can be confirmed until its advertised deadline, or
//	     the client is told why not, with a reason that is counted.
//	P4   A pin ends only on the ledger's evidence.
//	P5   After faults end and traffic stops, inventory = ledger for every slot within 60 s; no capacity leaks.
//	P6   Same key, same body: same answer. One hold: at most one booking per claim.
//	P7   Several claims of one hold: all or none, at hold and at confirm, on one site or across sites.
//	P8   No claim is refused while a feasible seating exists; no booking that fits is reported unsupported.
//	P9   No safety rule reads an application clock.
//	P10  Queues, batches, retries, bodies and goroutines are bounded at any offered load.
//	P11  Every answer comes from a closed list of codes; "unknown" becomes definite by repeating the request.
//	P12  Every booking and capacity transition has exactly one event.
//
// # The life of a place
//
//	          hold                pin              record, settle
//	free ───────────────► held ─────────► pinned ─────────────────► booked
//	 ▲                     │                │                         │
//	 │ release, expiry     │                │ void, by the ledger     │ cancel, move
//	 └─────────────────────┴────────────────┴─────────────────────────┘
//
// # Where to read
//
// The rule: seating.go. The words: catalogue.go, clock.go, ids.go, booking.go, token.go. What others must do: ports.go,
// ledger.go. What every ledger decides: recording.go, publishing.go. The steps: holding.go, releasing.go, confirming.go,
// reseating.go, managing.go, capacity.go. What goes on by itself: epochs.go, rebuild.go, resolver.go, reconcile.go,
// refresh.go, follow.go. Search: directory.go, entry.go, search.go. docs/protocol.md tells the whole story.
package allocator
