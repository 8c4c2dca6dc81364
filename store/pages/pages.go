// Package pages reads a bbolt file page by page, without bbolt and without
// mapping it, so that a torn or rotten file is known before it is trusted.
//
// It owns the form of the file, which is bbolt's at v1.5.0 (internal/common and
// node.go there), and holds a file to all that bbolt writes, not only to what it
// needs for reading. It promises that Verify takes no file on which bbolt would
// fail, show other keys or structure than were written, or damage more at the
// next write; that Salvage yields every item that still holds; and that no input
// makes it panic, loop or take more memory than a few pages. It never writes, and
// does not know what items mean: whether an item holds says the caller, to whom
// the names and sequences of buckets are left too.
package pages

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrDamaged says that a file is not as bbolt wrote it; the text names the page.
var ErrDamaged = errors.New("the database is damaged")

// Item reports whether an item holds by its own checksum. It is called for every
// key and value in a leaf, from several goroutines at once; the bytes are valid
// during the call only. Where Salvage does not know the bucket, it is empty.
type Item func(bucket, key, value []byte) bool

// File is a file that nobody writes meanwhile.
type File struct {
	Source io.ReaderAt // is read from several goroutines at once
	Size   int64
	Item   Item // nil takes every item
	// Progress, where it is set, is told how many of all bytes are done, at least
	// each 1 % and from one goroutine at a time. Each page counts twice: read, and checked.
	Progress func(done, all int64)
	// Older reads the state before the newest: the file as if the newest meta were
	// not valid. Where there is but one, none is.
	Older bool
}

// Meta is one of the two places from which bbolt begins to read.
type Meta struct {
	Valid bool   // by its own checksum
	Tx    uint64 // the transaction that wrote it; 0 where it is not valid
}

// Bucket is what the file says of one bucket. Its items can bear witness to its
// name, but not to its sequence, nor to the name of one that has none: the caller
// holds the names against those it knows, and the sequence against Last.
type Bucket struct {
	Name     string
	Items    int // that hold
	Sequence uint64
	Last     []byte // the greatest key, nil where there is none or it was not found
}

// Report tells what was read.
type Report struct {
	// Metas are as in the file. Where only one is valid, it cannot be told whether
	// it is the newest: the file may be one transaction older than it was.
	Metas    [2]Meta
	Tx       uint64 // what was read is the state after this transaction; 0 where no meta is valid
	PageSize int    // bytes
	Pages    int    // that the buckets use
	Free     int    // pages without use
	Freelist int    // pages that the list of free ones takes; 0 where the file keeps none
	Items    int    // that hold and are reachable
	Buckets  []Bucket

	// What Salvage adds.
	Damaged int // pages that could not be read or were not as bbolt writes them
	Refused int // items that could be read and did not hold
	Orphans int // items that hold, in pages that nothing led to
}

// Both reports whether both metas are valid, so that the newest is known.
func (r Report) Both() bool { return r.Metas[0].Valid && r.Metas[1].Valid }

const (
	header  = 16 // of a page: id 8, flags 2, count 2, overflow 4; of a bucket: root 8, sequence 8
	element = 16 // of a leaf: flags, pos, ksize, vsize; of a branch: pos, ksize, page 8

	branchFlag   = 0x01
	leafFlag     = 0x02
	metaFlag     = 0x04
	freelistFlag = 0x10
	bucketFlag   = 0x01 // of a leaf's element

	maxKey = 32768 // bytes, as bbolt bounds it
	// maxNode bounds a page with its overflow, twice what the store seals in one value.
	maxNode = 128 << 20
	// maxDepth bounds a tree: each level of a bbolt tree at least doubles it.
	maxDepth = 40
	// chunk is how much of the file is read at once.
	chunk = 1 << 20
)

// damage names the page that is not as bbolt wrote it.
func damage(id uint64, format string, args ...any) error {
	return fmt.Errorf("%w: page %d %w", ErrDamaged, id, fmt.Errorf(format, args...))
}

// read fills b from off on; an end within b is an error.
func (f *File) read(b []byte, off int64) error {
	n, err := f.Source.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// sweep reads all pages in use once from end to end: a hard disk is quick that
// way, and what follows finds them in memory. It hands each failed page to bad.
func (f *File) sweep(ctx context.Context, m meta, done func(int64), bad func(id uint64, err error) error) error {
	end := int64(m.high) * int64(m.pageSize)
	buf := make([]byte, min(chunk, end))
	for off := int64(0); off < end; off += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf = buf[:min(int64(len(buf)), end-off)]
		if f.read(buf, off) != nil {
			for at := off; at < off+int64(len(buf)); at += int64(m.pageSize) {
				if err := f.read(buf[:m.pageSize], at); err != nil {
					if err := bad(uint64(at/int64(m.pageSize)), err); err != nil {
						return err
					}
				}
			}
		}
		done(int64(len(buf)))
	}
	return nil
}
