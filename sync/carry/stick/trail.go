package stick

import (
	"context"
	"slices"

	"tram/store"
	"tram/store/record"
	"tram/sync/status"
	"tram/sync/wire"
)

// Trail is what a station knows of the sticks that it wrote, for people. It decides
// nothing: where an entry is, a receipt says.
type Trail struct {
	Trips []Trip // the oldest that is remembered first
	// Taken is up to which stick the centre is known to have read: the highest number
	// whose answer was taken here; 0 for none.
	Taken   uint64
	Answer  *Answer  // the last answer that was taken; nil for none
	Refused *Refused // the last file since that was not; nil for none
}

// Trip is a stick that was written. Times are Unix milliseconds by this PC's clock,
// 0 for never.
type Trip struct {
	N       uint64
	At      int64 // when it was written
	Entries int   // own entries on it
	State   status.Trip
	Heard   int64 // when its answer was read here
	spans   map[record.Lineage]span
}

// Answer is an answer that was taken.
type Answer struct {
	N    uint64 `json:"n"`    // of the request
	Made int64  `json:"made"` // the centre's clock, Unix milliseconds
	At   int64  `json:"at"`   // when it was read, by this PC's clock
	// Miss are the numbers that the centre had not got by then.
	Miss []uint64 `json:"miss,omitempty"`
}

// Refused is a file that yielded nothing, and when it was read.
type Refused struct {
	Code status.Stick `json:"code"`
	At   int64        `json:"at"`
}

// cargo is what is kept of a request for people alone.
type cargo struct {
	At      int64                   `json:"at,omitempty"`
	Entries int                     `json:"entries,omitempty"`
	Spans   map[record.Lineage]span `json:"spans,omitempty"`
	Heard   int64                   `json:"heard,omitempty"`
	Missed  bool                    `json:"missed,omitempty"`
	Called  bool                    `json:"called,omitempty"`
	Over    bool                    `json:"over,omitempty"` // replaced on the same stick
}

// span is from which to which counter of a lineage a request holds own changes.
type span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

func (t *cargo) count(f *wire.Frame) {
	if f == nil || f.Change == nil {
		return
	}
	if t.Spans == nil {
		t.Spans = map[record.Lineage]span{}
	}
	name := f.Change.Ref.Name
	s, ok := t.Spans[name.Lineage]
	if !ok {
		s = span{name.N, name.N}
	}
	t.Spans[name.Lineage] = span{min(s.From, name.N), max(s.To, name.N)}
	t.Entries++
}

// hear notes for people what an answer says of the requests. One that was answered
// came, also where a restored centre has forgotten it.
func (k *book) hear(i int, f *sheet, now int64) {
	k.Asked[i].Heard = now
	miss := slices.DeleteFunc(f.Miss, func(n uint64) bool {
		return slices.ContainsFunc(k.Asked, func(a asked) bool { return a.N == n && a.Done })
	})
	k.Answer, k.Refused = &Answer{f.N, f.Time, now, miss}, nil
	for j := range k.Asked {
		if a := &k.Asked[j]; a.N < f.N {
			a.Missed = slices.Contains(miss, a.N)
		}
	}
}

// TrailOf reads what a station knows of its sticks.
func TrailOf(s *store.Store) (Trail, error) {
	k, err := bookOf(s)
	if err != nil {
		return Trail{}, err
	}
	t := Trail{Taken: k.Taken, Answer: k.Answer, Refused: k.Refused}
	for _, a := range k.Asked {
		t.Trips = append(t.Trips, Trip{a.N, a.At, a.Entries, a.state(k.Taken), a.Heard, a.Spans})
	}
	return t, nil
}

func (a *asked) state(taken uint64) status.Trip {
	switch {
	case a.Done:
		return status.TripAnswered
	case a.N < taken && a.Missed:
		return status.TripMissed
	case a.N < taken:
		return status.TripPassed
	case a.Called:
		return status.TripCalled
	case a.Over:
		return status.TripReplaced
	}
	return status.TripOut
}

// Out are the sticks of which nothing was heard, the oldest first.
func (t Trail) Out() (out []Trip) {
	for _, p := range t.Trips {
		if p.State == status.TripOut {
			out = append(out, p)
		}
	}
	return out
}

// Since is when the first stick was written since the last of which anything was
// heard, where one is on its way, in Unix milliseconds; else 0. Replacing one does not
// make the wait shorter.
func (t Trail) Since() int64 {
	if len(t.Out()) == 0 {
		return 0
	}
	i := slices.IndexFunc(t.Trips, func(p Trip) bool { return p.State == status.TripOut || p.State == status.TripReplaced })
	return t.Trips[i].At
}

// With is the newest stick of which nothing was heard that holds an own change, by
// the change's name; nil for none.
func (t Trail) With(v record.Name) *Trip {
	for _, p := range slices.Backward(t.Out()) {
		if s, ok := p.spans[v.Lineage]; ok && s.From <= v.N && v.N <= s.To {
			return &p
		}
	}
	return nil
}

// Called notes that an exchange by another carrier ended with nothing left to say:
// no stick that was written before is waited for. It must not be called while a
// Station of the same store is used.
func Called(ctx context.Context, s *store.Store) error {
	k, err := bookOf(s)
	if err != nil {
		return err
	}
	changed := false
	for i := range k.Asked {
		if a := &k.Asked[i]; a.state(k.Taken) == status.TripOut {
			a.Called, changed = true, true
		}
	}
	if !changed {
		return nil
	}
	return k.keep(ctx, s)
}

// Replaced keeps for people that requests are on no stick any more.
func (s *Station) Replaced(ctx context.Context, n []uint64) error {
	k, err := s.book()
	if err != nil {
		return err
	}
	for i := range k.Asked {
		if slices.Contains(n, k.Asked[i].N) {
			k.Asked[i].Over = true
		}
	}
	return s.keep(ctx, k)
}

// Note keeps for people that a file for this station yielded nothing, until an
// answer is taken. That one was too old is not told in place of anything graver.
func (s *Station) Note(ctx context.Context, code status.Stick) error {
	if code.Taken() {
		return nil
	}
	k, err := s.book()
	if err != nil {
		return err
	}
	if code == status.StickOld && k.Refused != nil && k.Refused.Code != code {
		return nil
	}
	k.Refused = &Refused{code, s.Now()}
	return s.keep(ctx, k)
}
