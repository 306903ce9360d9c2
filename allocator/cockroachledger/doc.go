// Package cockroachledger keeps the ledger in CockroachDB, or in PostgreSQL 15 or later.
//
// # What it rests on
//
// Every transaction is SERIALIZABLE, single statements included: each connection asks for it and is checked for it. So a
// decision that was right on what a transaction read is right when it commits, or the transaction fails with 40001 and
// runs again as a whole. Unique and CHECK constraints are the second guard, and hold even were a decision wrong.
//
// # How a batch is recorded
//
// A confirm that the inventory pinned needs no look at other bookings: that the pin's epoch and generation and the
// hold's day revision are the ledger's proves it (DecideRecords, rule 5). The batch's proven requests are therefore
// recorded by one statement that compares these three, inserts the rows and their journal row, and names the requests
// that it left alone. Three forms of it, tried in this order:
//
//  1. RecordPinned leaves conflicts to the unique indexes, so it reads no bookings, and concurrent batches have nothing
//     to collide over. A conflict fails all of it (23505).
//  2. RecordPinnedChecked then looks each claim's key, place and person up first and leaves alone what conflicts.
//  3. What was left alone, or needs more (a move, no pin), goes through the general transaction: read a RecordState, let
//     allocator.DecideRecords decide, write what it says.
//
// Requests of one batch that share a key, place or person with an earlier one, or a site with an earlier one that is not
// pinned, wait for the general transaction, so that the answers are those of deciding one after the other.
//
// # Order of the outbox
//
// A group of transitions writes one journal row in its own transaction. Numbers are given when events are read, in order
// of recorded_at: no counter is written on the way of a booking. Two journal rows of one booking keep their order because
// a transition is dated after the last change of every row it changes, whatever the servers' clocks say (see after).
package cockroachledger
