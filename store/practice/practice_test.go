package practice_test

import (
	"bytes"
	"testing"

	"tram/store/practice"
)

func TestSameSeedSameBytes(t *testing.T) {
	a, b, other := practice.New(7, practice.Options{}), practice.New(7, practice.Options{}), practice.New(8, practice.Options{})
	b.Day(3) // the order of calls changes nothing
	for n := range 4 {
		x, y, z := a.Day(n), b.Day(n), other.Day(n)
		if len(x) != len(y) {
			t.Fatalf("day %d: %d and %d records from one seed", n, len(x), len(y))
		}
		for i := range x {
			if !bytes.Equal(x[i].Resource, y[i].Resource) {
				t.Fatalf("day %d, record %d differs under one seed:\n%s\n%s", n, i, x[i].Resource, y[i].Resource)
			}
		}
		if bytes.Equal(x[0].Resource, z[0].Resource) {
			t.Errorf("day %d begins alike under two seeds: %s", n, x[0].Resource)
		}
	}
}
