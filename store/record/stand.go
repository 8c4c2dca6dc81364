package record

// Stand is how a record stands at one replica.
type Stand struct {
	Key Key
	// Head is the version at the end of upstream's line, as far as it came down;
	// at the top replica the head itself. Nil before any.
	Head *Version
	// Pending are this replica's own versions that Head does not include yet,
	// oldest first.
	Pending []Ref
	// Shown is what pages, search and API show: Head, the last pending version
	// where it saw everything, or the preview of both.
	Shown *Version
	// Seq is the feed position at which the record stands; lower ones are old.
	Seq uint64
	// Gone says that the record left this replica's scope; only names stay.
	Gone bool
	// Parked is upstream's reason for not taking the last pending version.
	Parked Reason
	// Known holds, of the names asked for, those in the record's history.
	Known map[Name]Digest
	// Refused holds, of the names asked for, those that are parked here, and why.
	Refused map[Name]Reason
	// Above holds, of the names asked for, those that came from below, could not be taken in
	// here, and are at the top replica.
	Above map[Name]bool
	// Base is the version asked for as base; nil where it is not in the history.
	Base *Version
}

// Preview reports whether Shown is no version of its own but Head with the
// pending version laid over it.
func (s *Stand) Preview() bool {
	return s.Shown != nil && s.Shown.Name.IsZero()
}

// Tag names what is shown, for a writer to say what it saw: a version's name,
// or both names of a preview joined by "~".
func (s *Stand) Tag() string {
	switch {
	case s.Shown == nil:
		return ""
	case !s.Preview():
		return s.Shown.Name.String()
	default:
		return s.Head.Name.String() + "~" + s.Pending[len(s.Pending)-1].Name.String()
	}
}

// Place says where an entry is, for people to see.
type Place string

// The places.
const (
	Here    Place = "here"    // saved here, not yet at the centre
	Centre  Place = "centre"  // the centre proved that it holds it
	NeedsUs Place = "you"     // it needs a person: parked, or a conflict is open
	Nowhere Place = "nowhere" // not held here
)

// Decided is a change handed in from below together with what the engine made
// of it.
type Decided struct {
	Change
	// On is the head that the decision was made on; zero for none. Applying fails
	// with ErrMoved when it is not the head any more.
	On      Ref
	Verdict Verdict
	Reason  Reason
	// Merge is the version above Change and On, still without name; nil where
	// none is needed. The replica that applies it names it. Without a version in
	// Change it is upstream's own word, above On alone.
	Merge *Version
	// Preview is what to show where this replica has an upstream whose version the
	// change does not include; nil where the change alone is shown.
	Preview *Version
	// Foreign says that the peer hands in what another made: it goes into no chain,
	// which is its maker's to carry on.
	Foreign bool `json:"foreign,omitempty"`
}

// Arrival is a change that came down from upstream together with how the
// record looks with it.
type Arrival struct {
	Change
	// On is the last pending version that the decision saw; zero for none.
	On Ref
	// Preview is what to show where a pending version is laid over the change;
	// nil where the change alone is shown.
	Preview *Version
}

// Stretch is everything between two commit marks of an exchange. It is applied
// whole or not at all; applying it again changes nothing.
type Stretch struct {
	// Peer is the replica at the other side.
	Peer string
	// Taken are changes handed in from below (upstream's half).
	Taken []Decided
	// Arrived are changes that came down (the asking half), and Answers,
	// Receipts and Cursor what came with them.
	Arrived  []Arrival
	Answers  []Answer
	Receipts []Receipt
	Cursor   *Cursor
}

// Empty reports whether there is nothing to apply.
func (s *Stretch) Empty() bool {
	return len(s.Taken) == 0 && len(s.Arrived) == 0 && len(s.Answers) == 0 && len(s.Receipts) == 0 && s.Cursor == nil
}

// Standing is what a replica that has an upstream says of itself when it asks.
type Standing struct {
	// Lives are its lineages, the present one first.
	Lives []Lineage
	// Links are the chains of its lineages that may still matter, each as far as
	// it reaches. The first Proved of them are proved to their end: those of former
	// lives at any time, the present one within the last hour.
	Links   []Link
	Proved  int
	Cursors []Cursor
}

// Lives is what a replica says of the lineages that it writes and wrote under.
type Lives struct {
	Now Lineage
	// Former are those before, each with how far its chain reaches.
	Former map[Lineage]uint64
	// Run says that none is left out but old ones under which nothing waits.
	Run bool
}

// Recovery is what the asking half learnt about an upstream that lost things or
// about a twin of itself.
type Recovery struct {
	// Highest are names that upstream knows of this replica's lineages. One that
	// was never drawn here means that a twin is at work: a new lineage begins.
	Highest []Name
	// Forked are upstream's links of own lineages over which the chain here passes, or has
	// another one in their place: another image of this database speaks under them too, or
	// this one has lost where its chain began and upstream what a receipt proves.
	Forked []Link
	// Void are receipts that upstream cannot prove beyond the link: what they
	// covered waits again.
	Void []Link
	// Proved says how far upstream's own upstream proved to hold lineages: what receipts
	// cover beyond waits for another one.
	Proved map[Lineage]uint64
	// Offer are records that upstream does not hold any more: they wait again.
	Offer []Key
}
