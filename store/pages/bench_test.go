package pages_test

import (
	"os"
	"path/filepath"
	"runtime"
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
	const rows, step = 450_000, 3_000
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

// peak is the most that the heap held beyond what it held before, sampled on progress.
type peak struct{ before, most uint64 }

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (p *peak) sample(_, _ int64) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.most = max(p.most, m.HeapAlloc)
}

// BenchmarkVerify reads a file that the system still has in memory, with a
// CRC-32C over each item. It tells of bytes below the high water mark.
func BenchmarkVerify(b *testing.B) {
	f, size := large(b)
	p := peak{before: heap()}
	var r pages.Report
	for b.Loop() {
		var err error
		r, err = pages.File{Source: f, Size: size, Item: holds, Progress: p.sample}.Verify(b.Context())
		if err != nil {
			b.Fatal(err)
		}
	}
	tell(b, r, &p)
}

func tell(b *testing.B, r pages.Report, p *peak) {
	bytes := int64(2+r.Pages+r.Free+r.Freelist) * int64(r.PageSize)
	b.SetBytes(bytes)
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*1e9/float64(bytes), "s/GB")
	b.ReportMetric(float64(r.Items), "items")
	b.ReportMetric(float64(p.most-p.before)/1e6, "peak-MB")
	b.ReportMetric(0, "ns/op")
}
