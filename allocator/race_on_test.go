//go:build race

package allocator

const raceEnabled = true
