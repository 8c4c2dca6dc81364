package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tram/store/seal"
)

// start is a segment's first entry.
type start struct {
	Position // behind which the segment goes on: where the one before ended
	// Had is where the journal ended in which Pass began the segment: what lay between the
	// two is lost. Only such a segment names it, and programs of before do not read it.
	Had *Position `json:",omitempty"`
}

// begin makes a segment with its start, and makes its name durable. On an error the
// journal stays as it was.
func (j *Journal) begin(n uint32, first start) error {
	f, err := os.OpenFile(j.path(n), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	start, err := json.Marshal(first)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	fresh := &Journal{dir: j.dir, keys: j.keys, file: f, end: Position{Segment: n}}
	if err := errors.Join(fresh.write(startPlace(n), start), seal.SyncDir(j.dir)); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.end, j.size = fresh.file, fresh.end, fresh.size // others read the rest meanwhile
	return nil
}

// Pass begins a new segment behind a position that the journal had once and has
// not now: its folder was lost, or is an older copy. Positions go on growing, so
// that no place is ever used for two entries.
func (j *Journal) Pass(lost Position) error {
	old, had := j.file, j.end
	if err := j.begin(max(lost.Segment, had.Segment)+1, start{lost, &had}); err != nil {
		return fmt.Errorf("begin journal anew: %w", err)
	}
	return old.Close()
}

// Gaps lists the segments that Pass began: in front of each a stretch is lost.
func (j *Journal) Gaps() ([]uint32, error) {
	segs, err := j.segments()
	if err != nil {
		return nil, fmt.Errorf("look for gaps in the journal: %w", err)
	}
	var out []uint32
	for _, s := range segs {
		first, err := j.startOf(s)
		if err != nil {
			return nil, fmt.Errorf("look for gaps in the journal: %w", err)
		}
		if first.Had != nil {
			out = append(out, s)
		}
	}
	return out, nil
}

// startOf reads no more of a segment than its start; the zero start where that cannot be
// read: a replay says so, where it is needed.
func (j *Journal) startOf(seg uint32) (start, error) {
	f, err := os.Open(j.path(seg))
	if err != nil {
		return start{}, err
	}
	defer f.Close()
	b := make([]byte, maxStart)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return start{}, err
	}
	first, _, _ := j.start(seg, b[:n])
	return first, nil
}

// maxStart is more than any start takes, sealed.
const maxStart = 1 << 10

// start reads a segment's start, and where it ends.
func (j *Journal) start(seg uint32, b []byte) (first start, next int64, ok bool) {
	raw, next := j.entry(b, 0, startPlace(seg))
	if next == 0 || json.Unmarshal(raw, &first) != nil {
		return start{}, 0, false
	}
	return first, next, true
}

// Next begins a new segment.
func (j *Journal) Next() error {
	old := j.file
	if err := j.begin(j.end.Segment+1, start{Position: j.end}); err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	return old.Close()
}

// Segments lists the numbers of the segments there are, the one in use last.
func (j *Journal) Segments() ([]uint32, error) {
	out, err := j.segments()
	if err != nil {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	return out, nil
}

// Reseal seals the entries of all segments but the one in use anew that are not under
// the newest key. Each segment is changed whole or not at all, and every entry stays
// where it was.
func (j *Journal) Reseal(ctx context.Context) error {
	segs, err := j.Segments()
	if err != nil {
		return err
	}
	for _, s := range segs[:max(len(segs)-1, 0)] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.reseal(s); err != nil {
			return fmt.Errorf("seal journal anew: %w", err)
		}
	}
	return seal.SyncDir(j.dir) // also for what an earlier try renamed
}

// Renew writes the segment in use anew: after a sync that failed nobody knows what of
// it the disk holds, though it can be read.
func (j *Journal) Renew() error {
	b, err := j.read(j.end.Segment)
	if err != nil {
		return fmt.Errorf("renew journal: %w", err)
	}
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("renew journal: %w", err)
	}
	if err := seal.WriteFile(j.path(j.end.Segment), b[:min(j.end.Offset, int64(len(b)))]); err != nil {
		return fmt.Errorf("renew journal: %w", err)
	}
	if j.file, err = os.OpenFile(j.path(j.end.Segment), os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("renew journal: %w", err)
	}
	j.size = j.end.Offset
	return nil
}

// slack is how many zeros are left at the end of what is read of a segment: an entry
// may end in some, never in so many.
const slack = 64

// read reads a segment without the zeros behind its last entry.
func (j *Journal) read(seg uint32) ([]byte, error) {
	b, err := os.ReadFile(j.path(seg))
	if err != nil {
		return nil, err
	}
	return b[:min(len(b), len(bytes.TrimRight(b, "\x00"))+slack)], nil
}

func (j *Journal) reseal(seg uint32) error {
	b, err := os.ReadFile(j.path(seg))
	if err != nil {
		return err
	}
	changed := false
	for at, where := int64(0), startPlace(seg); ; where = place(Position{seg, at}) {
		plain, next := j.entry(b, at, where)
		if next == 0 {
			break
		}
		if sealed := b[at+header : next]; !j.keys.Newest(sealed) {
			fresh := j.keys.Seal(where, plain)
			if len(fresh) != len(sealed) {
				return fmt.Errorf("segment %d at byte %d: another length under the new key", seg, at)
			}
			copy(sealed, fresh)
			binary.LittleEndian.PutUint32(b[at+4:], crc32.ChecksumIEEE(fresh))
			changed = true
		}
		at = next
	}
	if !changed {
		return nil
	}
	return seal.WriteFile(j.path(seg), b)
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

// Kept reports whether a journal was begun in a folder; nothing of it is opened.
func Kept(dir string) bool {
	segs, err := (&Journal{dir: dir}).segments()
	return len(segs) > 0 || err != nil && !errors.Is(err, os.ErrNotExist)
}

const suffix = ".journal"

func (j *Journal) path(n uint32) string {
	return filepath.Join(j.dir, fmt.Sprintf("%08d%s", n, suffix))
}

// segments lists the numbers of the segments there are.
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

func startPlace(segment uint32) []byte { return fmt.Appendf(nil, "journal/%d/start", segment) }
