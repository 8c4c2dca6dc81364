//go:build linux && (amd64 || arm64)

package torture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"tram/store/seal"
)

// volume is a small file system: one in memory, or an image that is mounted by a
// loop device. It needs root.
type volume struct {
	kind  string
	mib   int
	image string
	dir   string
}

func (v *volume) mount(ctx context.Context) error {
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return err
	}
	if v.kind == "tmpfs" {
		return unix.Mount("tmpfs", v.dir, "tmpfs", 0, fmt.Sprintf("size=%dm", v.mib))
	}
	f, err := os.Create(v.image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(int64(v.mib)<<20), f.Close()); err != nil {
		return err
	}
	format := []string{"mkfs." + v.kind, "-q", v.image}
	if v.kind == "btrfs" {
		format = []string{"mkfs.btrfs", "-q", "--mixed", v.image} // as it is made so small
	}
	for _, args := range [][]string{format, {"mount", "-o", "loop", v.image, v.dir}} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	return nil
}

func (v *volume) unmount() error {
	if err := unix.Unmount(v.dir, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", v.dir, err)
	}
	if v.kind == "tmpfs" {
		return nil
	}
	return os.Remove(v.image)
}

// free is what is left, in KiB.
func (v *volume) free() (int, error) {
	var s unix.Statfs_t
	err := unix.Statfs(v.dir, &s)
	return int(s.Bavail) * int(s.Bsize) >> 10, err
}

// take lays a file of so many KiB there, which give removes.
func (v *volume) take(kib int) error { return v.lay("taken", kib) }

// give removes all that is not the store's. Some file systems give the room back
// only with a sync.
func (v *volume) give() error {
	err := errors.Join(os.RemoveAll(filepath.Join(v.dir, "taken")), os.RemoveAll(filepath.Join(v.dir, "eaten")))
	d, opened := os.Open(v.dir)
	if err = errors.Join(err, opened); err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}

// leave takes all but so many KiB.
func (v *volume) leave(kib int) error {
	free, err := v.free()
	if err != nil {
		return err
	}
	for step := max(0, free-kib); step > 0; step /= 2 { // the last blocks go in small pieces
		if err := v.lay("eaten", step); err != nil && !seal.Full(err) {
			return err
		}
		if free, err = v.free(); err != nil || free <= kib {
			return err
		}
	}
	return nil
}

// lay adds so many KiB to a file that does not shrink when it is stored.
func (v *volume) lay(name string, kib int) error {
	f, err := os.OpenFile(filepath.Join(v.dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for range kib {
		if _, err := f.Write(make([]byte, 1<<10)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// eat takes 64 KiB now and again, until all is taken or it is stopped.
func (v *volume) eat() (stop func() error) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-quit:
				done <- nil
				return
			case <-time.After(10 * time.Millisecond):
			}
			if err := v.lay("eaten", 64); err != nil && !seal.Full(err) {
				done <- err
				return
			}
		}
	}()
	return func() error { close(quit); return <-done }
}
