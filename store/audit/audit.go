// Package audit is the chained record of who did and who looked.
//
// It owns the entry and its chain: each entry's digest covers the one before,
// so that none can be removed or altered unseen. It does no I/O and does not
// know where entries are kept.
package audit

import (
	"encoding/json"
	"fmt"

	"tram/store/record"
)

// Action says what was done.
type Action string

// The actions. They become AuditEvent.action and subtype (FHIR R4 AuditEvent).
const (
	Read   Action = "read"
	Search Action = "search"
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	Decide Action = "decide"
	SignIn Action = "sign-in"
	Export Action = "export"
	// Refuse is a sign-in under somebody's name with a wrong PIN.
	Refuse Action = "sign-in-refused"
	// GiveUp takes back what upstream did not take; Dismiss lets go of what was kept of
	// a record that left.
	GiveUp  Action = "give-up"
	Dismiss Action = "dismiss"
	// Date says when entries were made that a wrong clock stamped.
	Date Action = "date"
	// Review reads the audit itself.
	Review Action = "review"
	// Lost stands where an entry was that the disk did not keep.
	Lost Action = "lost"
)

// Entry is one act of one person or program.
type Entry struct {
	// At is the clock in Unix milliseconds, offset applied.
	At     int64  `json:"at"`
	Who    string `json:"who"`
	Action Action `json:"do"`
	// Key is the record; zero where the act was about none.
	Key record.Key `json:"key,omitzero"`
	// Version is the version written; zero for reads.
	Version record.Name `json:"v,omitzero"`
	// Purpose is a code such as "treatment"; never free text.
	Purpose string `json:"why,omitempty"`
}

// Linked is an entry with the digest that chains it to all before it.
type Linked struct {
	Entry
	Chain record.Digest `json:"chain"`
}

// Numbered is an entry with its place in the chain, from 1 on.
type Numbered struct {
	Linked
	N uint64
}

// Link chains an entry behind the digest of the one before it.
func Link(prev record.Digest, e Entry) (Linked, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return Linked{}, fmt.Errorf("link audit entry: %w", err)
	}
	return LinkText(prev, e, b), nil
}

// LinkText is Link for an entry whose JSON is there already.
func LinkText(prev record.Digest, e Entry, text []byte) Linked {
	return Linked{e, record.Sum([]byte("tram audit 1"), prev[:], text)}
}

// Verify reports whether l follows prev.
func (l Linked) Verify(prev record.Digest) bool {
	want, err := Link(prev, l.Entry)
	return err == nil && want.Chain == l.Chain
}
