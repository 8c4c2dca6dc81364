// Package journal keeps entries a second time, outside the database, so that a
// lost or rotten database costs nothing that upstream has not yet.
//
// It owns a folder of segment files and promises that an entry is on the disk
// when Append returns, that Replay gives back exactly the entries that were
// appended and not aborted, in order, and that a torn end, as a power cut
// leaves it, ends the replay and nothing else. Entries are sealed. It does not
// know what they mean.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tram/store/seal"
)

// SegmentSize is when a new segment begins, in bytes.
const SegmentSize = 16 << 20

// grow is by how much a segment is extended ahead of use, so that a sync need
// not write the file's size each time.
const grow = 1 << 20

// MaxEntry bounds one entry before sealing, in bytes.
const MaxEntry = seal.MaxValue

const header = 8 // length and CRC-32 of the sealed entry, both little endian

// Position is where an entry ends. Positions grow.
type Position struct {
	Segment uint32
	Offset  int64
}

// Before reports whether p is before o.
func (p Position) Before(o Position) bool {
	return p.Segment < o.Segment || p.Segment == o.Segment && p.Offset < o.Offset
}

// Journal is an open journal. One goroutine may append.
type Journal struct {
	dir  string
	keys *seal.Keys
	file *os.File
	end  Position
	size int64 // of the file, ahead of end
}

// Open opens the journal in a folder, making the folder when it is missing.
// Writing goes on behind the last whole entry.
func Open(dir string, keys *seal.Keys) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{dir: dir, keys: keys}
	segs, err := j.segments()
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if len(segs) == 0 {
		return j, j.next(1)
	}
	last := segs[len(segs)-1]
	end, err := j.read(last, 0, func(Position, []byte) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	f, err := os.OpenFile(j.path(last), os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j.file, j.end, j.size = f, Position{last, end}, end
	return j, j.extend(grow) // zeroes what a power cut left behind the end
}

// End is the position behind the last entry.
func (j *Journal) End() Position { return j.end }

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Append writes an entry and syncs it. On an error nothing of it counts, and
// the journal must not be used any more.
func (j *Journal) Append(entry []byte) (Position, error) {
	if len(entry) > MaxEntry {
		return Position{}, fmt.Errorf("append to journal: entry too large")
	}
	if j.end.Offset >= SegmentSize {
		if err := j.file.Close(); err != nil {
			return Position{}, fmt.Errorf("append to journal: %w", err)
		}
		if err := j.next(j.end.Segment + 1); err != nil {
			return Position{}, fmt.Errorf("append to journal: %w", err)
		}
	}
	sealed := j.keys.Seal(place(j.end), entry)
	buf := make([]byte, header, header+len(sealed))
	binary.LittleEndian.PutUint32(buf, uint32(len(sealed)))
	binary.LittleEndian.PutUint32(buf[4:], crc32.ChecksumIEEE(sealed))
	buf = append(buf, sealed...)
	if j.end.Offset+int64(len(buf))+header > j.size {
		if err := j.extend(int64(len(buf)) + grow); err != nil {
			return Position{}, fmt.Errorf("append to journal: %w", err)
		}
	}
	if _, err := j.file.WriteAt(buf, j.end.Offset); err != nil {
		return Position{}, fmt.Errorf("append to journal: %w", err)
	}
	if err := syncData(j.file); err != nil {
		return Position{}, fmt.Errorf("append to journal: %w", err)
	}
	j.end.Offset += int64(len(buf))
	return j.end, nil
}

// Replay calls f for each entry behind after, in order, with its end.
func (j *Journal) Replay(after Position, f func(end Position, entry []byte) error) error {
	segs, err := j.segments()
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	for _, s := range segs {
		if s < after.Segment {
			continue
		}
		from := int64(0)
		if s == after.Segment {
			from = after.Offset
		}
		if _, err := j.read(s, from, f); err != nil {
			return fmt.Errorf("replay journal: %w", err)
		}
	}
	return nil
}

// Trim removes the segments that lie wholly before keep.
func (j *Journal) Trim(keep Position) error {
	segs, err := j.segments()
	if err != nil {
		return fmt.Errorf("trim journal: %w", err)
	}
	for _, s := range segs {
		if s < keep.Segment && s < j.end.Segment {
			err = errors.Join(err, os.Remove(j.path(s)))
		}
	}
	return err
}

// read goes through a segment from an offset and returns where it ends: at the
// first entry that is not whole.
func (j *Journal) read(seg uint32, from int64, f func(Position, []byte) error) (int64, error) {
	b, err := os.ReadFile(j.path(seg))
	if err != nil {
		return 0, err
	}
	at := from
	for {
		if int64(len(b)) < at+header {
			return at, nil
		}
		n := int64(binary.LittleEndian.Uint32(b[at:]))
		if n == 0 || n > int64(len(b))-at-header {
			return at, nil
		}
		sealed := b[at+header : at+header+n]
		if crc32.ChecksumIEEE(sealed) != binary.LittleEndian.Uint32(b[at+4:]) {
			return at, nil
		}
		entry, err := j.keys.Open(place(Position{seg, at}), sealed)
		if err != nil {
			return at, err
		}
		at += header + n
		if err := f(Position{seg, at}, entry); err != nil {
			return at, err
		}
	}
}

func (j *Journal) extend(by int64) error {
	if _, err := j.file.WriteAt(make([]byte, by), j.end.Offset); err != nil {
		return err
	}
	j.size = j.end.Offset + by
	return j.file.Sync()
}

// next begins a segment and makes its name durable.
func (j *Journal) next(n uint32) error {
	f, err := os.OpenFile(j.path(n), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	j.file, j.end, j.size = f, Position{Segment: n}, 0
	return errors.Join(j.extend(grow), seal.SyncDir(j.dir))
}

const suffix = ".journal"

func (j *Journal) path(n uint32) string {
	return filepath.Join(j.dir, fmt.Sprintf("%08d%s", n, suffix))
}

func (j *Journal) segments() ([]uint32, error) {
	names, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var out []uint32
	for _, e := range names {
		base, ok := strings.CutSuffix(e.Name(), suffix)
		if n, err := strconv.ParseUint(base, 10, 32); ok && err == nil {
			out = append(out, uint32(n))
		}
	}
	slices.Sort(out)
	return out, nil
}

// place binds an entry to where it stands.
func place(at Position) []byte { return fmt.Appendf(nil, "journal/%d/%d", at.Segment, at.Offset) }
