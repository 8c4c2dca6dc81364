// Package record is the ground that every other package stands on: the names
// and values that replicas exchange.
//
// It owns records, versions, changes, conflicts, receipts and cursors as plain
// values. It promises that equal values have equal encodings and digests on
// every machine. It does no I/O, reads no clock, and knows neither FHIR's
// structure nor how versions are merged or kept.
package record

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Errors that every layer above passes on unchanged.
var (
	// ErrStale says that a write was made from a version that is no longer shown.
	ErrStale = errors.New("made from a version that is no longer current")
	// ErrMoved says that a record changed between looking and applying; look again.
	ErrMoved = errors.New("the record moved meanwhile")
	// ErrNotFound says that the replica never held such a record.
	ErrNotFound = errors.New("no such record")
	// ErrDeleted says that the record's current version is a tombstone.
	ErrDeleted = errors.New("the record is deleted")
	// ErrExists says that a birth was given the id of another record.
	ErrExists = errors.New("the id is taken")
	// ErrCursor says that a cursor is not of this feed: one side was restored.
	ErrCursor = errors.New("the cursor is not of this feed")
)

// Key names a record: its FHIR resource type and its logical id. The id never
// changes and is never reused (FHIR R4, Resource.id: 1 to 64 of A-Z a-z 0-9 - .).
type Key struct {
	Kind string
	ID   string
}

// String is the FHIR relative reference, such as "Patient/k3q-17".
func (k Key) String() string { return k.Kind + "/" + k.ID }

// IsZero reports whether the key names nothing.
func (k Key) IsZero() bool { return k.Kind == "" && k.ID == "" }

// LogValue shows kind and id, which hold no patient's data.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ParseKey reads a relative reference "Kind/id" and refuses what FHIR R4 does
// not allow as a type name or id.
func ParseKey(s string) (Key, error) {
	kind, id, ok := strings.Cut(s, "/")
	k := Key{Kind: kind, ID: id}
	if !ok || !k.Valid() {
		return Key{}, fmt.Errorf("not a Kind/id reference")
	}
	return k, nil
}

// Valid reports whether kind and id have FHIR's form. Whether the kind exists
// is for those who know FHIR to say.
func (k Key) Valid() bool { return validKind(k.Kind) && ValidID(k.ID) }

// ValidID reports whether s has the form of a FHIR R4 id.
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(alnum(c) || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

func validKind(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := range len(s) {
		if !alnum(s[i]) {
			return false
		}
	}
	return true
}

func alnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// MarshalText encodes the key as "Kind/id"; the zero key is empty.
func (k Key) MarshalText() ([]byte, error) {
	if k.IsZero() {
		return nil, nil
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (k *Key) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*k = Key{}
		return nil
	}
	v, err := ParseKey(string(b))
	if err != nil {
		return err
	}
	*k = v
	return nil
}
