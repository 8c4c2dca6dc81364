package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"tram/store"
	"tram/store/audit"
	"tram/store/record"
)

const (
	// wrongBy is how far the time that entries carry may be from the right one before
	// a person is asked.
	wrongBy = 2 * time.Minute
	// alike is how far two entries' clocks may differ to be asked about as one.
	alike = time.Minute
	// sessionsSetting is where the sessions are kept.
	sessionsSetting = "clock-sessions"
	// maxLives and maxLooked bound how many lives and versions are looked at after one measure.
	maxLives  = 1000
	maxLooked = 200_000
	// maxActs is how many entries of the audit one transaction takes.
	maxActs = 1000
)

// Basis says how it is known when the entries of a session were made.
type Basis string

const (
	// Measured is where the offset was measured while the same clock ran on.
	Measured Basis = "measured"
	// Likely is where the program, or the time since the last measure, was another one, and the
	// clock may have been set in between.
	Likely Basis = "likely"
	// Unknown is where the clock was wrong, and by how much nothing tells.
	Unknown Basis = "unknown"
)

// Session is some entries made here, one after the other, by a clock that was wrong.
// Times are Unix milliseconds.
type Session struct {
	Parts []Part `json:"parts"`
	// From and To are the times that its first and its last entry carry.
	From    int64 `json:"from"`
	To      int64 `json:"to"`
	Entries int   `json:"n"`
	// By is how much later than that they were made; 0 where that is unknown.
	By    int64  `json:"by,omitempty"`
	Basis Basis  `json:"basis"`
	Said  *Dated `json:"said,omitempty"`
}

// Part is the versions of one lineage from a counter to another.
type Part struct {
	Lineage record.Lineage `json:"lineage"`
	First   uint64         `json:"first"`
	Last    uint64         `json:"last"`
}

// Dated is what a person said of a session. It changes no version.
type Dated struct {
	Who string `json:"who"`
	At  int64  `json:"at"`
	// By is how much later the entries were made than they say; 0 leaves them as they are.
	By int64 `json:"by"`
}

// Sessions are the sessions of a station, oldest first. They are immutable.
type Sessions struct {
	list []Session
}

// kept is how sessions are kept: with the newest lineage in which the offset was
// measured, when that was, by upstream's clock, and what it was.
type kept struct {
	List    []Session      `json:"list,omitempty"`
	Lineage record.Lineage `json:"lineage,omitempty"`
	At      int64          `json:"at,omitempty"`
	Offset  int64          `json:"offset,omitempty"`
}

func readKept(b []byte) (kept, error) {
	var k kept
	if b == nil {
		return k, nil
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return k, fmt.Errorf("read when the clock was wrong: %w", err)
	}
	return k, nil
}

// LastOffset is what was measured here last: how many milliseconds upstream's clock is
// ahead of this PC's; 0 where it never was.
func LastOffset(s *store.Store) (int64, error) {
	b, err := s.Setting(sessionsSetting)
	if err != nil {
		return 0, err
	}
	k, err := readKept(b)
	return k.Offset, err
}

// LoadSessions reads the sessions of a station.
func LoadSessions(s *store.Store) (Sessions, error) {
	b, err := s.Setting(sessionsSetting)
	if err != nil {
		return Sessions{}, err
	}
	k, err := readKept(b)
	return Sessions{k.List}, err
}

// List are the sessions, oldest first.
func (s Sessions) List() []Session { return slices.Clone(s.list) }

// Open counts those of which nobody has said anything yet.
func (s Sessions) Open() int {
	n := 0
	for _, x := range s.list {
		if x.Said == nil {
			n++
		}
	}
	return n
}

// Of finds the session in which a version was made; -1 for none.
func (s Sessions) Of(name record.Name) int {
	return slices.IndexFunc(s.list, func(x Session) bool {
		return slices.ContainsFunc(x.Parts, func(p Part) bool {
			return p.Lineage == name.Lineage && p.First <= name.N && name.N <= p.Last
		})
	})
}

// Dated is the stamp by which pages and counts take a version: its own, with the offset
// that a person told of it, or in doubt where nobody told one. No version has it.
func (s Sessions) Dated(name record.Name, stamp record.Stamp) record.Stamp {
	i := s.Of(name)
	if i < 0 {
		return stamp
	}
	said := s.list[i].Said
	if stamp.Doubt = said == nil || said.By == 0; !stamp.Doubt {
		stamp.Offset += said.By
	}
	return stamp
}

// Made lists the entries of a session that are here, oldest first and without their place.
func (s Sessions) Made(st *store.Store, i int) (made []store.Entry, err error) {
	left := s.list[i].Entries
	err = st.Stamped(func(n record.Name) (wants, done bool) {
		if left == 0 {
			return false, true
		}
		if wants = s.Of(n) == i; wants {
			left--
		}
		return wants, false
	}, maxLooked, func(e store.Entry) { made = append(made, e) })
	slices.Reverse(made)
	return made, err
}

// ErrNoSession says that there is no such session.
var ErrNoSession = errors.New("no such session")

// Date keeps what a person says of a session: how much later its entries were made
// than they say. Who says something again replaces it; the audit of each record has both.
func Date(ctx context.Context, s *store.Store, i int, said Dated) error {
	have, err := LoadSessions(s)
	if err != nil {
		return err
	}
	if i < 0 || i >= len(have.list) {
		return ErrNoSession
	}
	made, err := have.Made(s, i)
	if err != nil {
		return err
	}
	acts := []audit.Entry{{Who: said.Who, Action: audit.Date}}
	for _, e := range made {
		acts = append(acts, audit.Entry{Who: said.Who, Action: audit.Date, Key: e.Key, Version: e.Version})
	}
	first := min(len(acts), maxActs)
	err = s.Declare(ctx, sessionsSetting, func(b []byte) ([]byte, error) {
		k, err := readKept(b) // sessions are only ever added behind the others
		if err != nil {
			return nil, err
		}
		k.List[i].Said = &said
		return json.Marshal(k)
	}, acts[:first]...)
	for part := range slices.Chunk(acts[first:], maxActs) {
		if err == nil {
			err = s.Audit(ctx, part...)
		}
	}
	return err
}

// Note looks, after the offset was measured, whether entries made here carry a wrong
// time, and keeps the sessions that they make. It reports whether there are new ones.
func Note(ctx context.Context, s *store.Store, m Measure) (bool, error) {
	b, err := s.Setting(sessionsSetting)
	if err != nil {
		return false, err
	}
	have, err := readKept(b)
	if err != nil {
		return false, err
	}
	lives, err := s.Lives(maxLives)
	if err != nil {
		return false, err
	}
	// The present life, and those before it back to the last one that was measured.
	marked := len(lives) > 0 && lives[0].Lineage == have.Lineage
	all := lives
	if i := slices.IndexFunc(lives, func(l store.Life) bool { return l.Lineage == have.Lineage }); i >= 0 {
		lives = lives[:max(1, i)]
	}
	right := !m.off(m.By) && (m.Again || len(m.Spans) == 1)
	offset := m.Spans[len(m.Spans)-1].Offset
	if marked && right && !m.off(offset-have.Offset) {
		return false, nil
	}
	var found []Session
	if !right || len(lives) > 1 {
		j := judge{lives: lives, since: have.At, m: m, span: len(m.Spans) - 1, runsOn: true}
		err := s.Stamped(func(n record.Name) (wants, done bool) {
			i := slices.IndexFunc(all, func(l store.Life) bool { return l.Lineage == n.Lineage })
			return i >= 0 && i < len(lives), i >= len(lives)
		}, maxLooked, j.hear)
		if err != nil {
			return false, err
		}
		found = j.sessions()
	}
	return len(found) > 0, s.UpdateSetting(ctx, sessionsSetting, func(b []byte) ([]byte, error) {
		k, err := readKept(b)
		if err != nil {
			return nil, err
		}
		k.Lineage, k.At, k.Offset = s.Lineage(), m.Now, offset
		k.List = append(k.List, found...)
		return json.Marshal(k)
	})
}

// off reports whether a time is wrong by more than is let pass.
func (m Measure) off(by int64) bool { return max(by, -by) > wrongBy.Milliseconds()+m.Unsure }

// judge hears entries made in some lives, both newest first.
type judge struct {
	lives  []store.Life
	since  int64 // when the offset was measured before them, 0 for never
	m      Measure
	span   int  // of the present life: where the entry before was
	life   int  // in which the entry before was made
	runsOn bool // the wall clock was not set back between that life and the present one
	heard  []judged
}

// judged is an entry that is wrong; one without a basis stands for all between two others.
type judged struct {
	version record.Name
	at, by  int64
	basis   Basis
}

func (j *judge) hear(e store.Entry) {
	by, basis := j.judge(e)
	if basis == "" && (len(j.heard) == 0 || j.heard[len(j.heard)-1].basis == "") {
		return
	}
	j.heard = append(j.heard, judged{e.Version, e.Stamp.Corrected(), by, basis})
}

// sessions joins the entries that are wrong, oldest first.
func (j *judge) sessions() (out []Session) {
	joins := false // the entry before belongs to the last session
	for _, w := range slices.Backward(j.heard) {
		if w.basis == "" {
			joins = false
			continue
		}
		if joins {
			last := &out[len(out)-1]
			part := &last.Parts[len(last.Parts)-1]
			near := max(w.by-last.By, last.By-w.by) <= alike.Milliseconds()
			same := part.Lineage == w.version.Lineage
			if joins = w.basis == last.Basis && near && (same || w.basis != Unknown); joins {
				last.To, last.Entries = w.at, last.Entries+1
				if same {
					part.Last = w.version.N
				} else {
					last.Parts = append(last.Parts, Part{w.version.Lineage, w.version.N, w.version.N})
				}
				continue
			}
		}
		out = append(out, Session{Parts: []Part{{w.version.Lineage, w.version.N, w.version.N}}, From: w.at, To: w.at, Entries: 1, By: w.by, Basis: w.basis})
		joins = true
	}
	return out
}

// judge tells by how much later an entry was made than it says, and how that is known;
// "" where it is right as far as can be told.
func (j *judge) judge(w store.Entry) (int64, Basis) {
	if w.Version.Lineage == j.lives[0].Lineage {
		return j.present(w.Stamp)
	}
	for ; j.life < len(j.lives)-1 && j.lives[j.life].Lineage != w.Version.Lineage; j.life++ {
		j.runsOn = j.runsOn && j.lives[j.life+1].At <= j.lives[j.life].At
	}
	j.runsOn = j.runsOn && j.life > 0 && w.Stamp.Unix <= j.lives[j.life-1].At
	// The clock with which the present run began may be the one of the runs before.
	by := j.m.Spans[0].Offset - w.Stamp.Offset
	then := w.Stamp.Corrected() + by
	slack := wrongBy.Milliseconds() + j.m.Unsure
	switch likely := j.runsOn && then >= j.since-slack && then <= j.m.Now+slack; {
	case likely && j.m.off(by):
		return by, Likely
	case w.Stamp.Doubt || w.Stamp.Corrected() > j.m.Now+slack:
		return 0, Unknown
	}
	return 0, ""
}

// present judges an entry of the present life by the clock's spans.
func (j *judge) present(s record.Stamp) (int64, Basis) {
	for i := j.span; i >= 0; i-- {
		at := j.m.Spans[i]
		if s.Unix < at.From || s.Unix > at.To {
			continue
		}
		j.span = i
		by, basis := at.Offset-s.Offset, Measured
		if j.m.Again {
			basis = Likely // it was right once since the program started
		}
		if !j.m.off(by) || j.m.Again && i == 0 && len(j.m.Spans) > 1 {
			return 0, ""
		}
		return by, basis
	}
	return 0, "" // before the last measure, or after this one
}
