// Package webhooks sends events to publishers who subscribed, by the Standard Webhooks specification.
//
// A subscription is a document in the ledger with a cursor in the outbox: the outbox is its queue. Steps, for each
// subscription on each server:
//
//  1. Look through the feed from where this server's last look ended, in memory, until an event is wanted (feed.go, batch.go).
//  2. Take the lease: write the next version of the document with this server's name. Who is slower has an older version,
//     and is refused.
//  3. Send a batch: one site's messages in order, several sites' at the same time (deliver.go).
//  4. Note what became of it: move the cursor to before the first message that was not taken, remember which later ones
//     were, and after a failure when to try again (schedule.go). Where more is to be sent, the lease is kept.
//
// What holds:
//
//   - The cursor passes an event only when it was taken, or was not wanted. So each is delivered at least once.
//   - A message is sent only when all earlier ones of its site were taken. So they come in order, also after a server died:
//     the next one begins before the first that may be missing.
//   - No message is begun in the second half of a lease, and an answer is not waited for longer than the rest of it. So two
//     servers never send to one endpoint at a time while the ledger's clock runs as theirs do; and if it does not, the
//     version lets only one of them note anything.
//   - Memory is bounded by subscriptions times a batch, and a fixed number of pages.
package webhooks
