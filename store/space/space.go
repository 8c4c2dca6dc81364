// Package space watches the room on a disk and keeps some of it back.
//
// It owns the limits from which on less and less is taken in, and a ballast file
// that is given up when the disk is full, so that what must still be written, such as
// that the centre has an entry, can be. It promises that the ballast takes real
// room. It does not know what is written.
package space

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// State is how much room a disk has.
type State int

// The states, each with less room than the one before.
const (
	Enough State = iota
	// Low is for a warning.
	Low
	// NoBlobs is too little for attachments.
	NoBlobs
	// NoRecords is too little for new records.
	NoRecords
)

// Limits are free bytes below which a state begins. On a small disk, where they
// would be more, the state begins at the given part of the whole.
type Limits struct {
	Low, NoBlobs, NoRecords int64
	// Ballast is the size of the file that is kept back.
	Ballast int64
}

// Defaults are the limits for a PC's disk.
func Defaults() Limits {
	return Limits{Low: 2 << 30, NoBlobs: 256 << 20, NoRecords: 100 << 20, Ballast: 32 << 20}
}

// of are the limits on a disk of a size.
func (l Limits) of(total int64) Limits {
	return Limits{
		Low:       min(l.Low, total/5),
		NoBlobs:   min(l.NoBlobs, total/7),
		NoRecords: min(l.NoRecords, total/10),
		Ballast:   min(l.Ballast, total/30),
	}
}

// Room watches the disks of some folders.
type Room struct {
	limits  Limits
	folders []string
}

// New watches folders; the ballast lies in the first.
func New(l Limits, folders ...string) *Room { return &Room{l, folders} }

// State is that of the folder with the least room.
func (r *Room) State() (State, error) {
	worst := Enough
	for _, dir := range r.folders {
		free, total, err := Free(dir)
		if err != nil {
			return Enough, fmt.Errorf("look at disk: %w", err)
		}
		l := r.limits.of(total)
		switch {
		case free < l.NoRecords:
			worst = max(worst, NoRecords)
		case free < l.NoBlobs:
			worst = max(worst, NoBlobs)
		case free < l.Low:
			worst = max(worst, Low)
		}
	}
	return worst, nil
}

const ballastFile = "ballast"

func (r *Room) ballast() string { return filepath.Join(r.folders[0], ballastFile) }

// Hold makes the ballast where there is room for it and it is missing, or was cut short.
func (r *Room) Hold() error {
	free, total, err := Free(r.folders[0])
	if err != nil {
		return fmt.Errorf("look at disk: %w", err)
	}
	l, have := r.limits.of(total), int64(0)
	short, err := os.Stat(r.ballast())
	if err == nil {
		have = short.Size()
	}
	if have >= l.Ballast || free+have < l.NoRecords+l.Ballast {
		return nil
	}
	if short != nil && short.Mode().IsRegular() { // what else is in the way is somebody's
		if err := os.Remove(r.ballast()); err != nil {
			return fmt.Errorf("make ballast: %w", err)
		}
	}
	f, err := os.OpenFile(r.ballast(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make ballast: %w", err)
	}
	err = fill(f, l.Ballast)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("make ballast: %w", err), os.Remove(r.ballast()))
	}
	return nil
}

// fill writes what no file system packs.
func fill(f *os.File, size int64) error {
	buf := make([]byte, 1<<20)
	rand.Read(buf)
	for size > 0 {
		n := min(size, int64(len(buf)))
		if _, err := f.Write(buf[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// Release gives the ballast up, and reports whether there was one. Its room can be
// written to when Release returns: btrfs gives the room of what is removed back only
// when it commits.
func (r *Room) Release() bool {
	if os.Remove(r.ballast()) != nil {
		return false
	}
	settle(r.folders[0])
	return true
}
