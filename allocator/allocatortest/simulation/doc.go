// Package simulation runs whole installations on a virtual clock, message by message, from a seed: the real allocator with
// all its background work on two or three servers, the real scripts on simulated Redis nodes, and the model of the ledger.
//
// # How it is one schedule
//
// Everything runs in a testing/synctest bubble. A server's only ways out are its calls of the inventory and the ledger, and
// each of these is a message: it waits until the scheduler lets it arrive. The scheduler acts only when every goroutine is
// blocked, and then does one thing: deliver one message, break or mend something, send one citizen on, or let time pass. So
// between two of its steps exactly one message has arrived or exactly one timer fired, and what a server does about it ends
// in new messages.
//
// What a seed fixes: all choices of the scheduler; those of each citizen, from a source of its own; the identifiers that
// servers draw. What Go would decide (in which order goroutines that become ready at one instant reach the scheduler) is
// taken out by putting new messages in the order of their content. A digest of every step shows that a seed replays.
//
// # What happens to a message
//
// It arrives; or is lost; or arrives and its answer is lost, told at once or by silence; or arrives twice, the second time
// whenever the scheduler likes; or arrives long after its sender was told that it failed; or its server dies before or
// after its effect. Messages overtake each other. See fate.
//
// # What else happens
//
// Redis restarts with the data of a moment ago or with none, is flushed, or fails over to a replica that lags behind while
// some servers still talk to the old primary; clocks of servers and nodes differ; servers are cut off from Redis or the
// ledger; days are republished, sessions stopped; sites are rebuilt by several at once. See trouble.go. Each seed draws
// which of these it allows and how often, so that rare combinations come up (swarm testing).
//
// # What is checked
//
// When the steps are used up everything heals, citizens finish, and within 60 virtual seconds inventory and ledger must
// agree. Then every checker of package checkers looks at what citizens were told and at what is left.
package simulation
