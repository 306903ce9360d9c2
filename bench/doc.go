// Package bench measures muster beside what it replaces, side by side in one run.
//
// # What is compared
//
// An engine is a whole system that answers muster's hold and confirm: a server process of its own, and Redis and PostgreSQL
// where it uses them. Ours is `muster serve`, before Redis and PostgreSQL or embedded; the baselines (package baseline) are
// real and durable too, and do less per flow. All are driven by the same generator over loopback with the same bodies.
//
// # How
//
// Every engine gets a database and files of its own once, filled with the same world: the real sites with some slots each,
// and for each repetition one large slot, and one of 150 places. Then engines take turns, A B C A B C …, so that a change of
// the machine's mood meets all of them. In each turn the engine's server is started, left to catch up, warmed up, measured,
// audited and stopped; the others are not running.
//
// In a closed loop each client sends its next request when the last was answered, so latencies of an overloaded engine grow
// with the number of clients; times count from the send. In an open loop (steady, surge) flows are planned at a rate that is
// the same for all engines, and times count from the plan, whether or not a client was free to send by then: who falls behind
// shows how long people wait. Flows that were due and had not begun at all are told as well. A storm is a number of people
// who each try once. A search is checked against the ten sites that are the nearest ones indeed.
//
// Only what ended within the measured window counts. CPU is what each process used in that window by its own account: the
// server's and PostgreSQL's (the postmaster, its living children, and what ended children left to it) from /proc, Redis's from
// INFO, the generator's from getrusage. What all other processes of the machine used meanwhile is told too: where that is
// much, rates mean little, and CPU per flow somewhat more. Allocations are those of our server by its metrics, Redis's bytes
// those of INFO.
//
// The generator shares the cores with what it measures. It writes requests by hand and reads as much of HTTP as servers
// answer (connection), one connection and one goroutine a client.
//
// # What makes a figure count
//
// After each turn the engine's books are read, all of them. A slot with more bookings than capacity, a place or a person
// booked twice, a reference given twice, an acknowledged booking that is not there, or one that nobody asked for: the figure
// does not count, and the run fails. So does a turn with more than one failed flow in a hundred. `fsync` and
// `synchronous_commit` of PostgreSQL must be on. The no-op keeps no books: it shows what the generator and HTTP alone cost.
package bench
