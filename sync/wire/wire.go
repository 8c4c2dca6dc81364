// Package wire is what two replicas say to each other, as bytes.
//
// It owns the frames of an exchange and their encoding (../PROTOCOL.md), and the
// closed list of codes. It promises that a version arrives byte for byte as it
// was sent, that fields it does not know are passed over, and that nothing from
// outside makes it take more memory than its limits. It does no I/O of its own
// and does not know what the frames bring about.
package wire

import (
	"encoding/json"
	"slices"

	"tram/store/audit"
	"tram/store/record"
)

// Versions of the wire; ../PROTOCOL.md dates each. What speaks the newest speaks the
// others too.
const (
	First    = 1
	Protocol = 2
)

// Frame is one thing said; exactly one field is set. A frame with none is of a
// later protocol and is passed over.
type Frame struct {
	Hello   *Hello          `json:"hello,omitempty"`
	Welcome *Welcome        `json:"welcome,omitempty"`
	Change  *record.Change  `json:"-"`
	Edit    *Edit           `json:"edit,omitempty"`
	Answer  *record.Answer  `json:"answer,omitempty"`
	Answers *Answers        `json:"answers,omitempty"`
	Echo    *Echo           `json:"echo,omitempty"`
	Parked  *record.Answer  `json:"parked,omitempty"`
	Receipt *record.Receipt `json:"receipt,omitempty"`
	Proof   *Proof          `json:"proof,omitempty"`
	Leaves  *Leaves         `json:"leaves,omitempty"`
	Acts    *Acts           `json:"acts,omitempty"`
	Act     json.RawMessage `json:"act,omitempty"`
	Mark    *Mark           `json:"mark,omitempty"`
	End     *End            `json:"end,omitempty"`
}

// Hello opens a request.
type Hello struct {
	Protocol int    `json:"protocol"`
	Replica  string `json:"replica"`
	// Life is the lineage that speaks, Continues those it came from, newest first.
	Life      record.Lineage   `json:"life"`
	Continues []record.Lineage `json:"continues,omitempty"`
	// Run says that Continues and Links leave none out but, behind the newest fifteen, those
	// under which nothing waits.
	Run bool `json:"run,omitempty"`
	// Links are the chains of the asker's own changes, each as far as it reaches.
	Links []record.Link `json:"links,omitempty"`
	// Proved says how many of them, the first ones, need no other receipt.
	Proved  int             `json:"proved,omitempty"`
	Cursors []record.Cursor `json:"cursors"`
	// Roots are the roots of the asker's trees at these cursors, by feed.
	Roots map[string]record.Digest `json:"roots,omitempty"`
	// Full asks for every version whole, names not being enough.
	Full bool `json:"full,omitempty"`
	// Unanswered asks, and nothing else, what arrived of an exchange that was cut.
	Unanswered bool `json:"unanswered,omitempty"`
	// Stretch is how many changes may stand between two marks of the answer; 0 leaves it to
	// upstream.
	Stretch int `json:"stretch,omitempty"`
	// Acts asks whether upstream keeps who did and who looked, and hands that in where the
	// asker knows.
	Acts bool `json:"acts,omitempty"`
	// Compare are trees to be held against upstream's, Want records to be sent again.
	Compare []Compare `json:"compare,omitempty"`
	Want    []Want    `json:"want,omitempty"`
	// Allowed is what the asker's link is used for at the most, as it was told last.
	Allowed Allowance `json:"allowed,omitzero"`
	// Report is the status report.
	Report json.RawMessage `json:"report,omitempty"`
}

// Owns reports whether a lineage is one of the asker's own; of others it may hand in
// changes, but says nothing of their chain.
func (h *Hello) Owns(l record.Lineage) bool {
	return h.Life == l || slices.Contains(h.Continues, l) || slices.ContainsFunc(h.Links, func(k record.Link) bool { return k.Lineage == l })
}

// Compare asks where a feed's tree differs, in some parts of it.
type Compare struct {
	Feed  string `json:"feed"`
	Parts []Part `json:"parts"`
}

// Part is one node of a tree with the digests of the nodes so many digits below it
// that they are as many: 1, 16 or 256 of SumLen bytes. Without any, all heads in the
// node are asked for.
type Part struct {
	At   record.Node `json:"at,omitempty"`
	Sums []byte      `json:"sums,omitempty"`
}

// SumLen is how many bytes of a node's digest travel. The roots are compared whole.
const SumLen = 8

// Want asks for records of a feed again; End is where the cursor goes then.
type Want struct {
	Feed string        `json:"feed"`
	Keys []record.Key  `json:"keys"`
	End  record.Cursor `json:"end"`
}

// Welcome opens an answer.
type Welcome struct {
	Protocol int    `json:"protocol"`
	Replica  string `json:"replica"`
	// Time is upstream's clock in Unix milliseconds when it read the Hello.
	Time int64 `json:"time"`
	// Links are the chains of the asker's lineages as far as upstream holds them,
	// also of the one that speaks. In protocol 2 a link of the hello that is upstream's
	// too is left out, and so is that of Life where both have none.
	Links []record.Link `json:"links,omitempty"`
	// Proved says, where upstream has an upstream itself, how far that one's receipts
	// reach in each lineage of Links.
	Proved map[record.Lineage]uint64 `json:"proved,omitempty"`
	// Refused says why the asker gets nothing; what it handed in was still heard.
	Refused Refusal `json:"refused,omitempty"`
	// Later asks for the next exchange in so many seconds at the earliest.
	Later int `json:"later,omitempty"`
	// Allowed is what the asker's link may be used for, where the hello says something else.
	Allowed *Allowance `json:"allowed,omitempty"`
	// Acts is up to which number upstream kept what Hello.Acts handed in, 0 where that was
	// nothing; nil where it keeps none.
	Acts *uint64 `json:"acts,omitempty"`
	// Left is how many places the asker's cursors are behind the ends of the feeds, where
	// that is more than an exchange gives.
	Left uint64 `json:"left,omitempty"`
	// Unknown names the feeds of which upstream does not know the cursor.
	Unknown []string `json:"unknown,omitempty"`
	// Heard says that Hello.Unanswered is answered: by an answer to each change that is kept
	// and not taken; the others of the asker's chains, as far as these reach here, are known.
	Heard bool `json:"heard,omitempty"`
}

// Refusal is why an upstream gives a replica nothing. The list is closed and
// only grows.
type Refusal string

// The refusals.
const (
	SecondPC    Refusal = "second-pc"    // another PC speaks for this replica
	Revoked     Refusal = "revoked"      // its access ended
	TooOld      Refusal = "too-old"      // its program speaks no protocol known here
	Stopped     Refusal = "stopped"      // upstream's own store has stopped
	Unenrolled  Refusal = "not-enrolled" // upstream does not know it
	OtherName   Refusal = "other-name"   // it says another name than its certificate
	StoreFull   Refusal = "full"         // upstream has no room
	BadExchange Refusal = "nonsense"     // what was sent could not be read
)

// Leaves are what upstream has in one node of a feed's tree that differs: its agreed
// heads, as names, or where they are many, the digests of the 16 nodes below it. One
// with End has nothing else: it closes the comparison of a feed.
type Leaves struct {
	Feed  string          `json:"feed"`
	At    record.Node     `json:"at,omitempty"`
	Heads []record.Change `json:"heads,omitempty"`
	Sums  []byte          `json:"sums,omitempty"`
	// End is where the feed ended when the comparison began.
	End *record.Cursor `json:"end,omitempty"`
}

// Answers are upstream's word on the next N changes of the request, in their order.
type Answers struct {
	N       int            `json:"n"`
	Verdict record.Verdict `json:"verdict"`
	Reason  record.Reason  `json:"reason,omitempty"`
}

// Echo says that N changes of the request, from the one at From on, stand in the feed
// from Seq on, one behind the other.
type Echo struct {
	Seq  uint64 `json:"s"`
	From int    `json:"f"`
	N    int    `json:"n"`
}

// Acts begins a segment of the asker's audit; its N entries follow as Act, each as it was
// chained, and a mark.
type Acts struct {
	N int `json:"n"`
	audit.Segment
}

// Mark ends a stretch: what came since the last mark is one transaction, and
// the cursor after it is Cursor.
type Mark struct {
	Cursor *record.Cursor `json:"cursor,omitempty"`
	// Sum is that of the stretch's changes, where some came as edits.
	Sum []byte `json:"sum,omitempty"`
}

// End closes a request or an answer. What ends without it was cut.
type End struct {
	// More says that there is more to come in another exchange.
	More bool `json:"more,omitempty"`
	// Roots are the roots of upstream's trees by feed, after all that was sent.
	Roots map[string]record.Digest `json:"roots,omitempty"`
	// Same says that a root that Roots does not name is that of the hello.
	Same bool `json:"same,omitempty"`
}

// Proof is a receipt for a link of the hello, given at the welcome's time in the epoch of
// the hello's first cursor.
type Proof struct {
	Of  int    `json:"of"` // which link, from 0
	Sig []byte `json:"sig"`
}

// change is a Change as it travels: what the receiver can derive is left out.
type change struct {
	Seq      uint64        `json:"s,omitempty"`
	Key      record.Key    `json:"k,omitzero"`
	Ref      record.Ref    `json:"r,omitzero"` // without a version
	Prev     uint64        `json:"p,omitempty"`
	Gone     bool          `json:"gone,omitempty"`
	Orphan   bool          `json:"orphan,omitempty"`
	Relayed  bool          `json:"relayed,omitempty"`
	Waits    bool          `json:"waits,omitempty"`
	Name     record.Name   `json:"v,omitzero"` // with a version, whose content is the next line
	Base     record.Ref    `json:"b,omitzero"`
	Includes []record.Ref  `json:"i,omitempty"`
	Seen     record.Seen   `json:"n,omitempty"` // but where it is the name alone
	Author   string        `json:"by,omitempty"`
	Stamp    *record.Stamp `json:"t,omitempty"`
	Deleted  bool          `json:"del,omitempty"`
	Trace    record.Trace  `json:"e,omitzero"`
	Lost     []record.Lost `json:"lost,omitempty"`
}

func slim(c *record.Change) change {
	out := change{Seq: c.Seq, Key: c.Key, Prev: c.Prev, Gone: c.Gone, Orphan: c.Orphan, Relayed: c.Relayed, Waits: c.Waits}
	v := c.Version
	if v == nil {
		out.Ref = c.Ref
		return out
	}
	out.Name, out.Base, out.Includes, out.Seen = v.Name, v.Base, v.Includes, v.Seen
	if len(v.Seen) == 1 && v.Seen[v.Name.Lineage] == v.Name.N {
		out.Seen = nil
	}
	stamp := v.Stamp
	out.Author, out.Stamp, out.Deleted, out.Trace, out.Lost = v.Author, &stamp, v.Deleted, v.Trace, v.Lost
	return out
}

// full makes the change again; content is nil where none followed.
func (c change) full(content []byte) *record.Change {
	out := &record.Change{Seq: c.Seq, Key: c.Key, Ref: c.Ref, Prev: c.Prev, Gone: c.Gone, Orphan: c.Orphan, Relayed: c.Relayed, Waits: c.Waits}
	if c.Name.IsZero() {
		return out
	}
	v := &record.Version{Key: c.Key, Name: c.Name, Base: c.Base, Includes: c.Includes, Seen: c.Seen,
		Author: c.Author, Deleted: c.Deleted, Content: content, Trace: c.Trace, Lost: c.Lost}
	if len(v.Seen) == 0 {
		v.Seen = record.Seen{}.With(v.Name)
	}
	if c.Stamp != nil {
		v.Stamp = *c.Stamp
	}
	out.Version, out.Ref = v, v.Ref()
	return out
}
