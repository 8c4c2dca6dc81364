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

// The buckets. Records stand under internal numbers that say nothing; every
// value is sealed but for numbers and digests of digests.
var (
	bMeta      = []byte("meta")      // name -> value
	bKeys      = []byte("keys")      // blind(key) -> number
	bStands    = []byte("stands")    // number -> stand
	bVersions  = []byte("versions")  // number, order -> version
	bOrder     = []byte("order")     // order of a version -> number
	bPreviews  = []byte("previews")  // number -> version without a name
	bIndex     = []byte("index")     // see search.go
	bOwn       = []byte("own")       // order -> own change that has no receipt yet
	bOwnAt     = []byte("own-at")    // blind(version name) -> order in own
	bLinks     = []byte("links")     // lineage, number -> chain
	bLoose     = []byte("loose")     // lineage, previous number -> change above a gap
	bReceipts  = []byte("receipts")  // lineage -> receipt
	bCursors   = []byte("cursors")   // feed -> cursor
	bRefused   = []byte("refused")   // blind(ref) -> change that was not taken, with its reason
	bContested = []byte("contested") // number -> nothing
	bVault     = []byte("vault")     // order -> value that did not win
	bAudit     = []byte("audit")     // order -> entry
	bAuditOf   = []byte("audit-of")  // number, order -> nothing
	bLives     = []byte("lives")     // order -> lineage
	bPeers     = []byte("peers")     // blind(name) -> peer
	bFeeds     = []byte("feeds")     // blind(feed), sequence -> entry
	bFeedAt    = []byte("feed-at")   // blind(feed), number -> sequence, leaf
	bTrees     = []byte("trees")     // blind(feed), bucket -> digest
	bScope     = []byte("scope")     // number of a patient -> stations
	bSettings  = []byte("settings")  // blind(name) -> value
	bRescued   = []byte("rescued")   // order -> own version of a record that went
)

func buckets() [][]byte {
	return [][]byte{bMeta, bKeys, bStands, bVersions, bOrder, bPreviews, bIndex, bOwn, bOwnAt, bLinks, bLoose, bReceipts, bCursors,
		bRefused, bContested, bVault, bAudit, bAuditOf, bLives, bPeers, bFeeds, bFeedAt, bTrees, bScope, bSettings, bRescued}
}

func makeBuckets(b *bbolt.Tx) error {
	for _, name := range buckets() {
		if _, err := b.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	if meta := b.Bucket(bMeta); meta.Get(kSchema) == nil {
		return meta.Put(kSchema, u64(Schema))
	}
	return nil
}

// Keys of bMeta. The schema's number alone is not sealed.
var (
	kSchema  = []byte("schema")
	kJournal = []byte("journal")
	kAudit   = []byte("audit")
	kEpoch   = []byte("epoch")
)

func (s *Store) schema() error {
	return s.db.View(func(b *bbolt.Tx) error {
		meta := b.Bucket(bMeta)
		if meta == nil || len(meta.Get(kSchema)) != 8 {
			return fmt.Errorf("this is no file of records")
		}
		if n := binary.BigEndian.Uint64(meta.Get(kSchema)); n > Schema {
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
	// replaying says that the journal holds it already.
	replaying bool
}

func place(bucket, key []byte) []byte {
	return append(append(append(make([]byte, 0, len(bucket)+1+len(key)), bucket...), '/'), key...)
}

func (tx *tx) putRaw(bucket, key, plain []byte) error {
	return tx.Bucket(bucket).Put(key, tx.s.keys.Seal(place(bucket, key), plain))
}

// getRaw is the plain value; nil when there is none.
func (tx *tx) getRaw(bucket, key []byte) ([]byte, error) {
	v := tx.Bucket(bucket).Get(key)
	if v == nil {
		return nil, nil
	}
	return tx.unseal(bucket, key, v)
}

func (tx *tx) unseal(bucket, key, sealed []byte) ([]byte, error) {
	plain, err := tx.s.keys.Open(place(bucket, key), sealed)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", bucket, err)
	}
	return plain, nil
}

func (tx *tx) put(bucket, key []byte, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", bucket, err)
	}
	return tx.putRaw(bucket, key, plain)
}

// get reads a value into v and reports whether there is one.
func (tx *tx) get(bucket, key []byte, v any) (bool, error) {
	sealed := tx.Bucket(bucket).Get(key)
	if sealed == nil {
		return false, nil
	}
	return true, tx.open(bucket, key, sealed, v)
}

func (tx *tx) open(bucket, key, sealed []byte, v any) error {
	plain, err := tx.unseal(bucket, key, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("read %s: %w", bucket, err)
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
