package seal

// SyncDir does nothing: Windows has no sync of a folder, and NTFS journals its
// names itself.
func SyncDir(dir string) error { return nil }
