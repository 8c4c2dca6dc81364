package health

import (
	"time"

	"golang.org/x/sys/unix"
)

// steady is the time since the machine started, suspended or not: Go's own
// monotonic clock stands still while a Linux machine sleeps, which would look
// like a jump of the wall clock.
func steady(start time.Time) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(start)
	}
	return time.Duration(t.Nano())
}
