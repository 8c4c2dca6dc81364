package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// node is a branch or a leaf: a page with its overflow, or what stands for one
// within a bucket's value.
type node []byte

func (n node) id() uint64       { return binary.LittleEndian.Uint64(n) }
func (n node) flags() uint16    { return binary.LittleEndian.Uint16(n[8:]) }
func (n node) count() int       { return int(binary.LittleEndian.Uint16(n[10:])) }
func (n node) overflow() uint32 { return binary.LittleEndian.Uint32(n[12:]) }
func (n node) isLeaf() bool     { return n.flags() == leafFlag }

// length is where the last element ends, by its own word; 0 where the table of
// elements is not in the first page, in which bbolt always has it.
func (n node) length() int64 {
	le, at := binary.LittleEndian, header+element*(n.count()-1)
	switch {
	case n.count() == 0:
		return header
	case at+element > len(n):
		return 0
	case n.isLeaf():
		return int64(at) + int64(le.Uint32(n[at+4:])) + int64(le.Uint32(n[at+8:])) + int64(le.Uint32(n[at+12:]))
	}
	return int64(at) + int64(le.Uint32(n[at:])) + int64(le.Uint32(n[at+4:]))
}

// cursor goes through a node's elements and holds each to the form in which
// bbolt writes it: keys and values stand without a gap behind the table of
// elements, in its order. So a wrong count, place or size is seen at once.
type cursor struct {
	n     node
	i, at int // the element, and where its key begins
	err   error

	flags uint32 // of a leaf's element
	key   []byte
	value []byte // of a leaf's element
	child uint64 // of a branch's element
}

func (n node) elements() cursor { return cursor{n: n, i: -1, at: header + element*n.count()} }

// next goes to the next element; false at the end and at the first wrong one.
func (c *cursor) next() bool {
	if c.i++; c.err != nil || c.i >= c.n.count() {
		return false
	}
	if c.at > len(c.n) {
		c.err = fmt.Errorf("cannot hold %d elements", c.n.count())
		return false
	}
	le, at := binary.LittleEndian, header+element*c.i
	e := c.n[at : at+element]
	var pos, keySize, valueSize uint32
	if c.n.isLeaf() {
		c.flags, pos, keySize, valueSize = le.Uint32(e), le.Uint32(e[4:]), le.Uint32(e[8:]), le.Uint32(e[12:])
	} else {
		pos, keySize, c.child = le.Uint32(e), le.Uint32(e[4:]), le.Uint64(e[8:])
	}
	before := c.key
	switch room := int64(len(c.n) - c.at); {
	case int64(at)+int64(pos) != int64(c.at):
		c.err = fmt.Errorf("has a gap before element %d", c.i)
	case keySize == 0 || keySize > maxKey || int64(keySize)+int64(valueSize) > room:
		c.err = fmt.Errorf("has an element %d without room for it", c.i)
	default:
		c.key = c.n[c.at : c.at+int(keySize)]
		c.at += int(keySize)
		c.value = c.n[c.at : c.at+int(valueSize)]
		c.at += int(valueSize)
		if c.i > 0 && bytes.Compare(before, c.key) >= 0 {
			c.err = fmt.Errorf("has an element %d out of order", c.i)
		}
	}
	return c.err == nil
}

// end is what is wrong after the last element: bbolt takes as many units of
// bytes, pages or single ones, as the elements need, and no more.
func (c *cursor) end(unit int) error {
	if c.err == nil && (c.at+unit-1)/unit*unit != len(c.n) {
		c.err = errors.New("is not as long as its elements")
	}
	return c.err
}

// span is the keys that may stand in a node: from low, which is its first, to
// below high; nil is no bound.
type span struct{ low, high []byte }

// check holds a whole node to its form and its place between its neighbours.
// That its first key is the one by which the parent leads to it is more than
// reading needs: bbolt finds the parent's element by it when it writes.
func (n node) check(unit int, s span) error {
	c := n.elements()
	for c.next() {
		if c.i == 0 && s.low != nil && !bytes.Equal(c.key, s.low) {
			return errors.New("does not begin with the key that leads to it")
		}
	}
	if err := c.end(unit); err != nil {
		return err
	}
	if n.count() == 0 {
		return n.checkEmpty(s)
	}
	if s.high != nil && bytes.Compare(c.key, s.high) >= 0 {
		return errors.New("has keys of the page behind it")
	}
	return nil
}

// checkEmpty: only a bucket without items has an empty page, and that page never
// held any, for bbolt writes each page afresh.
func (n node) checkEmpty(s span) error {
	if !n.isLeaf() || s.low != nil || s.high != nil || len(bytes.TrimLeft(n[header:], "\x00")) > 0 {
		return errors.New("is empty")
	}
	return nil
}

// children are the elements of a checked branch, each with its span.
func (n node) children(s span, each func(id uint64, s span) error) error {
	c := n.elements()
	for ok := c.next(); ok; {
		id, child := c.child, span{c.key, s.high}
		if ok = c.next(); ok {
			child.high = c.key
		}
		if err := each(id, child); err != nil {
			return err
		}
	}
	return nil
}

// inline is the page within the value of a small bucket; nil where the bucket
// has a page of its own.
func inline(value []byte) (root, sequence uint64, in node, err error) {
	if len(value) < header {
		return 0, 0, nil, errors.New("is too short for a bucket")
	}
	root, sequence = binary.LittleEndian.Uint64(value), binary.LittleEndian.Uint64(value[8:])
	in = value[header:]
	switch {
	case root != 0 && len(in) != 0:
		return root, sequence, nil, errors.New("is too long for a bucket")
	case root != 0:
		return root, sequence, nil, nil
	case len(in) < header || in.id() != 0 || in.flags() != leafFlag || in.overflow() != 0:
		return root, sequence, nil, errors.New("does not hold a small bucket")
	}
	return root, sequence, in, nil
}
