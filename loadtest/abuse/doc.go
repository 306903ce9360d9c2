// Package abuse does to a running server what people do who want what is not theirs, and counts how little they get of it: `make
// attack`. Places are squatted from one address and from a thousand, by guests, by one ticket and by proofs; what is free is
// enumerated; references, dates of birth and people's bookings are guessed; tokens are forged and proofs replayed; connections
// are held open. Beside them five thousand honest people come through one address, and every one of them must be booked.
//
// Addresses are told by --address-header, so one machine is a thousand. The verdict is on counts, and no figure depends on how
// fast the machine is; in small it runs among the tests.
package abuse
