// Package table keeps keys and values in tables of one bbolt file, so that a
// file that changed by itself is noticed before anything is read from it.
//
// It owns the layout of the file: which table lies beside which, so that what one
// write touches shares pages; a checksum behind each value; and for each table the
// number of its entries, the sum of their checksums and its sequence, kept with
// every commit. It promises that an entry that was altered, lost or brought back by
// the disk is found by Verify, and that making the file, copying it and swapping it
// are safe against a power cut. It does not know what the entries mean nor
// how they are sealed.
package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// ErrDamaged says that the file is not as it was written.
var ErrDamaged = errors.New("the database is damaged")

// ErrUnknown says that a transaction may be there and may not: what made it valid was
// written, and did not get to the disk for certain.
var ErrUnknown = errors.New("it is not known whether the transaction was kept")

// ErrClosed says that a swap failed half way, and the file is closed.
var ErrClosed = errors.New("the database is closed")

// Area is where a table lies; each area is one bbolt bucket.
type Area byte

// The areas.
const (
	// Small holds a few small entries that change with nearly every commit: they
	// stand in the file's root page.
	Small Area = iota
	// Rising holds tables whose keys rise; its pages are filled well.
	Rising
	// Record is part of Rising: its keys begin with a record's number, 8 bytes big
	// endian below 2^56, and all that belongs to one record lies together.
	Record
	// Mixed holds tables whose keys come in any order.
	Mixed
)

// Spec names a table. Letter tells it apart in its area and is unique in a layout.
type Spec struct {
	Name   string
	Letter byte // 'A' or above
	Area   Area
}

// Layout is the tables of a file, in a fixed order.
type Layout []Spec

// find tells to which table a key of the file belongs; -1 where to none.
func (l Layout) find(key []byte) int {
	letter, ok := letterOf(key)
	if !ok {
		return -1
	}
	return slices.IndexFunc(l, func(s Spec) bool { return s.Letter == letter })
}

// numberLen is the length of a record's number in front of a key.
const numberLen = 8

func letterOf(key []byte) (byte, bool) {
	switch {
	case len(key) > 0 && key[0] >= 'A':
		return key[0], true
	case len(key) > numberLen && key[0] == 0:
		return key[numberLen], true
	}
	return 0, false
}

// physical is where a table's key stands in the file.
func (s Spec) physical(key []byte) []byte {
	out := make([]byte, 0, len(key)+1)
	if s.Area == Record {
		return append(append(append(out, key[:numberLen]...), s.Letter), key[numberLen:]...)
	}
	return append(append(out, s.Letter), key...)
}

// logical reverses physical.
func (s Spec) logical(key []byte) []byte {
	if s.Area == Record {
		return append(append(make([]byte, 0, len(key)-1), key[:numberLen]...), key[numberLen+1:]...)
	}
	return key[1:]
}

// sumLen is the length of the checksum behind each value.
const sumLen = 4

// castagnoli is the table of CRC-32C, which processors compute (RFC 3720).
func checksum(key, value []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, t), t, value)
}

func withSum(key, value []byte) []byte {
	out := append(make([]byte, 0, len(value)+sumLen), value...)
	return binary.LittleEndian.AppendUint32(out, checksum(key, value))
}

// split cuts a stored value from its checksum, and reports whether it holds.
func split(key, stored []byte) (value []byte, sum uint32, ok bool) {
	if len(stored) < sumLen {
		return nil, 0, false
	}
	value, sum = stored[:len(stored)-sumLen], binary.LittleEndian.Uint32(stored[len(stored)-sumLen:])
	return value, sum, checksum(key, value) == sum
}

// Sound reports whether an entry of the file is as it was written.
func Sound(_, key, stored []byte) bool {
	_, _, ok := split(key, stored)
	return ok
}

// tally is what is kept of each table.
type tally struct {
	Count, Sum, Next uint64
}

// The tallies stand under one key of the small area.
const tallyKey = "tally"

const tallyLen = 24

func encodeTallies(ts []tally) []byte {
	out := make([]byte, 0, len(ts)*tallyLen)
	for _, t := range ts {
		out = binary.BigEndian.AppendUint64(out, t.Count)
		out = binary.BigEndian.AppendUint64(out, t.Sum)
		out = binary.BigEndian.AppendUint64(out, t.Next)
	}
	return out
}

// decodeTallies reads the tallies of a layout of n tables; tables that a later layout
// added begin empty.
func decodeTallies(stored []byte, n int) ([]tally, error) {
	b, _, ok := split([]byte(tallyKey), stored)
	if !ok || len(b)%tallyLen != 0 || len(b)/tallyLen > n {
		return nil, fmt.Errorf("%w: the tallies cannot be read", ErrDamaged)
	}
	out := make([]tally, n)
	for i := range len(b) / tallyLen {
		at := b[i*tallyLen:]
		out[i] = tally{binary.BigEndian.Uint64(at), binary.BigEndian.Uint64(at[8:]), binary.BigEndian.Uint64(at[16:])}
	}
	return out, nil
}
