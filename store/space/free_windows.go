package space

import "golang.org/x/sys/windows"

// Free tells the free and all bytes of the disk that a folder is on, within this
// account's quota.
func Free(folder string) (free, total int64, err error) {
	path, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return 0, 0, err
	}
	var mine, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(path, &mine, &all, &unused); err != nil {
		return 0, 0, err
	}
	return int64(mine), int64(all), nil
}
