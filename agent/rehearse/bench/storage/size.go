package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tram/store/layout"
	"tram/store/table"
)

// size is what a store takes on the disk, in bytes.
type size struct {
	database, journal, blobs int64
	buckets                  []bucketSize // the largest first
}

// bucketSize is one table of the database.
type bucketSize struct {
	name    string
	entries int
	// taken is of its pages; used is what stands in them.
	taken, used int64
}

// perEntry is what the file takes for an entry beside key and value, in bytes: bbolt's
// element, the table's letter and the checksum.
const perEntry = 16 + 1 + 4

// sizeOf measures a closed store.
func sizeOf(dir string) (s size, err error) {
	info, err := os.Stat(filepath.Join(dir, "tram.db"))
	if err != nil {
		return s, err
	}
	s.database = info.Size()
	journal, err1 := folder(filepath.Join(dir, "journal"))
	blobs, err2 := folder(filepath.Join(dir, "blobs"))
	s.journal, s.blobs = journal, blobs
	if err := errors.Join(err1, err2); err != nil {
		return s, err
	}
	db, err := table.Open(filepath.Join(dir, "tram.db"), layout.Tables())
	if err != nil {
		return s, err
	}
	rest := bucketSize{name: "(branches, room in pages)", taken: s.database}
	err = db.View(func(tx *table.Tx) error {
		for _, spec := range layout.Tables() {
			one := bucketSize{name: spec.Name}
			err := tx.Table(spec.Name).ForEach(func(k, v []byte) error {
				one.entries++
				one.used += int64(len(k)+len(v)) + perEntry
				return nil
			})
			if err != nil {
				return err
			}
			one.taken = one.used
			rest.taken -= one.taken
			s.buckets = append(s.buckets, one)
		}
		return nil
	})
	s.buckets = append(s.buckets, rest)
	slices.SortStableFunc(s.buckets, func(a, b bucketSize) int { return cmp.Compare(b.taken, a.taken) })
	return s, errors.Join(err, db.Close())
}

// folder is what the files under a folder take; nothing where there is none.
func folder(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return n, err
}

// print shows the sizes beside the plain JSON.
func (s size) print(out io.Writer, json int64) {
	fmt.Fprintf(out, "\non the disk, beside %.1f MB of plain JSON:\n", mega(json))
	fmt.Fprintf(out, "  %-24s %10s %10s %10s %10s %8s\n", "", "entries", "bytes each", "used MB", "MB", "of JSON")
	line := func(name string, entries int, each float64, used, taken int64) {
		fmt.Fprintf(out, "  %-24s %10d %10.1f %10.1f %10.1f %7.3fx\n", name, entries, each, mega(used), mega(taken), float64(taken)/float64(json))
	}
	for _, b := range s.buckets {
		if b.taken*1000 >= s.database {
			line("  "+b.name, b.entries, float64(b.taken)/float64(max(b.entries, 1)), b.used, b.taken)
		}
	}
	line("tram.db", 0, 0, 0, s.database)
	line("journal", 0, 0, 0, s.journal)
	line("blobs", 0, 0, 0, s.blobs)
}

// largest names the buckets that take the most.
func (s size) largest(n int) string {
	var out []string
	for _, b := range s.buckets[:min(n, len(s.buckets))] {
		out = append(out, fmt.Sprintf("%s %.0f %%", b.name, 100*float64(b.taken)/float64(s.database)))
	}
	return strings.Join(out, ", ")
}

func mega(n int64) float64 { return float64(n) / 1e6 }

// warm reads a file once, so that it stands in the system's cache.
func warm(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, f)
	return errors.Join(err, f.Close())
}
