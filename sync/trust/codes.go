package trust

import (
	"time"
)

const (
	// MaxTries is how many wrong codes one source may send before it is locked.
	MaxTries = 10
	// LockFor is how long a source stays locked after its last wrong code.
	LockFor = time.Hour
	// maxSources limits how many sources of wrong codes are remembered.
	maxSources = 4096
)

// Outcome is what became of a code handed in. The list is closed and only
// grows; its values travel in refusals.
type Outcome string

// The outcomes.
const (
	Enrolled    Outcome = "enrolled"    // first use: issue the certificate
	Again       Outcome = "again"       // the same key once more: the answer was lost, give it again
	Malformed   Outcome = "malformed"   // not the form of a code; counts as no try
	Unknown     Outcome = "unknown"     // no such code; counts as a try
	Expired     Outcome = "expired"     // the code's life is over
	Locked      Outcome = "locked"      // too many wrong tries from this source; the code was not looked at
	Quarantined Outcome = "quarantined" // two keys used one code: nobody gets a certificate by it
)

// Granted reports whether a certificate is to be issued.
func (o Outcome) Granted() bool { return o == Enrolled || o == Again }

// Result is what Redeem found.
type Result struct {
	Outcome Outcome
	// Replica is whom the code is for; empty where the code is not known.
	Replica string
	// FirstKey is the key that used the code first, SecondKey the other one.
	// Both are set for Quarantined only, which is to be reported to a person.
	FirstKey, SecondKey string
	// Tag and Source name the entries of CodeState that changed and are to be
	// kept before the answer goes out; empty for none.
	Tag, Source string
}

// Slip is what a centre keeps of one code. Times are Unix milliseconds.
type Slip struct {
	Replica string `json:"replica"`
	Issued  int64  `json:"issued"`
	Expires int64  `json:"expires"`
	// Key is the fingerprint of the key that used the code; empty before.
	Key  string `json:"key,omitempty"`
	Used int64  `json:"used,omitempty"`
	// SecondKey is the other key that tried; it quarantines the code.
	SecondKey string `json:"secondKey,omitempty"`
}

// Tries counts one source's wrong codes. Last is in Unix milliseconds.
type Tries struct {
	Wrong int   `json:"wrong"`
	Last  int64 `json:"last"`
}

// CodeState is everything that a centre keeps of its codes, for the caller to
// keep whole or entry by entry. Slips are by tag, an HMAC-SHA256 of the code;
// tries by source.
type CodeState struct {
	Slips map[string]Slip  `json:"slips"`
	Tries map[string]Tries `json:"tries"`
}

// Codes decides about enrolment codes. It neither reads a clock nor keeps
// anything; calls must not overlap.
type Codes struct {
	secret []byte
	state  CodeState
	unused map[string]string // replica to the tag of its unused code
}

// NewCodes continues from state, which it takes over.
func NewCodes(secret []byte, state CodeState) *Codes {
	c := &Codes{secret: secret, state: state, unused: map[string]string{}}
	if c.state.Slips == nil {
		c.state.Slips = map[string]Slip{}
	}
	if c.state.Tries == nil {
		c.state.Tries = map[string]Tries{}
	}
	for tag, s := range c.state.Slips {
		if s.Key == "" {
			c.unused[s.Replica] = tag
		}
	}
	return c
}

// State is the state to keep. It is shared with c: read it before the next call.
func (c *Codes) State() CodeState { return c.state }

// Issue draws a code for replica that lives from now on. An unused code that
// the replica has is withdrawn, so that a lost sheet opens nothing: withdrawn
// is its tag, or empty. It fails with ErrName.
func (c *Codes) Issue(replica string, now time.Time, life time.Duration) (code Code, tag, withdrawn string, err error) {
	if !ValidName(replica) {
		return Code{}, "", "", ErrName
	}
	withdrawn = c.unused[replica]
	delete(c.state.Slips, withdrawn)
	code = NewCode()
	tag = code.tag(c.secret)
	c.state.Slips[tag] = Slip{Replica: replica, Issued: now.UnixMilli(), Expires: now.Add(life).UnixMilli()}
	c.unused[replica] = tag
	return code, tag, withdrawn, nil
}

// Redeem hands in a code as it was typed, with the fingerprint of the key that
// asks and the source (such as an address) that the tries count for.
func (c *Codes) Redeem(typed, key, source string, now time.Time) Result {
	at := now.UnixMilli()
	tries := c.state.Tries[source]
	if at-tries.Last >= LockFor.Milliseconds() {
		tries = Tries{}
	}
	if tries.Wrong >= MaxTries {
		return Result{Outcome: Locked}
	}
	code, err := ParseCode(typed)
	if err != nil || key == "" {
		return Result{Outcome: Malformed}
	}
	tag := code.tag(c.secret)
	slip, ok := c.state.Slips[tag]
	if !ok {
		c.makeRoom(source)
		c.state.Tries[source] = Tries{tries.Wrong + 1, at}
		return Result{Outcome: Unknown, Source: source}
	}
	r := Result{Replica: slip.Replica}
	switch {
	case slip.SecondKey != "":
		r.Outcome, r.FirstKey, r.SecondKey = Quarantined, slip.Key, slip.SecondKey
	case slip.Key != "" && slip.Key != key: // also after expiry: two PCs hold one code
		slip.SecondKey = key
		r.Outcome, r.FirstKey, r.SecondKey, r.Tag = Quarantined, slip.Key, key, tag
	case at >= slip.Expires:
		r.Outcome = Expired
	case slip.Key == key:
		r.Outcome = Again
	default:
		slip.Key, slip.Used = key, at
		r.Outcome, r.Tag = Enrolled, tag
		delete(c.unused, slip.Replica)
	}
	if r.Tag != "" {
		c.state.Slips[tag] = slip
	}
	return r
}

// Unlock forgets a source's wrong tries, for a person at the centre to use.
func (c *Codes) Unlock(source string) { delete(c.state.Tries, source) }

// makeRoom drops the source that has been quiet for longest when too many are
// remembered.
func (c *Codes) makeRoom(source string) {
	if _, ok := c.state.Tries[source]; ok || len(c.state.Tries) < maxSources {
		return
	}
	oldest, last := "", int64(0)
	for s, t := range c.state.Tries {
		if oldest == "" || t.Last < last {
			oldest, last = s, t.Last
		}
	}
	delete(c.state.Tries, oldest)
}
