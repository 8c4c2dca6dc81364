package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"tram/store/record"
)

// Schema is the number of the layout below. A newer one is refused untouched.
const Schema = 1

// bucket is the name of a part of the database.
type bucket string

// The buckets. Records stand under internal numbers that say nothing; every
// value is sealed but for numbers and digests of digests.
const (
	bMeta      bucket = "meta"      // name -> value
	bKeys      bucket = "keys"      // blind(key) -> number
	bStands    bucket = "stands"    // number -> stand
	bVersions  bucket = "versions"  // number, order -> version
	bOrder     bucket = "order"     // order of a version -> number
	bPreviews  bucket = "previews"  // number -> version without a name
	bIndex     bucket = "index"     // see search.go
	bOwn       bucket = "own"       // order -> own change that has no receipt yet
	bOwnAt     bucket = "own-at"    // blind(version name) -> order in own
	bLinks     bucket = "links"     // lineage, number -> chain
	bLoose     bucket = "loose"     // lineage, previous number -> change above a gap
	bReceipts  bucket = "receipts"  // lineage -> receipt
	bCursors   bucket = "cursors"   // feed -> cursor
	bRefused   bucket = "refused"   // blind(ref) -> change that was not taken, with its reason
	bContested bucket = "contested" // number -> nothing
	bVault     bucket = "vault"     // order -> value that did not win
	bAudit     bucket = "audit"     // order -> entry
	bAuditOf   bucket = "audit-of"  // number, order -> nothing
	bLives     bucket = "lives"     // order -> lineage
	bPeers     bucket = "peers"     // blind(name) -> peer
	bFeeds     bucket = "feeds"     // blind(feed), sequence -> entry
	bFeedAt    bucket = "feed-at"   // blind(feed), number -> sequence, leaf
	bTrees     bucket = "trees"     // blind(feed), bucket -> digest
	bScope     bucket = "scope"     // number of a patient -> stations
	bSettings  bucket = "settings"  // blind(name) -> value
	bRescued   bucket = "rescued"   // order -> own version of a record that went
)

func buckets() []bucket {
	return []bucket{bMeta, bKeys, bStands, bVersions, bOrder, bPreviews, bIndex, bOwn, bOwnAt, bLinks, bLoose, bReceipts, bCursors,
		bRefused, bContested, bVault, bAudit, bAuditOf, bLives, bPeers, bFeeds, bFeedAt, bTrees, bScope, bSettings, bRescued}
}

func makeBuckets(b *bbolt.Tx) error {
	for _, name := range buckets() {
		if _, err := b.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	if meta := b.Bucket([]byte(bMeta)); meta.Get([]byte(kSchema)) == nil {
		return meta.Put([]byte(kSchema), u64(Schema))
	}
	return nil
}

// Keys of bMeta. The schema's number and the count alone are not sealed.
const (
	kSchema  = "schema"
	kJournal = "journal"
	kAudit   = "audit"
	kShown   = "shown" // how many records show something, tombstones too
	kEpoch   = "epoch"
)

func (s *Store) schema() error {
	return s.db.View(func(b *bbolt.Tx) error {
		meta := b.Bucket([]byte(bMeta))
		if meta == nil || len(meta.Get([]byte(kSchema))) != 8 {
			return fmt.Errorf("this is no file of records")
		}
		if n := binary.BigEndian.Uint64(meta.Get([]byte(kSchema))); n > Schema {
			return fmt.Errorf("%w: schema %d, this program reads %d", ErrNewer, n, Schema)
		}
		return nil
	})
}

// tx is a transaction with the seal over it.
type tx struct {
	*bbolt.Tx
	s *Store
	// entries are what the journal must hold before this commits.
	entries []entry
	// after runs once it committed.
	after []func()
	// newPeer says that a peer was added and is not committed yet.
	newPeer bool
	// replaying says that the journal holds it already.
	replaying bool
}

// Bucket is a bucket of the transaction; all are made with the store.
func (tx *tx) Bucket(name bucket) *bbolt.Bucket {
	b := tx.Tx.Bucket([]byte(name))
	switch name {
	case bAudit, bAuditOf, bFeeds, bLinks, bOrder, bOwn, bStands, bVersions:
		b.FillPercent = 0.9 // their keys rise: a page that was split stays as it is, half empty by default
	}
	return b
}

func place(in bucket, key []byte) []byte {
	return append(append(append(make([]byte, 0, len(in)+1+len(key)), in...), '/'), key...)
}

func (tx *tx) putRaw(in bucket, key, plain []byte) error {
	return tx.Bucket(in).Put(key, tx.s.keys.Seal(place(in, key), plain))
}

// getRaw is the plain value; nil when there is none.
func (tx *tx) getRaw(in bucket, key []byte) ([]byte, error) {
	v := tx.Bucket(in).Get(key)
	if v == nil {
		return nil, nil
	}
	return tx.unseal(in, key, v)
}

func (tx *tx) unseal(in bucket, key, sealed []byte) ([]byte, error) {
	plain, err := tx.s.keys.Open(place(in, key), sealed)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in, err)
	}
	return plain, nil
}

func (tx *tx) put(in bucket, key []byte, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", in, err)
	}
	return tx.putRaw(in, key, plain)
}

// get reads a value into v and reports whether there is one.
func (tx *tx) get(in bucket, key []byte, v any) (bool, error) {
	sealed := tx.Bucket(in).Get(key)
	if sealed == nil {
		return false, nil
	}
	return true, tx.open(in, key, sealed, v)
}

func (tx *tx) open(in bucket, key, sealed []byte, v any) error {
	plain, err := tx.unseal(in, key, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("read %s: %w", in, err)
	}
	return nil
}

func (s *Store) blind(use, value string) []byte {
	b := s.keys.Blind(use, value)
	return b[:]
}

// number finds a record's internal number; nil when it has none.
func (tx *tx) number(key record.Key) []byte {
	return tx.Bucket(bKeys).Get(tx.s.blind("key", key.String()))
}

// ensureNumber gives a record an internal number when it has none.
func (tx *tx) ensureNumber(key record.Key) ([]byte, error) {
	if n := tx.number(key); n != nil {
		return n, nil
	}
	b := tx.Bucket(bKeys)
	n, err := b.NextSequence()
	if err != nil {
		return nil, err
	}
	return u64(n), b.Put(tx.s.blind("key", key.String()), u64(n))
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
