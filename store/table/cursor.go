package table

import "go.etcd.io/bbolt"

// Cursor goes through a table in the order of its keys. Keys and values are valid
// until the transaction ends; nil is behind the end.
type Cursor struct {
	t *Table
	c *bbolt.Cursor
}

// Cursor begins before the first entry.
func (t *Table) Cursor() *Cursor {
	if t.spec.Area == Small {
		if err := t.tx.catchUp(); err != nil && t.tx.rotten == nil {
			t.tx.rotten = err
		}
	}
	return &Cursor{t, t.bolt.Cursor()}
}

// First goes to the first entry.
func (c *Cursor) First() (key, value []byte) {
	if c.t.spec.Area == Record {
		return c.ahead(c.c.First())
	}
	return c.ahead(c.c.Seek([]byte{c.t.spec.Letter}))
}

// Last goes to the last entry.
func (c *Cursor) Last() (key, value []byte) {
	end := []byte{1}
	if c.t.spec.Area != Record {
		end[0] = c.t.spec.Letter + 1
	}
	if k, _ := c.c.Seek(end); k == nil {
		return c.back(c.c.Last())
	}
	return c.back(c.c.Prev())
}

// Seek goes to a key or, where it is not there, to the one behind it.
func (c *Cursor) Seek(key []byte) (k, value []byte) {
	if c.t.spec.Area == Record && len(key) < numberLen {
		return c.ahead(c.c.Seek(key))
	}
	return c.ahead(c.c.Seek(c.t.spec.physical(key)))
}

// Next goes to the entry behind.
func (c *Cursor) Next() (key, value []byte) { return c.ahead(c.c.Next()) }

// Prev goes to the entry before.
func (c *Cursor) Prev() (key, value []byte) { return c.back(c.c.Prev()) }

// ahead skips forward over what belongs to other tables.
func (c *Cursor) ahead(k, v []byte) ([]byte, []byte) {
	for ; k != nil; k, v = c.c.Next() {
		if mine, over := c.mine(k); mine {
			return c.t.spec.logical(k), c.t.value(k, v)
		} else if over {
			break
		}
	}
	return nil, nil
}

// back skips backward over what belongs to other tables.
func (c *Cursor) back(k, v []byte) ([]byte, []byte) {
	for ; k != nil; k, v = c.c.Prev() {
		if mine, _ := c.mine(k); mine {
			return c.t.spec.logical(k), c.t.value(k, v)
		} else if c.t.spec.Area != Record && k[0] != c.t.spec.Letter {
			break
		}
	}
	return nil, nil
}

// mine reports whether a key of the file is of this table, and whether no later one
// can be.
func (c *Cursor) mine(k []byte) (mine, over bool) {
	letter, ok := letterOf(k)
	if c.t.spec.Area == Record {
		return ok && k[0] == 0 && letter == c.t.spec.Letter, k[0] != 0
	}
	return k[0] == c.t.spec.Letter, k[0] > c.t.spec.Letter
}
