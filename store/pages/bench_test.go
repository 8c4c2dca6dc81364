package pages_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"tram/store/pages"
)

// large makes a file of about 300 MB: rows by rising keys as the store's versions
// are, and index entries by scattered keys.
func large(b *testing.B) (*os.File, int64) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "db")
	db := open(b, path, 4096, false)
	const rows, step = 250_000, 3_000
	for at := 0; at < rows; at += step {
		if err := db.Update(func(tx *bbolt.Tx) error {
			names := [][]byte{[]byte("rows"), []byte("index")}
			for _, name := range names {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			for i := uint64(at); i < uint64(at+step); i++ {
				key := number(i)
				if err := tx.Bucket(names[0]).Put(key, value(names[0], key, 350, byte(i))); err != nil {
					return err
				}
				for j := range uint64(3) {
					key := number((4*i + j) * 0x9E3779B97F4A7C15)
					if err := tx.Bucket(names[1]).Put(key, value(names[1], key, 40, byte(i))); err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return f, info.Size()
}

// BenchmarkVerify reads a file that the system still has in memory, with a
// CRC-32C over each item. It tells of bytes below the high water mark; B/op is all
// that was ever allocated, and so the most that memory can have held.
func BenchmarkVerify(b *testing.B) {
	f, size := large(b)
	b.ReportAllocs()
	var r pages.Report
	for b.Loop() {
		var err error
		if r, err = (pages.File{Source: f, Size: size, Item: holds}).Verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	bytes := int64(2+r.Pages+r.Free+r.Freelist) * int64(r.PageSize)
	b.SetBytes(bytes)
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*1e9/float64(bytes), "s/GB")
	b.ReportMetric(float64(r.Items), "items")
}
