// Package crash kills a server at every named point of the protocol and looks at what is left.
//
// For each point there are two servers before Redis and PostgreSQL. People use both; then one of them, the victim, gets the
// traffic that leads to that very step, and dies at the point by its own SIGKILL. The other goes on. The victim is started
// again, all quiet down, and the checkers judge everything that any client was told against ledger and inventory. How long
// that took is measured, from the death until inventory equals ledger and both servers serve. The same for the embedded
// server, whose memory dies with it.
//
// Where it is a client's request that leads to the point there are two deaths: one whose client insists on an answer,
// which the other server must give as if nothing had been, and one whose client leaves, so that nobody but the servers
// themselves brings to an end what was begun.
//
//	go test ./loadtest/crash                          the six points that tell most
//	go test ./loadtest/crash -crash.all               every point
//	go test ./loadtest/crash -crash.point=void/after  one; of the embedded server: -crash.point=embedded:void/after
//	go test ./loadtest/crash -crash.all -crash.hits=1,2,5
//	go test ./loadtest/crash -crash.all -crash.report=/somewhere
//
// The points are those that the program, built with the tag crashpoints, lists; each needs a row in the table of
// steps_test.go that says how to get there, or why nobody can.
package crash
