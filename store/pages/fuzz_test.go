package pages_test

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"testing"

	"tram/store/pages"
)

// FuzzVerify reads what may be anything; metas are given a right checksum, so
// that what is behind them is read. Nothing may panic or go on without end, and
// where Verify takes a file, Salvage finds the same in it and nothing damaged.
func FuzzVerify(f *testing.F) {
	for _, noFreelist := range []bool{false, true} {
		b := made(f, 1024, 30, noFreelist)
		b = b[:min(len(b), 24<<10)]
		f.Add(b)
		f.Add(b[:len(b)-1500])
		for _, at := range []int{1024 + 60, 2060, 3*1024 + 10, 5*1024 + 16, 9*1024 + 12} {
			rotten := bytes.Clone(b)
			rotten[at] ^= 0xFF
			f.Add(rotten)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for at := 0; at <= 1024 && at+80 <= len(b); at += 1024 {
			sum := fnv.New64a()
			sum.Write(b[at+16 : at+72])
			binary.LittleEndian.PutUint64(b[at+72:], sum.Sum64())
		}
		v, err := file(b).Verify(t.Context())
		orphans := 0
		s, failed := file(b).Salvage(t.Context(), func(bucket, key, value []byte, orphan bool) error {
			if orphan {
				orphans++
			}
			if len(key) == 0 || !holds(bucket, key, value) {
				t.Errorf("yielded what does not hold")
			}
			return nil
		})
		if failed != nil {
			t.Fatal(failed)
		}
		if most := len(b); s.Items > most || s.Orphans > most || s.Orphans != orphans {
			t.Errorf("%d items and %d orphans from %d bytes", s.Items, s.Orphans, len(b))
		}
		if err == nil && (s.Items != v.Items || s.Pages != v.Pages || s.Damaged != 2-valid(v)) {
			t.Errorf("Verify says %+v, Salvage %+v", v, s)
		}
	})
}

func valid(r pages.Report) (n int) {
	for _, m := range r.Metas {
		if m.Valid {
			n++
		}
	}
	return n
}
