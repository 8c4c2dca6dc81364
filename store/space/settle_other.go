//go:build !linux

package space

// settle is needed for btrfs alone.
func settle(string) {}
