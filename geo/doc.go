// Package geo answers two questions: where is this postcode, and what is near
// this point? It knows nothing of booking.
//
//   - Point is a place on the earth; DistanceMetres measures between two.
//   - Index finds the nearest of many places, nearest first (a k-d tree).
//   - Postcodes maps UK postcodes to points. EmbeddedPostcodes has those of
//     Great Britain; LoadPostcodes reads more of them, or newer ones, from CSV.
//
// Index and Postcodes never change once built: share them freely between
// goroutines, and replace them whole. docs/geo.md tells sizes, precision,
// licence and how to regenerate the embedded postcodes.
package geo
