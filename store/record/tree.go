package record

import (
	"encoding/binary"
	"slices"
)

// Buckets is how many nodes of a digest tree a replica keeps: those of two digits.
const Buckets = 256

// Tree is a digest tree over the heads that two replicas agree on: for each
// bucket the exclusive or of its leaves. Equal trees prove equal records. What lies
// below a bucket is not kept but summed up where it is asked for.
type Tree [Buckets]Digest

// LeafAt is the place where a record's leaf stands in every tree. Its first byte is the bucket.
func LeafAt(k Key) uint64 {
	d := Sum([]byte("tram bucket 1"), []byte(k.String()))
	return binary.BigEndian.Uint64(d[:8])
}

// Bucket is the bucket in which a record's leaf stands.
func Bucket(k Key) byte { return byte(LeafAt(k) >> 56) }

// Leaf is what one agreed head adds to the tree.
func Leaf(k Key, ref Ref) Digest {
	return Sum([]byte("tram leaf 1"), []byte(k.String()), []byte(ref.String()))
}

// Root is the tree in one digest.
func (t *Tree) Root() Digest {
	h := make([]byte, 0, Buckets*len(Digest{}))
	for _, d := range t {
		h = append(h, d[:]...)
	}
	return Sum([]byte("tram tree 1"), h)
}

// Node names a part of a tree: the records whose place begins with these
// hexadecimal digits. "" is all of it, two digits are a bucket.
type Node string

// NodeDigits is how many digits a node has at most: all of a place.
const NodeDigits = 16

const hexDigits = "0123456789abcdef"

// Valid reports whether n is a node's name: at most 16 of 0-9 and a-f.
func (n Node) Valid() bool {
	for i := range len(n) {
		if c := n[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return len(n) <= NodeDigits
}

// Below is the i-th of the nodes so many digits below n.
func (n Node) Below(i, digits int) Node {
	b := []byte(n)
	for d := digits - 1; d >= 0; d-- {
		b = append(b, hexDigits[i>>(4*d)&15])
	}
	return Node(b)
}

// Nodes finds in which of some nodes a place is.
type Nodes struct {
	named  map[Node]Node
	digits []int // that the names have, rising
}

// NewNodes is for nodes of which none lies in another.
func NewNodes(nodes ...Node) Nodes {
	out := Nodes{named: make(map[Node]Node, len(nodes))}
	for _, n := range nodes {
		out.named[n] = n
		if !slices.Contains(out.digits, len(n)) {
			out.digits = append(out.digits, len(n))
		}
	}
	slices.Sort(out.digits)
	return out
}

// Of is the node in which a place is, and false where it is in none.
func (n Nodes) Of(place uint64) (Node, bool) {
	var b [NodeDigits]byte
	for i := range b {
		b[i] = hexDigits[place>>(60-4*i)&15]
	}
	for _, d := range n.digits {
		if at, ok := n.named[Node(b[:d])]; ok {
			return at, true
		}
	}
	return "", false
}

// Part is a part of what two replicas agree on: the records in some nodes of the
// tree, and some by their keys.
type Part struct {
	Nodes []Node
	Keys  []Key
}

// Agreement is what two replicas agree on in one feed.
type Agreement struct {
	Tree Tree
	// End is the cursor behind the feed's last change, where this replica gives it.
	End Cursor
}
