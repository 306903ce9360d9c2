// Package crash kills a server at every named point of the protocol and looks at what is left.
//
// For each point there are two servers before Redis and PostgreSQL. People use both; then one of them, the victim, gets the
// traffic that leads to that very step, and dies at the point by its own SIGKILL. The other goes on. The victim is started
// again, all quiet down, and the checkers judge everything that any client was told against ledger and inventory. How long
// that took is measured, from the death until inventory equals ledger and both servers serve. The same for the embedded
// server, whose memory dies with it.
//
//	go test ./loadtest/crash                          the six points that tell most
//	go test ./loadtest/crash -crash.all               every point
//	go test ./loadtest/crash -crash.point=void/after  one; the embedded one: -crash.point=embedded:void/after
//	go test ./loadtest/crash -crash.all -crash.hits=1,2,5
//	go test ./loadtest/crash -crash.all -crash.report=/somewhere
//
// The points are those that the program, built with the tag crashpoints, lists; each needs a row in the table of
// steps_test.go that says how to get there, or why nobody can.
package crash
