package space

import (
	"os"

	"golang.org/x/sys/unix"
)

// settle lets the file system of a folder write out what it still has to do. What
// hinders it will hinder the write that follows as well, and is told there.
func settle(folder string) {
	if d, err := os.Open(folder); err == nil {
		_ = unix.Syncfs(int(d.Fd()))
		_ = d.Close()
	}
}
