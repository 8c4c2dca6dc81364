package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"tram/store/fhir"
	"tram/store/journal"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/table"
)

// Keys of layout.Meta. The schema's number and the count alone are not sealed.
const (
	kSchema  = "schema"
	kJournal = "journal"
	kAudit   = "audit"
	kShown   = "shown" // how many records show something, tombstones too
	kEpoch   = layout.Epoch
)

// tx is a transaction with the seal over it.
type tx struct {
	*table.Tx
	s *Store
	// entries are what the journal must hold before this commits.
	entries []layout.Entry
	// logged is where the journal holds them.
	logged journal.Position
	// read are versions of which more was worked out already.
	read map[*record.Version]*facts
	// after runs once it committed.
	after []func()
	// newPeer says that a peer was added and is not committed yet.
	newPeer bool
	// replaying says that the journal holds it already.
	replaying bool
}

// facts are what is worked out of a version once in a transaction.
type facts struct {
	ref     record.Ref
	bytes   []byte
	content *fhir.Value
}

func (t *tx) facts(v *record.Version) *facts {
	if t.read == nil {
		t.read = map[*record.Version]*facts{}
	}
	f := t.read[v]
	if f == nil {
		f = &facts{}
		t.read[v] = f
	}
	return f
}

// bytes are a version's name with its digest, and what is stored of it.
func (t *tx) bytes(v *record.Version) (record.Ref, []byte, error) {
	f := t.facts(v)
	var err error
	if f.bytes == nil {
		f.ref, f.bytes, err = v.Bytes()
	}
	return f.ref, f.bytes, err
}

// content is a version's content, read.
func (t *tx) content(v *record.Version) (*fhir.Value, error) {
	f := t.facts(v)
	var err error
	if f.content == nil {
		f.content, err = fhir.Parse(v.Content, fhir.DefaultLimits())
	}
	return f.content, err
}

// place binds a value to where it stands.
func place(in string, key []byte) []byte {
	return append(append(append(make([]byte, 0, len(in)+1+len(key)), in...), '/'), key...)
}

func (tx *tx) putRaw(in string, key, plain []byte) error {
	return tx.Table(in).Put(key, tx.s.keys.Seal(place(in, key), plain))
}

// getRaw is the plain value; nil when there is none.
func (tx *tx) getRaw(in string, key []byte) ([]byte, error) {
	v := tx.Table(in).Get(key)
	if v == nil {
		return nil, nil
	}
	return tx.unseal(in, key, v)
}

func (tx *tx) unseal(in string, key, sealed []byte) ([]byte, error) {
	plain, err := tx.s.keys.Open(place(in, key), sealed)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in, err)
	}
	return plain, nil
}

func (tx *tx) put(in string, key []byte, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", in, err)
	}
	return tx.putRaw(in, key, plain)
}

// get reads a value into v and reports whether there is one.
func (tx *tx) get(in string, key []byte, v any) (bool, error) {
	sealed := tx.Table(in).Get(key)
	if sealed == nil {
		return false, nil
	}
	return true, tx.open(in, key, sealed, v)
}

func (tx *tx) open(in string, key, sealed []byte, v any) error {
	plain, err := tx.unseal(in, key, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("read %s: %w", in, err)
	}
	return nil
}

// maxOften bounds how many digests often remembers.
const maxOften = 8192

// often is blind for what comes again and again: kinds and codes.
func (s *Store) often(use, value string) []byte {
	at := use + "/" + value
	if have, ok := s.blinds.Load(at); ok {
		return have.([]byte)
	}
	b := s.blind(use, value)
	if s.blinded.Add(1) <= maxOften {
		s.blinds.Store(at, b)
	}
	return b
}

func (s *Store) blind(use, value string) []byte {
	b := s.keys.Blind(use, value)
	return b[:]
}

// number finds a record's internal number; nil when it has none.
func (tx *tx) number(key record.Key) []byte {
	return tx.Table(layout.Keys).Get(tx.s.blind("key", key.String()))
}

// ensureNumber gives a record an internal number when it has none.
func (tx *tx) ensureNumber(key record.Key) ([]byte, error) {
	at := tx.s.blind("key", key.String())
	b := tx.Table(layout.Keys)
	if n := b.Get(at); n != nil {
		return n, nil
	}
	n := u64(b.Next())
	return n, b.Put(at, n)
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func num(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
