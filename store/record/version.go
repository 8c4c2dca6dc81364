package record

import (
	"encoding/json"
	"log/slog"
	"slices"
	"time"
)

// Stamp is when a version was made, by the clock of its maker.
type Stamp struct {
	// Unix is the maker's clock in milliseconds since 1970-01-01 UTC.
	Unix int64 `json:"at"`
	// Offset is what upstream's clock was ahead of the maker's at the last
	// exchange, in milliseconds.
	Offset int64 `json:"off,omitempty"`
	// Doubt says that the clock is known or suspected to be wrong.
	Doubt bool `json:"doubt,omitempty"`
}

// Corrected is the moment in milliseconds, offset applied. It orders
// administrative values only, never versions.
func (s Stamp) Corrected() int64 { return s.Unix + s.Offset }

// Time is the corrected moment in UTC.
func (s Stamp) Time() time.Time { return time.UnixMilli(s.Corrected()).UTC() }

// Version is one unchangeable state of a record.
type Version struct {
	Key  Key  `json:"key"`
	Name Name `json:"name"`
	// Base is the version that this one was made from; zero for a birth.
	Base Ref `json:"base,omitzero"`
	// Includes are further versions that this one takes in, as a merge does.
	Includes []Ref `json:"incl,omitempty"`
	// Seen is everything that went in, this version too.
	Seen   Seen   `json:"seen"`
	Author string `json:"by"`
	Stamp  Stamp  `json:"time"`
	// Deleted makes the version a tombstone. Its content is what was deleted.
	Deleted bool `json:"del,omitempty"`
	// Content is the resource as compact JSON, its numbers as they were written.
	Content []byte `json:"-"`
	Trace   Trace  `json:"trace,omitzero"`
	// Lost are the values that this merge decided against; they go to the vault.
	Lost []Lost `json:"lost,omitempty"`
	// Came is when the replica that answers took the version in, in Unix milliseconds by
	// its own clock; of what a record shows, when it began to show it. It never goes back
	// from one to the next, and is no part of the version. Zero is not known.
	Came int64 `json:"-"`
}

// Updated is the version's meta.lastUpdated (FHIR R4 resource.html#Meta): when this replica took it in, or,
// where that is not known, when it was made.
func (v *Version) Updated() time.Time {
	if v.Came != 0 {
		return time.UnixMilli(v.Came).UTC()
	}
	return v.Stamp.Time()
}

// NewestFirst turns versions of one record round, which stand as they came. One that was
// lost and came again stands below those that were made from it.
func NewestFirst(came []*Version) []*Version {
	var before Seen
	for i, v := range came {
		if before.Has(v.Name) {
			at := slices.IndexFunc(came[:i], func(o *Version) bool { return o.Seen.Has(v.Name) })
			copy(came[at+1:i+1], came[at:i])
			came[at] = v
		}
		before = before.Union(v.Seen)
	}
	slices.Reverse(came)
	return came
}

// Ref is the version's name with its digest.
func (v *Version) Ref() Ref {
	if v == nil || v.Name.IsZero() {
		return Ref{}
	}
	return Ref{v.Name, v.Digest()}
}

// Digest covers every field of the version.
func (v *Version) Digest() Digest {
	head, err := json.Marshal(v)
	if err != nil { // every field marshals; only a broken Trace value could fail
		return Digest{}
	}
	return v.digest(head)
}

func (v *Version) digest(head []byte) Digest {
	return Sum([]byte("tram version 1"), head, v.Content)
}

// Contested reports whether a conflict is open in this version.
func (v *Version) Contested() bool {
	for _, m := range v.Trace.Marks {
		if len(m.Alts) > 0 {
			return true
		}
	}
	return false
}

// LogValue shows key and name only: content never reaches a log.
func (v *Version) LogValue() slog.Value {
	return slog.GroupValue(slog.String("key", v.Key.String()), slog.String("version", v.Name.String()))
}

// Trace says which version set which element. An element without a mark was
// set by Born.
type Trace struct {
	// Born is the version whose content the record began with.
	Born Name `json:"born,omitzero"`
	// Marks are sorted by path.
	Marks []Mark `json:"marks,omitempty"`
	// Writers tells of every version named in the marks, and of Born, who made
	// it and when; sorted by name.
	Writers []Writer `json:"who,omitempty"`
}

// IsZero reports whether nothing is traced.
func (t Trace) IsZero() bool { return t.Born.IsZero() && len(t.Marks) == 0 && len(t.Writers) == 0 }

// Writer finds who made the version named n.
func (t Trace) Writer(n Name) (Writer, bool) {
	for _, w := range t.Writers {
		if w.Name == n {
			return w, true
		}
	}
	return Writer{}, false
}

// Writer tells who made a version, and when.
type Writer struct {
	Name   Name   `json:"n"`
	Author string `json:"by"`
	Stamp  Stamp  `json:"time"`
}

// Mark tells of one element who set it, or of one list which items it has.
//
// A path is made of JSON field names ("value[x]" for a choice), separated by
// "/"; an item of a list is named by its identity in braces:
// "contact{0}/telecom{k3…-9.0}". Identities never change; a born item's is its
// first index, a later one's is the version that added it and its index there.
type Mark struct {
	Path string `json:"p"`
	// By are the versions that set the shown value, sorted.
	By []Name `json:"by,omitempty"`
	// Items are the identities of a list's items, in the order of the content.
	Items []string `json:"items,omitempty"`
	// Alts are the contested values while a conflict is open; each differs from
	// the others.
	Alts []Alt `json:"alts,omitempty"`
}

// Alt is one value of a contested element. Value is a JSON object holding the
// element's fields, such as {"birthDate":"1961-02-03"}; {} means absent.
type Alt struct {
	Value json.RawMessage `json:"v"`
	By    []Name          `json:"by"`
}

// Lost is a value that did not win a merge.
type Lost struct {
	Path   string          `json:"p"`
	Value  json.RawMessage `json:"v"`
	Won    json.RawMessage `json:"won"`
	By     []Writer        `json:"by"`
	Policy string          `json:"why"`
}
