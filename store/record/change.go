package record

import "fmt"

// Change is a version on its way from one replica to another; replaying it is
// harmless.
type Change struct {
	// Seq is the change's place in the feed it comes from.
	Seq uint64 `json:"seq,omitempty"`
	Key Key    `json:"key"`
	Ref Ref    `json:"ref"`
	// Prev is the number of the change that its maker offered before it under the
	// same lineage; 0 for the first. It makes gaps visible.
	Prev uint64 `json:"prev,omitempty"`
	// Gone says that the receiver no longer holds the record: its copy goes.
	Gone bool `json:"gone,omitempty"`
	// Orphan says that the sender does not hold the version's base: asking for it
	// is in vain.
	Orphan bool `json:"orphan,omitempty"`
	// Relayed says that the sender got the version from upstream and hands it back: it
	// says nothing of its maker's chain.
	Relayed bool `json:"relayed,omitempty"`
	// Waits says that the version waits for the receiver's upstream's own upstream: it
	// is not proved to be at the centre.
	Waits bool `json:"waits,omitempty"`
	// Version is nil where the receiver is known to hold it: the name suffices.
	Version *Version `json:"version,omitempty"`
}

// Verdict is what an upstream says of a change handed in.
type Verdict string

// The verdicts. The list is closed; an unknown one is read as Parked.
const (
	Known    Verdict = "known"    // already in the record's history
	Accepted Verdict = "accepted" // it is the head now
	Merged   Verdict = "merged"   // a version above it and the head is the head now
	Contest  Verdict = "conflict" // merged, and a person must decide about an element
	Waits    Verdict = "waits"    // its base is unknown: offer the base, then this again
	Parked   Verdict = "parked"   // not taken, for the reason given
)

// Taken reports whether the change is in upstream's history.
func (v Verdict) Taken() bool {
	return v == Known || v == Accepted || v == Merged || v == Contest
}

// Reason says why a change is parked or waits. The list is closed and only grows.
type Reason string

// The reasons.
const (
	IDTaken    Reason = "id-taken"     // another record was born under this id
	Fork       Reason = "fork"         // another content is known under this name
	BaseParked Reason = "base-parked"  // it was made from a parked change
	NoBase     Reason = "no-base"      // it was made from a version unknown here
	NotAllowed Reason = "not-allowed"  // its maker may not change this record
	NotFHIR    Reason = "not-fhir"     // it is no valid FHIR R4 resource
	TooLarge   Reason = "too-large"    // it exceeds upstream's limits
	Disowned   Reason = "access-ended" // the maker's access to the record ended
)

// Answer is upstream's word on one change.
type Answer struct {
	Key     Key     `json:"key"`
	Ref     Ref     `json:"ref"`
	Verdict Verdict `json:"verdict"`
	Reason  Reason  `json:"reason,omitempty"`
}

// Link is one place in a lineage's chain: "this lineage up to N" in one digest.
type Link struct {
	Lineage Lineage `json:"lineage"`
	N       uint64  `json:"n"`
	Chain   Digest  `json:"chain"`
}

// Next is the link after l for a change with the number n and the digest d.
func (l Link) Next(n uint64, d Digest) Link {
	return Link{l.Lineage, n, Sum([]byte("tram chain 1"), []byte(l.Lineage), l.Chain[:], fmt.Append(nil, n), d[:])}
}

// Receipt is upstream's signed word that it durably holds a lineage's changes
// up to Link.N, taken or parked, with the chain that proves which.
type Receipt struct {
	Link
	// Epoch is the epoch of the upstream that gave it.
	Epoch string `json:"epoch"`
	// At is upstream's clock in Unix milliseconds.
	At  int64  `json:"at"`
	Sig []byte `json:"sig"`
}

// Signed is what the signature covers: everything but itself.
func (r Receipt) Signed() []byte {
	return fmt.Appendf(nil, "tram receipt 1\n%s\n%d\n%s\n%s\n%d\n", r.Lineage, r.N, r.Chain, r.Epoch, r.At)
}

// The feeds that an upstream keeps for a replica.
const (
	// OwnFeed is the feed of the people in the replica's scope.
	OwnFeed = "own"
	// SharedFeed is the one feed of what all replicas hold.
	SharedFeed = "shared"
)

// Cursor says how far a replica got in one feed of its upstream. The zero Seq
// is before the first change.
type Cursor struct {
	Feed  string `json:"feed"`
	Epoch string `json:"epoch,omitempty"`
	Seq   uint64 `json:"seq"`
	// Digest is that of the feed's entry at Seq; it proves that both speak of
	// the same feed.
	Digest Digest `json:"digest,omitzero"`
	// Turn counts, below, how often the feed was given up and compared anew; places
	// of different turns do not compare.
	Turn uint64 `json:"turn,omitempty"`
}

// Page is a stretch of a feed.
type Page struct {
	Changes []Change
	// Cursor is where the page ends.
	Cursor Cursor
	// More says that the feed goes on behind it.
	More bool
}
