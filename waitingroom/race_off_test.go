//go:build !race

package waitingroom

const raceDetector = false
