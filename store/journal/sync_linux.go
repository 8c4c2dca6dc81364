package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData syncs what was written; the file's size is already there.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
