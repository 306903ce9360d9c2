//go:build !race

package inventorysuite

const raceEnabled = false
