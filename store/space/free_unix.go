//go:build !windows

package space

import "golang.org/x/sys/unix"

// Free tells the free and all bytes of the disk that a folder is on. Free leaves out
// what is kept for the administrator.
func Free(folder string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, 0, err
	}
	size := int64(s.Bsize)
	return int64(s.Bavail) * size, int64(s.Blocks) * size, nil
}
