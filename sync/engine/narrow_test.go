package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"tram/store/record"
	"tram/sync/wire"
)

// TestSumsOfATree draws leaves and holds the digests at each depth against those
// above and below them, and against a tree that was grown leaf by leaf.
func TestSumsOfATree(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		var tree record.Tree
		var leaves []leaf
		for range rnd.IntN(400) {
			k := record.Key{Kind: "Patient", ID: string(rune('a'+rnd.IntN(26))) + string(rune('a'+rnd.IntN(26)))}
			d := record.Leaf(k, record.Ref{Name: record.Name{Lineage: "aaaaaaaaaaaaaaaa", N: rnd.Uint64N(9) + 1}})
			for i := range d { // a leaf that comes twice goes
				tree[record.Bucket(k)][i] ^= d[i]
			}
			leaves = append(leaves, leaf{record.LeafAt(k), binary.BigEndian.Uint64(d[:])})
		}
		if got := sums(leaves, "", 2); !slices.Equal(got, topSums(&tree)) {
			t.Fatalf("seed %d: the buckets are not those of the tree", seed)
		}
		for above := range 3 {
			at := record.Node("3fa")[:above]
			in := record.NewNodes(at)
			under := slices.DeleteFunc(slices.Clone(leaves), func(l leaf) bool { _, ok := in.Of(l.place); return !ok })
			var folded [wire.SumLen]byte
			for i, b := range sums(under, at, 1) {
				folded[i%wire.SumLen] ^= b
			}
			if got := sums(under, at, 0); !slices.Equal(got, folded[:]) {
				t.Fatalf("seed %d: the digest of %q is not that of its parts", seed, at)
			}
			if len(under) == 0 {
				continue
			}
			// One leaf changes: just the node where it is differs.
			changed := slices.Clone(under)
			i := rnd.IntN(len(changed))
			changed[i].sum++
			for digits := range 3 {
				got := apart(at, digits, sums(under, at, digits), sums(changed, at, digits))
				want, _ := record.NewNodes(got...).Of(changed[i].place)
				if len(got) != 1 || got[0] != want || len(want) != above+digits {
					t.Fatalf("seed %d: %v differ below %q", seed, got, at)
				}
			}
		}
	}
}
