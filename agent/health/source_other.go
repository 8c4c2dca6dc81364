//go:build !linux

package health

import "time"

// steady is the time since start by Go's monotonic clock, which on Windows goes
// on while the machine sleeps.
func steady(start time.Time) time.Duration { return time.Since(start) }
