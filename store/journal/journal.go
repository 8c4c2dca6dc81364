// Package journal keeps entries a second time, outside the database, so that a
// lost or rotten database costs nothing that upstream has not yet.
//
// It owns a folder of segment files and promises that an entry is on the disk
// when Append returns, that Replay gives back exactly the entries that were
// appended, in order, and that a torn end, as a power cut leaves it, ends the
// replay and nothing else: an entry that cannot be read although others stand
// behind it is an error. Entries are sealed. It does not know what they mean.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"tram/store/seal"
)

// Errors of a journal.
var (
	// ErrRotten says that entries are missing or cannot be read although later
	// ones can: not what a power cut leaves behind.
	ErrRotten = errors.New("the journal is damaged")
	// ErrTooLarge says that an entry exceeds MaxEntry; nothing was written.
	ErrTooLarge = errors.New("the entry is too large for the journal")
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

// Bytes are the position in 12 bytes, which PositionOf reads; of anything else that
// makes the zero position.
func (p Position) Bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, p.Segment), uint64(p.Offset))
}

// PositionOf reads what Bytes wrote.
func PositionOf(b []byte) Position {
	if len(b) != 12 {
		return Position{}
	}
	return Position{binary.BigEndian.Uint32(b), int64(binary.BigEndian.Uint64(b[4:]))}
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
	j := &Journal{dir: dir, keys: keys}
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return j, nil
}

func (j *Journal) open() error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	segs, err := j.segments()
	if err != nil {
		return err
	}
	// A cut in the making of a segment leaves one without a start. It goes: what it was to
	// follow only its maker knows, and makes it again.
	for i := len(segs) - 1; i >= 0; i-- {
		b, err := j.read(segs[i])
		if err != nil {
			return err
		}
		end, err := j.lastEnd(segs[i], b)
		if err != nil {
			return err
		}
		if end == 0 {
			continue
		}
		if i == len(segs)-2 {
			if err := os.Remove(j.path(segs[i+1])); err != nil {
				return err
			}
		}
		if i < len(segs)-2 {
			break
		}
		f, err := os.OpenFile(j.path(segs[i]), os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		j.file, j.end, j.size = f, Position{segs[i], end}, end // so that the first entry zeroes what a cut left
		return nil
	}
	if len(segs) > 1 || len(segs) == 1 && segs[0] != 1 {
		return fmt.Errorf("%w: the last segments cannot be read", ErrRotten)
	}
	return j.begin(1, start{})
}

// End is the position behind the last entry.
func (j *Journal) End() Position { return j.end }

// Any reports whether the journal holds entries.
func (j *Journal) Any() bool {
	found := errors.New("found")
	return j.Replay(Position{}, func(Position, []byte) error { return found }) != nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Append writes an entry and syncs it. On an error nothing of it counts. Where
// seal.Full reports that the disk is full, or the error is ErrTooLarge, it may be
// tried again; after any other the journal must not be used any more.
func (j *Journal) Append(entry []byte) (Position, error) {
	if len(entry) > MaxEntry {
		return Position{}, ErrTooLarge
	}
	if err := j.append(entry); err != nil {
		return Position{}, fmt.Errorf("append to journal: %w", err)
	}
	return j.end, nil
}

func (j *Journal) append(entry []byte) error {
	if j.end.Offset >= SegmentSize {
		full := j.file
		if err := j.begin(j.end.Segment+1, start{Position: j.end}); err != nil {
			return err
		}
		if err := full.Close(); err != nil {
			return err
		}
	}
	return j.write(place(j.end), entry)
}

// write puts an entry at the end and syncs it.
func (j *Journal) write(place, entry []byte) error {
	sealed := j.keys.Seal(place, entry)
	buf := make([]byte, header, header+len(sealed))
	binary.LittleEndian.PutUint32(buf, uint32(len(sealed)))
	binary.LittleEndian.PutUint32(buf[4:], crc32.ChecksumIEEE(sealed))
	buf = append(buf, sealed...)
	if j.end.Offset+int64(len(buf))+header > j.size {
		if err := j.extend(int64(len(buf)) + grow); err != nil {
			return err
		}
	}
	if _, err := j.file.WriteAt(buf, j.end.Offset); err != nil {
		return err
	}
	if err := syncData(j.file); err != nil {
		return fmt.Errorf("sync: %v", err) // never "full": what a failed sync left is unknown
	}
	j.end.Offset += int64(len(buf))
	return nil
}

func (j *Journal) extend(by int64) error {
	if _, err := j.file.WriteAt(make([]byte, by), j.end.Offset); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync: %v", err)
	}
	j.size = j.end.Offset + by
	return nil
}
