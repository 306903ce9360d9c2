// Package overload finds out what an installation does when more is asked of it than it can do: `make overload`. It starts a
// server before a Redis that is far away and a PostgreSQL, finds the load at which no more bookings come of more people (the
// knee), and then sends the knee's people, and two, five and ten times as many, each time between a quiet time before and one
// after. A person who is refused leaves, so the load is what the plan says.
//
// What makes the knee is the way to Redis: a server asks it for at most 128 holds in one call, one call after the other, so a
// known delay makes a known capacity that is far below what the machine can do. Generator and server share the machine, and only so can the
// generator send ten times the knee.
//
// In small it runs among the tests. There the verdict is about counts: nobody is refused without being told when to come back,
// nobody who has a hold is refused the confirm for want of room, and most of the peak is still booked.
package overload
