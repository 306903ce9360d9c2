// Package profile holds the shapes of load that countries have seen, and those that find out what a server can bear.
//
// A shape is a Curve: people who arrive a second, over time, drawn as straight lines between points. A curve is a Pacer of
// Vegeta, pure and without a clock of its own: the same curve plans the same arrivals always. How many have arrived at an
// instant is the area below it, worked out in closed form, so that a plan of a million people does not drift.
//
// What people do when they have arrived is a Mix.
package profile
