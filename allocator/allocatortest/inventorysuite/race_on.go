//go:build race

package inventorysuite

const raceEnabled = true
