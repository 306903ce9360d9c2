// Package waitingroom decides who may book next when more people come than can be served at once. It knows nothing of HTTP, and
// reaches the ledger through one small port.
//
// # Order
//
// Nobody has a row anywhere. A ticket is signed, and says when its owner came; so the order of all people is the order of
// these instants, and no server need remember anybody. Who comes before the room opens is not first by being early: the
// ticket then says nothing, and a draw gives it an instant in the hour before the opening (see draw.go). So those who were
// drawn come before all who arrive later, and one line holds both.
//
// The room's frontier is an instant too: whoever lies before it may enter. It only moves on. How many wait is a count of
// arrivals by time (Crowd), which the servers add up: it says how many lie between the frontier and a ticket, and how far the
// frontier must go to call a number of people. An arrival that a server counted and lost in a crash makes these numbers wrong
// by one. It changes nobody's place.
//
// # How many are called
//
// Once a second, by one of the servers, whichever is first (step in control.go). Two bounds, and the smaller one counts:
//
//   - what the engine can do: a rate that rises slowly while it is used and the engine is at ease, and falls when holds or
//     confirms are refused or slow;
//   - what is left: those who were called and are still expected, and those who are inside and hold nothing yet, must not be
//     more than the places that are free.
//
// Both are told in people who come. How many of those who were called do come is measured, and made up for: a place that
// somebody abandoned holds up nobody. Who was called may enter for half an hour, and not after that, or every ticket that was
// ever called could be used in one moment.
//
// # What servers share
//
// One document in the ledger, changed by comparing and setting. Each server adds what it counted since its last success, under a
// number, so that an answer which was lost is not counted twice. Each acts on the document as it was stored, never on what it
// would have liked to store; so a frontier that was acted on is never taken back. While the ledger does not answer, nobody
// new is called, and everybody keeps their place. The inventory has no part in it.
package waitingroom
