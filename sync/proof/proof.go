// Package proof is the end-of-day certificate: what a station made on one day, what
// of it the centre signed for, what waits and why, and whether both sides were equal.
//
// It owns the certificate's form as a file and its words for people. It promises
// that a certificate holds counts, kinds, names of versions and digests only, never
// a patient's data, and that a file that was altered is noticed. It neither makes a
// certificate nor holds one against a centre's records: that is for who has records.
package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"tram/store/record"
	"tram/sync/status"
)

// Errors of a file.
var (
	// ErrForm says that a file is no certificate, or one of a newer form.
	ErrForm = errors.New("not a certificate that this program can read")
	// ErrAltered says that a certificate is not as it was made.
	ErrAltered = errors.New("the certificate was altered")
)

const (
	// Form is the number of the form below.
	Form = 1
	// MaxFile is how long a file may be, in bytes: a day of 50,000 entries.
	MaxFile = 4 << 20
)

// Why says why entries wait. The list is closed and only grows.
type Why string

// The reasons why entries wait.
const (
	Unsent   Why = "unsent"   // not sent, or sent and not answered
	Unproved Why = "unproved" // taken, and the receipt is still to come
	Waits    Why = "waits"    // upstream wants another entry first
	Parked   Why = "parked"   // upstream did not take it, for Group.Reason
)

// Whys lists them.
func Whys() []Why { return []Why{Parked, Waits, Unproved, Unsent} }

// Certificate is one day of one station. Times are Unix milliseconds, corrected by
// what the centre's clock was ahead; a day is from From on and before To.
type Certificate struct {
	Form    int    `json:"form"`
	Station string `json:"station"`
	Version string `json:"version"` // of the program
	// Day is the date where the station is, whose clock is Zone minutes east of UTC.
	Day  string `json:"day"`
	Zone int    `json:"zone"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Made int64  `json:"made"`
	// Doubt says that the PC's clock was in doubt when the certificate was made.
	Doubt bool `json:"doubt,omitempty"`
	// Lineages are the present one and those of the day, each as far as it reaches.
	Lineages []record.Link `json:"lineages"`
	// Entries is how many versions were made on the day: those Received, Waiting, and
	// Returned, which this station had lost and got back from the centre.
	// Partial says that there are more than could be counted, Doubtful how many were
	// made while the clock was in doubt.
	Entries  int        `json:"entries"`
	Partial  bool       `json:"partial,omitempty"`
	Doubtful int        `json:"doubtful,omitempty"`
	Received []Received `json:"received,omitempty"`
	Waiting  []Group    `json:"waiting,omitempty"`
	// Cause is the health value that keeps entries from being sent; empty for none.
	Cause    status.Code `json:"cause,omitempty"`
	Returned int         `json:"returned,omitempty"`
	// Others is how many entries of other days wait.
	Others int    `json:"others,omitempty"`
	Feeds  []Feed `json:"feeds"`
	Last   Last   `json:"last,omitzero"`
}

// Received are the day's entries that one receipt covers.
type Received struct {
	record.Receipt
	// Numbers are theirs in the receipt's lineage, rising.
	Numbers []uint64       `json:"numbers"`
	Kinds   map[string]int `json:"kinds"`
}

// Group is entries of the day that wait for one reason.
type Group struct {
	Why    Why            `json:"why"`
	Reason record.Reason  `json:"reason,omitempty"` // of Parked and Waits
	Names  []record.Name  `json:"names"`
	Kinds  map[string]int `json:"kinds"`
}

// Feed is how far the station got in a feed, and the root of the tree over the heads
// that came down it.
type Feed struct {
	record.Cursor
	Root record.Digest `json:"root"`
}

// Last is the last comparison of both sides' roots since the program started; At, by
// the centre's clock, is 0 where there was none.
type Last struct {
	At    int64 `json:"at"`
	Equal bool  `json:"equal"`
}

// Took is how many of the day's entries the centre signed for.
func (c Certificate) Took() int {
	n := 0
	for _, r := range c.Received {
		n += len(r.Numbers)
	}
	return n
}

// Wait is how many of them wait.
func (c Certificate) Wait() int {
	n := 0
	for _, g := range c.Waiting {
		n += len(g.Names)
	}
	return n
}

// file is a certificate with the digest of its JSON without white space, so that a
// reader that knows fewer fields can still tell whether it was altered.
type file struct {
	Certificate json.RawMessage `json:"certificate"`
	Digest      record.Digest   `json:"digest"`
}

// Encode writes the machine form, and returns its digest.
func Encode(c Certificate) ([]byte, record.Digest, error) {
	c.Form = Form
	b, err := json.Marshal(c)
	if err != nil {
		return nil, record.Digest{}, fmt.Errorf("write certificate: %w", err)
	}
	f := file{b, digest(b)}
	out, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return nil, record.Digest{}, fmt.Errorf("write certificate: %w", err)
	}
	return append(out, '\n'), f.Digest, nil
}

// Decode reads what Encode wrote, in whatever white space. It fails with ErrForm or
// ErrAltered.
func Decode(b []byte) (Certificate, record.Digest, error) {
	var c Certificate
	var f file
	var compact bytes.Buffer
	if len(b) > MaxFile || json.Unmarshal(b, &f) != nil || json.Compact(&compact, f.Certificate) != nil {
		return c, f.Digest, ErrForm
	}
	if digest(compact.Bytes()) != f.Digest {
		return c, f.Digest, ErrAltered
	}
	if json.Unmarshal(f.Certificate, &c) != nil || c.Form != Form {
		return Certificate{}, f.Digest, ErrForm
	}
	return c, f.Digest, nil
}

func digest(compact []byte) record.Digest { return record.Sum([]byte("tram certificate 1"), compact) }
