// Package attack sends the citizens of a load test to a server: each arrives when the profile says, and walks through a journey
// whose next step depends on what they were told.
//
// # Honest latency
//
// Arrivals are an open loop: they are planned by the profile's curve before anything is sent, and no answer delays them. Within
// a journey, the next request is planned for the moment at which its citizen has read the last answer and thought. Every
// waiting time counts from the planned moment. So a server that stalls is charged for all who were due meanwhile, and so is a
// generator that cannot keep up: it measures how late it sends (lag) and how much CPU it uses, and a run in which the generator
// was the limit says so and fails.
//
// # Two engines
//
// Vegeta: each request is a hit of a vegeta.Attacker. Its Pacer waits until the scheduler has a request that is due, its
// Targeter hands that request out, and its Result comes back to the journey by the sequence number that Vegeta sends along.
// Vegeta starts workers as they are needed and reads each answer whole. Lean: fasthttp's client with as many workers as are
// needed, for several times the requests of the same CPU. The citizens are the same.
package attack
