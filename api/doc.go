// Package api is the HTTP edge: it admits requests, decodes them strictly, hands them to an Engine and writes the
// answers. It decides nothing about bookings.
//
// What it promises:
//
//   - Every refusal is a problem document (RFC 9457) with a code from a closed list; problem.go maps codes to statuses.
//   - Bodies, headers, queues, waits and concurrency are bounded; a request that is too large is refused unread.
//   - No byte of a request outlives its handler: all that the Engine receives is copied first.
//   - A panic costs one request, never the server.
//   - Personal data, tokens and query strings reach no log and no metric: routes appear as patterns.
//   - Replies are not to be stored by caches, but for the few that are the same for everybody.
//   - openapi.yaml describes every route, and every operation of it is a route; tests compare both ways.
package api
