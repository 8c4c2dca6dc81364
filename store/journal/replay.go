package journal

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"tram/store/seal"
)

// Replay calls f for each entry behind after, in order, with its end. From the
// zero position it gives all there are, and goes over what was lost in front of the
// segments that Gaps lists. It fails with ErrRotten where else entries behind after are
// missing although later ones are there.
func (j *Journal) Replay(after Position, f func(end Position, entry []byte) error) error {
	segs, err := j.segments()
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	at := after
	for _, s := range segs {
		if s < after.Segment {
			continue
		}
		if at, err = j.replay(s, at, after == Position{}, f); err != nil {
			return fmt.Errorf("replay journal: %w", err)
		}
	}
	return nil
}

// Read calls f for each entry of one segment.
func (j *Journal) Read(seg uint32, f func(end Position, entry []byte) error) error {
	at, err := j.walk(seg, f)
	if err == nil {
		_, err = j.replay(seg, at, false, f) // which tells the end from damage
	}
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	return nil
}

// walk goes through a segment entry by entry, without holding it all, up to where none is
// whole; the zero Position where its start is not.
func (j *Journal) walk(seg uint32, f func(Position, []byte) error) (at Position, err error) {
	file, err := os.Open(j.path(seg))
	if err != nil {
		return at, err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<16)
	for where := startPlace(seg); ; where = place(at) {
		var head [header]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return at, nil
		}
		n := int64(binary.LittleEndian.Uint32(head[:]))
		if n == 0 || n > SegmentSize {
			return at, nil
		}
		b := append(head[:], make([]byte, n)...)
		if _, err := io.ReadFull(r, b[header:]); err != nil {
			return at, nil
		}
		entry, size := j.entry(b, 0, where)
		if size == 0 {
			return at, nil
		}
		first := at == Position{}
		if at = (Position{seg, at.Offset + size}); first {
			continue // its start
		}
		if err := f(at, entry); err != nil {
			return at, err
		}
	}
}

// replay goes through one segment from at on, which may be the end of an earlier
// one, and returns where the segment ends. One of all there is goes over gaps.
func (j *Journal) replay(seg uint32, at Position, all bool, f func(Position, []byte) error) (Position, error) {
	b, err := j.read(seg)
	if err != nil {
		return at, err
	}
	if at.Segment != seg {
		if at, err = j.cross(seg, b, at, all); err != nil {
			return at, err
		}
	}
	for {
		entry, next := j.entry(b, at.Offset, place(at))
		if next == 0 {
			if framed(b, at.Offset) != nil || j.find(seg, b, at.Offset) > 0 {
				return at, fmt.Errorf("%w: segment %d at byte %d", ErrRotten, seg, at.Offset)
			}
			return at, nil
		}
		at.Offset = next
		if err := f(at, entry); err != nil {
			return at, err
		}
	}
}

// cross reads a segment's start and holds it against where the replay stands. A gap is
// gone over only where Pass noted it: between the very end that it found and what it was
// told is lost. Whoever asks for what follows a position is never given what follows a gap.
func (j *Journal) cross(seg uint32, b []byte, at Position, all bool) (Position, error) {
	first, next, ok := j.start(seg, b)
	if !ok {
		return at, fmt.Errorf("%w: segment %d has no start", ErrRotten, seg)
	}
	gap := all && first.Had != nil && at == *first.Had
	if from := first.Position; at != (Position{}) && at != from && !gap {
		return at, fmt.Errorf("%w: segment %d follows byte %d of segment %d, of which byte %d is the last",
			ErrRotten, seg, from.Offset, from.Segment, at.Offset)
	}
	return Position{seg, next}, nil
}

// entry reads the entry at an offset and where it ends; 0 where none is whole.
func (j *Journal) entry(b []byte, at int64, place []byte) ([]byte, int64) {
	sealed := framed(b, at)
	if sealed == nil {
		return nil, 0
	}
	entry, err := j.keys.Open(place, sealed)
	if err != nil {
		return nil, 0
	}
	return entry, at + header + int64(len(sealed))
}

// framed is what a frame at an offset holds; nil where no frame is whole.
func framed(b []byte, at int64) []byte {
	if int64(len(b)) < at+header {
		return nil
	}
	n := int64(binary.LittleEndian.Uint32(b[at:]))
	if n == 0 || n > int64(len(b))-at-header {
		return nil
	}
	sealed := b[at+header : at+header+n]
	if crc32.ChecksumIEEE(sealed) != binary.LittleEndian.Uint32(b[at+4:]) {
		return nil
	}
	return sealed
}

// findable bounds the entries for which find tries every offset; a longer one is
// found only behind a frame whose length is still right.
const findable = 1 << 20

// find looks for a whole entry behind an offset at which none is, and returns
// where it ends; 0 when there is none.
func (j *Journal) find(seg uint32, b []byte, from int64) int64 {
	try := func(at int64) int64 {
		_, end := j.entry(b, at, place(Position{seg, at}))
		return end
	}
	if int64(len(b)) >= from+header {
		if end := try(from + header + int64(binary.LittleEndian.Uint32(b[from:]))); end > 0 {
			return end
		}
	}
	for at := from + 1; at+header <= int64(len(b)); at++ {
		if n := binary.LittleEndian.Uint32(b[at:]); n == 0 || n > findable {
			continue
		}
		if end := try(at); end > 0 {
			return end
		}
	}
	return 0
}

// lastEnd is where the last whole entry of a segment ends, its start included;
// 0 when there is none. A whole frame that does not open is no torn end: it was
// moved, or sealed under another key, and nothing may be written over it.
func (j *Journal) lastEnd(seg uint32, b []byte) (int64, error) {
	_, end := j.entry(b, 0, startPlace(seg))
	for {
		_, next := j.entry(b, end, place(Position{seg, end}))
		if next == 0 {
			next = j.find(seg, b, end)
		}
		if next == 0 && framed(b, end) != nil {
			return 0, fmt.Errorf("%w: segment %d at byte %d: %w", ErrRotten, seg, end, seal.ErrAltered)
		}
		if next == 0 {
			return end, nil
		}
		end = next
	}
}
