package storage

import "testing"

func TestMountOf(t *testing.T) {
	const mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,size=1 0 0\n/dev/b /tmp/x btrfs ro 0 0\n/dev/c /tmp/x xfs rw 0 0\nbad\n"
	for path, want := range map[string]string{
		"/home/a": "ext4 (rw)", "/tmp": "tmpfs (rw,size=1)", "/tmpfile": "ext4 (rw)", "/tmp/x/y": "xfs (rw)", "/": "ext4 (rw)",
	} {
		if got := mountOf(mounts, path); got != want {
			t.Errorf("%s is on %q, want %q", path, got, want)
		}
	}
	if got := mountOf("", "/"); got != "an unknown file system" {
		t.Errorf("nothing mounted: %q", got)
	}
}
