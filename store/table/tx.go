package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// Tx is a transaction. One goroutine uses it.
type Tx struct {
	bolt    *bbolt.Tx
	db      *DB
	tables  map[string]*Table
	areas   map[string]*bbolt.Bucket
	tallies []tally
	changed bool
	late    map[string]lateValue // of the small area, to be written with the tallies
	touched [][]byte             // keys of the file that this transaction wrote
	rotten  error
}

// lateValue is a value that many writes of one transaction set; nil takes it away.
type lateValue struct {
	table *Table
	value []byte
}

// names of the buckets of the areas.
func (a Area) bucket() string {
	switch a {
	case Small:
		return "small"
	case Mixed:
		return "mixed"
	}
	return "rising"
}

// fill is how full bbolt leaves a page that it splits.
func (a Area) fill() float64 {
	if a == Mixed {
		return 0.7
	}
	return 0.95
}

func begin(b *bbolt.Tx, d *DB) (*Tx, error) {
	t := &Tx{bolt: b, db: d, tables: map[string]*Table{}, areas: map[string]*bbolt.Bucket{}}
	small := b.Bucket([]byte(Small.bucket()))
	if small == nil {
		return nil, fmt.Errorf("%w: this is no file of records", ErrDamaged)
	}
	var err error
	t.tallies, err = decodeTallies(small.Get([]byte(tallyKey)), len(d.layout))
	return t, err
}

// Writable reports whether the transaction may change anything.
func (t *Tx) Writable() bool { return t.bolt.Writable() }

// ID is the transaction's number in its file; of one that reads, that of the last written.
func (t *Tx) ID() uint64 { return uint64(t.bolt.ID()) }

// Err is the damage that was met while reading, if any.
func (t *Tx) Err() error { return t.rotten }

func (t *Tx) area(a Area) *bbolt.Bucket {
	name := a.bucket()
	b := t.areas[name]
	if b == nil {
		b = t.bolt.Bucket([]byte(name))
		b.FillPercent = a.fill()
		if t.db.packed {
			b.FillPercent = 1
		}
		t.areas[name] = b
	}
	return b
}

// Table is a table of the layout; an unknown name is a fault of the program.
func (t *Tx) Table(name string) *Table {
	if have := t.tables[name]; have != nil {
		return have
	}
	for i, s := range t.db.layout {
		if s.Name == name {
			have := &Table{tx: t, spec: s, bolt: t.area(s.Area), tally: &t.tallies[i]}
			t.tables[name] = have
			return have
		}
	}
	panic("no table " + name)
}

// catchUp writes what is late.
func (t *Tx) catchUp() error {
	for key, l := range t.late {
		err := error(nil)
		if l.value == nil {
			err = l.table.remove([]byte(key))
		} else {
			err = l.table.put([]byte(key), l.value)
		}
		if err != nil {
			return err
		}
		delete(t.late, key)
	}
	return nil
}

// seal writes what is late, and the tallies, the last thing before a commit.
func (t *Tx) seal() error {
	if err := t.catchUp(); err != nil {
		return err
	}
	return t.area(Small).Put([]byte(tallyKey), withSum([]byte(tallyKey), encodeTallies(t.tallies)))
}

// Commit makes the transaction durable. It fails with ErrDamaged where damage was
// met on the way, and then nothing is written; and with ErrUnknown where nobody knows
// whether it is there. After any other error it is not.
func (t *Tx) Commit() error { return t.commit(true) }

// CommitSoon makes the transaction visible, and durable some time later, before the
// next one is written: settled is called then, from a goroutine of its own, with what
// the disk says. A power cut until then may leave a file that is whole only
// without the transaction, which StepBack and the caller's own journal mend.
func (t *Tx) CommitSoon(settled func(error)) error {
	if err := t.commit(false); err != nil {
		return err
	}
	t.db.settle(settled)
	return nil
}

func (t *Tx) commit(now bool) error {
	if t.rotten != nil {
		return t.rotten
	}
	if !t.changed {
		return t.Rollback()
	}
	if err := t.seal(); err != nil {
		return err
	}
	if err := t.db.settled(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, errors.Join(err, t.Rollback()))
	}
	if !t.db.packed {
		t.bolt.DB().NoSync = !now
	}
	id := uint64(t.bolt.ID())
	if err := t.bolt.Commit(); err != nil {
		if begun, look := t.db.begun(id); begun || look != nil {
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		return err
	}
	t.db.wrote(t.touched)
	return nil
}

// Rollback gives the transaction up.
func (t *Tx) Rollback() error { return t.bolt.Rollback() }

func (t *Tx) touch(key []byte) {
	t.changed = true
	t.touched = append(t.touched, key)
}

// Table is a table within a transaction.
type Table struct {
	tx    *Tx
	spec  Spec
	bolt  *bbolt.Bucket
	tally *tally
}

// Len is the number of entries.
func (t *Table) Len() int { return int(t.tally.Count) }

// Next draws the next number of the table's sequence; the first is 1.
func (t *Table) Next() uint64 {
	t.tally.Next++
	t.tx.changed = true
	return t.tally.Next
}

// Reach makes the sequence go on behind n, if it is not there yet.
func (t *Table) Reach(n uint64) {
	if t.tally.Next < n {
		t.tally.Next, t.tx.changed = n, true
	}
}

// value cuts the checksum off; damage is noted in the transaction.
func (t *Table) value(key, stored []byte) []byte {
	v, _, ok := split(key, stored)
	if !ok && t.tx.rotten == nil {
		t.tx.rotten = fmt.Errorf("%w: an entry of %s is altered", ErrDamaged, t.spec.Name)
	}
	return v
}

// Get is the value of a key; nil where there is none. It is valid until the
// transaction ends and must not be changed.
func (t *Table) Get(key []byte) []byte {
	at := t.spec.physical(key)
	if l, ok := t.tx.late[string(at)]; ok {
		return l.value
	}
	stored := t.bolt.Get(at)
	if stored == nil {
		return nil
	}
	return t.value(at, stored)
}

// Put sets the value of a key.
func (t *Table) Put(key, value []byte) error {
	at := t.spec.physical(key)
	if t.spec.Area == Small {
		t.later(at, append([]byte{}, value...))
		return nil
	}
	return t.put(at, value)
}

func (t *Table) later(at, value []byte) {
	if t.tx.late == nil {
		t.tx.late = map[string]lateValue{}
	}
	t.tx.late[string(at)], t.tx.changed = lateValue{t, value}, true
}

func (t *Table) put(at, value []byte) error {
	old := t.bolt.Get(at)
	stored := withSum(at, value)
	if bytes.Equal(old, stored) {
		return nil
	}
	t.forget(old)
	t.tally.Count++
	t.tally.Sum += uint64(binary.LittleEndian.Uint32(stored[len(value):]))
	t.tx.touch(at)
	return t.bolt.Put(at, stored)
}

// Add sets the value of a key that has none, as the caller knows: one whose number Next
// just drew, or that Get did not find.
func (t *Table) Add(key, value []byte) error {
	at := t.spec.physical(key)
	stored := withSum(at, value)
	t.tally.Count++
	t.tally.Sum += uint64(binary.LittleEndian.Uint32(stored[len(value):]))
	t.tx.touch(at)
	return t.bolt.Put(at, stored)
}

// Delete removes a key; one that is not there is no error.
func (t *Table) Delete(key []byte) error {
	at := t.spec.physical(key)
	if t.spec.Area == Small {
		t.later(at, nil)
		return nil
	}
	return t.remove(at)
}

func (t *Table) remove(at []byte) error {
	old := t.bolt.Get(at)
	if old == nil {
		return nil
	}
	t.forget(old)
	t.tx.touch(at)
	return t.bolt.Delete(at)
}

// forget takes a stored value out of the tally; its checksum is as it was when it was
// counted, whatever became of the rest.
func (t *Table) forget(old []byte) {
	if len(old) < sumLen {
		return
	}
	t.tally.Count--
	t.tally.Sum -= uint64(binary.LittleEndian.Uint32(old[len(old)-sumLen:]))
}

// ForEach calls f for every entry in the order of the keys, until it fails. The
// table must not be changed meanwhile.
func (t *Table) ForEach(f func(key, value []byte) error) error {
	c := t.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}
