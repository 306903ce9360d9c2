package main

import (
	"fmt"
	"testing"

	"muster/allocator"
)

// Guesses of a date of birth are bounded by the caller's address. Behind a proxy that is the one that the proxy wrote: without
// it, thirty people a minute would use up everybody's allowance.
func TestLookupsAreBoundedByTheCallersAddress(t *testing.T) {
	guess := func(s *server, n int, forwarded string) answer {
		path := fmt.Sprintf("/v1/bookings/%s?dateOfBirth=1948-05-17", allocator.BookingKey(n+1).Reference())
		return s.call("GET", path, nil, "X-Forwarded-For", forwarded)
	}
	behind := serve(t, append(embedded(t), "--address-header", "X-Forwarded-For")...)
	for n := range 30 {
		guess(behind, n, "203.0.113.7").want(404, allocator.CodeBookingUnknown)
	}
	guess(behind, 30, "203.0.113.7").want(429, allocator.CodeRateLimited)
	guess(behind, 31, "203.0.113.8, 203.0.113.7").want(429, allocator.CodeRateLimited)
	guess(behind, 32, "203.0.113.7, 198.51.100.9").want(404, allocator.CodeBookingUnknown)

	direct := serve(t, embedded(t)...) // without the flag nobody is believed
	for n := range 30 {
		guess(direct, n, fmt.Sprintf("203.0.113.%d", n)).want(404, allocator.CodeBookingUnknown)
	}
	guess(direct, 30, "203.0.113.99").want(429, allocator.CodeRateLimited)
}
