// Package admission decides what a server starts when more is asked of it than it can do. It knows nothing of HTTP or of the
// protocol: a Gate lets work of several classes in, a Breaker keeps calls from a dependency that is dead.
//
// # Gate
//
// Classes are in order of precedence: whoever would finish goes before whoever would begin. Each class has
//
//   - a limit of what runs at once, between a floor and a ceiling, which follows the latency of what it depends on: a
//     dependency that answers late gets less at once, and more again when it recovers;
//   - a reserve of that which no other class can take;
//   - a short queue. While it is calm the oldest is next and waits for a bounded time. When the queue has not been empty for as
//     long as one may wait in it, more comes than goes: from then on the newest is next, because its sender is the likeliest
//     to be there still, and nobody waits longer than the target.
//
// Beyond their reserves the classes share a number of places, and none takes one while a higher class waits for its own. So
// where confirms pile up before a slow ledger no new holds are granted, which would be its next confirms.
//
// What waits is dropped before it starts where its deadline cannot be met any more, by the time that such work takes at present.
//
// # Limit
//
// The limit goes down in proportion to how far the mean latency is above what is allowed, and up by the square root of itself
// where it was used. Allowed is the target, or three times the base where that is more: a far dependency is not a slow one. The base
// is the latency of the dependency when nothing queues before it. So it only ever goes down, but for times in which no more
// than the floor runs: then the queue cannot be of our making, and the base follows what is measured.
package admission
