package seal

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// SyncDir does nothing: Windows has no sync of a folder, and NTFS journals its
// names itself.
func SyncDir(dir string) error { return nil }

// Full reports whether a write failed for want of room: on the disk, in the
// user's quota, or because the file system holds no larger file.
func Full(err error) bool {
	for _, e := range []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED, windows.ERROR_FILE_TOO_LARGE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// giveTo does nothing: on Windows a file takes its rights from its folder.
func giveTo(*os.File, string) error { return nil }
