package stick

import (
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"tram/store/record"
	"tram/sync/wire"
)

// A stream that does not fit is told as one, so that fewer changes are tried; in the
// end the pace stands still.
func TestTooMuchForOneFile(t *testing.T) {
	noise := make([]byte, 12<<20)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	content := []byte(`"` + base64.StdEncoding.EncodeToString(noise) + `"`)
	for want, err := range map[int]error{1: nil, 6: errLarge} {
		n := 0
		b, got := stream(func() (*wire.Frame, error) {
			if n++; n > want {
				return nil, io.EOF
			}
			return &wire.Frame{Change: &record.Change{Key: record.Key{Kind: "Binary", ID: "a"},
				Version: &record.Version{Name: record.Name{Lineage: "abcdefghijklmno2", N: uint64(n)}, Author: "hoa", Content: content}}}, nil
		})
		if !errors.Is(got, err) || (got == nil) != (err == nil) || len(b) > maxStream {
			t.Errorf("%d changes: %d bytes, %v; want %v", want, len(b), got, err)
		}
	}
	p, tries := pace(), 0
	for ; p.Up > 1 || p.Down > 1; p = slower(p) {
		tries++
	}
	if tries > 10 {
		t.Errorf("%d tries before there is one change", tries)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]entry{
		nameOf("tram-a", up, 7):               {"tram-tram-a-up-7.tram", "tram-a", up, 7},
		"tram-79.1-down-20.tram":              {"tram-79.1-down-20.tram", "79.1", down, 20},
		"tram-up-up-1.tram":                   {"tram-up-up-1.tram", "up", up, 1},
		"tram--up-1.tram":                     {},
		"tram-tram-a-up-1.tram.part":          {},
		"tram-tram-a-sideways-1.tram":         {},
		"tram-tram-a-up--1.tram":              {},
		"tram-tram-a-up-1e3.tram":             {},
		"tram-Tram-up-1.tram":                 {},
		"tram-a/../b-up-1.tram":               {},
		"tram-up-1.tram":                      {},
		"tram-a-up-99999999999999999999.tram": {},
	} {
		got, ok := entryOf(name)
		if ok != (want.name != "") || ok && got != want {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
}
