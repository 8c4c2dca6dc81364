package space

import "runtime/debug"

// Memory lets the program collect garbage less often while it uses less than limit
// bytes of memory, and more often above: a few megabytes of live data and a busy
// disk make Go's own rhythm cost as much as the work. It is for a program's start; idle
// memory goes back to the system as before.
func Memory(limit int64) {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(limit)
}

// StationMemory is the limit for a station's PC, and CentreMemory for the centre's, in
// bytes.
const (
	StationMemory = 256 << 20
	CentreMemory  = 1 << 30
)
