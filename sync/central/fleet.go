package central

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"tram/store/record"
	"tram/sync/carry/stick"
	"tram/sync/status"
	"tram/sync/wire"
)

// member is what the centre remembers of one replica.
type member struct {
	Name string `json:"name"`
	// Seen is when it last spoke, by the centre's clock in Unix milliseconds.
	Seen   int64           `json:"seen,omitempty"`
	Called int64           `json:"called,omitempty"` // when it last spoke by itself, not on a stick
	Report json.RawMessage `json:"report,omitempty"`
	// Key is the fingerprint of its key, from enrolment; no other is answered, and
	// none where the replica is Denied.
	Key    string `json:"key,omitempty"`
	Denied bool   `json:"denied,omitempty"`
	// Life is the lineage that spoke last, Past those that it or another followed.
	Life record.Lineage   `json:"life,omitempty"`
	Past []record.Lineage `json:"past,omitempty"`
	// Twin are the lineages of a second PC: heard, and given nothing.
	Twin []record.Lineage `json:"twin,omitempty"`
	// Unequal is since when its records differ from those here, Healed when they last
	// ceased to, both by the centre's clock; 0 for never.
	Unequal int64 `json:"unequal,omitempty"`
	Healed  int64 `json:"healed,omitempty"`
	// Refused is the last file of its name on a stick that was not taken; nil where
	// one was, since.
	Refused *stick.Refused `json:"refused,omitempty"`
	// Allowed is what its link may be used for.
	Allowed wire.Allowance `json:"allowed,omitzero"`
}

const fleetSetting = "fleet"

// maxPast bounds how many lineages are remembered of one replica.
const maxPast = 256

func (c *Centre) loadFleet() error {
	peers, err := c.store.Peers()
	if err != nil {
		return err
	}
	for _, p := range peers {
		m := &member{Name: p.Name}
		b, err := c.store.Setting(fleetSetting + "/" + p.Name)
		if err != nil {
			return err
		}
		if b != nil {
			if err := json.Unmarshal(b, m); err != nil {
				return fmt.Errorf("read what is known of %s: %w", p.Name, err)
			}
		}
		c.fleet[p.Name] = m
	}
	return nil
}

// ErrUnknown says that no replica or station of that name was ever enrolled.
var ErrUnknown = errors.New("no such station")

// change changes what is remembered of a replica, and keeps it.
func (c *Centre) change(ctx context.Context, name string, f func(*member)) (member, error) {
	c.mu.Lock()
	m := c.fleet[name]
	if m == nil {
		c.mu.Unlock()
		return member{}, fmt.Errorf("%s: %w", name, ErrUnknown)
	}
	f(m)
	now := *m
	c.mu.Unlock()
	// What stands when the commit runs is kept, so that of two changes the later
	// stays. The lock is never held while waiting for a commit.
	return now, c.store.UpdateSetting(ctx, fleetSetting+"/"+name, func([]byte) ([]byte, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return json.Marshal(m)
	})
}

// enrolled notes the key of a replica that enrolled. A new key is a new PC, and
// the old one is answered no more: what was held against a twin is over.
func (c *Centre) enrolled(ctx context.Context, name, key string, fresh bool) error {
	_, err := c.change(ctx, name, func(m *member) {
		m.Key = key
		if fresh {
			m.Life, m.Past, m.Twin, m.Denied = "", nil, nil, false
		}
	})
	return err
}

// stranger reports whether a key is not that of the replica whose name it bears.
func (c *Centre) stranger(replica, key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.fleet[replica]
	return m == nil || m.Key != "" && key != "" && m.Key != key
}

// denied is whose certificates are not renewed.
func (c *Centre) denied(replica, key string) bool {
	if c.stranger(replica, key) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fleet[replica].Denied
}

// gets reports whether a replica that writes under a lineage may be given anything.
func (c *Centre) gets(replica string, life record.Lineage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.fleet[replica]
	return m != nil && !m.Denied && !slices.Contains(m.Twin, life)
}

// Deny ends a replica's access, or gives it back. Without access it may still hand
// in, and gets nothing. A code that it has not used
// opens nothing any more.
func (c *Centre) Deny(ctx context.Context, replica string, denied bool) error {
	if _, err := c.change(ctx, replica, func(m *member) { m.Denied = denied }); err != nil || !denied {
		return err
	}
	c.enrolling.Lock()
	defer c.enrolling.Unlock()
	// A new code, which nobody gets, takes the place of one that lies about.
	if _, _, _, err := c.codes.Issue(replica, c.o.Now(), 0); err != nil {
		return err
	}
	return c.keepCodes(ctx)
}

// ErrAllowance says that bytes or hours of a link mean nothing.
var ErrAllowance = errors.New("no such bytes or hours")

// Allow says what a replica's link may be used for. It hears it at its next exchange.
func (c *Centre) Allow(ctx context.Context, replica string, a wire.Allowance) error {
	if !a.Valid() {
		return ErrAllowance
	}
	_, err := c.change(ctx, replica, func(m *member) { m.Allowed = a })
	return err
}

// allowed is what a replica's link may be used for.
func (c *Centre) allowed(replica string) wire.Allowance {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.fleet[replica]; m != nil {
		return m.Allowed
	}
	return wire.Allowance{}
}

// hear keeps the status report and tells whether the replica may get anything.
// A lineage that another has followed and that speaks again is a second PC
// (replication.md, rule 19).
func (c *Centre) hear(peer string, now int64) func(wire.Hello) wire.Refusal {
	return func(h wire.Hello) wire.Refusal {
		m, err := c.change(context.Background(), peer, func(m *member) {
			m.Seen, m.Called = now, now
			if r, err := status.Parse(h.Report); err == nil {
				m.Report = r.Encode()
			}
			m.follow(h)
		})
		if err != nil {
			c.o.Log.Error("cannot keep a report", "replica", peer, "err", err)
			return wire.Stopped
		}
		switch {
		case m.Denied:
			return wire.Revoked
		case slices.Contains(m.Twin, h.Life):
			return wire.SecondPC
		}
		return ""
	}
}

// compared keeps whether the replica's records are those that it should have. Only
// what changes is written.
func (c *Centre) compared(peer string, now int64) func(bool) {
	return func(equal bool) {
		c.mu.Lock()
		m := c.fleet[peer]
		same := m == nil || equal == (m.Unequal == 0)
		c.mu.Unlock()
		if same {
			return
		}
		c.o.Log.Info("records", "replica", peer, "equal", equal)
		_, err := c.change(context.Background(), peer, func(m *member) {
			if equal {
				m.Unequal, m.Healed = 0, now
			} else {
				m.Unequal = now
			}
		})
		if err != nil { // the exchange is more than this note
			c.o.Log.Error("cannot keep that records differ", "replica", peer, "err", err)
		}
	}
}

// healedFor is how long it is said that records were brought together.
const healedFor = 24 * time.Hour

// trees adds to what a replica says of itself what was found here.
func (m *member) trees(codes []status.Code, now int64) []status.Code {
	switch {
	case m.Unequal != 0:
		return append([]status.Code{status.Unequal}, codes...)
	case m.Healed != 0 && now-m.Healed < healedFor.Milliseconds():
		return append([]status.Code{status.Healed}, codes...)
	}
	return codes
}

// follow takes over the lineage that speaks.
func (m *member) follow(h wire.Hello) {
	switch {
	case h.Life == m.Life || slices.Contains(m.Twin, h.Life):
	case slices.Contains(m.Past, h.Life), m.ofTwin(h.Continues):
		m.Twin = newest(append(m.Twin, h.Life))
	default:
		if m.Life != "" {
			m.Past = newest(append(m.Past, m.Life))
		}
		m.Life = h.Life
	}
}

// ofTwin reports whether a lineage goes on from a second PC's: the newest one that
// it continues and that is known here tells. Both PCs continue what came before
// they were two.
func (m *member) ofTwin(continues []record.Lineage) bool {
	for _, l := range continues {
		if slices.Contains(m.Twin, l) {
			return true
		}
		if l == m.Life || slices.Contains(m.Past, l) {
			return false
		}
	}
	return false
}

func newest(list []record.Lineage) []record.Lineage { return list[max(0, len(list)-maxPast):] }

// hearStatus takes a status report by itself, for a station whose exchanges fail.
func (c *Centre) hearStatus(w http.ResponseWriter, r *http.Request) {
	peer, ok := c.peer(w, r)
	if !ok {
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
	if err != nil {
		http.Error(w, "the report is too large", http.StatusRequestEntityTooLarge)
		return
	}
	rep, err := status.Parse(b)
	if err != nil {
		http.Error(w, "this is no status report", http.StatusBadRequest)
		return
	}
	now := c.o.Now().UnixMilli()
	if _, err := c.change(r.Context(), peer, func(m *member) { m.Seen, m.Called, m.Report = now, now, rep.Encode() }); err != nil {
		http.Error(w, "nothing can be saved now; come later", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"time":%d}`, now)
}

// Station is one line of the fleet: what a replica last said, and what that
// means now.
type Station struct {
	Name    string          `json:"name"`
	Station string          `json:"station"`
	Seen    int64           `json:"seen"` // Unix milliseconds; 0 for never
	Report  status.Report   `json:"report"`
	Health  []status.Health `json:"health"`
	Denied  bool            `json:"denied,omitempty"`
	Twin    bool            `json:"secondPC,omitempty"`
	Stick   *Stick          `json:"stick,omitempty"` // nil where none ever came
	Allowed wire.Allowance  `json:"allowed,omitzero"`
}

// Fleet lists every replica by name.
func (c *Centre) Fleet(lang string) ([]Station, error) {
	peers, err := c.store.Peers()
	if err != nil {
		return nil, err
	}
	sticks := make([]stick.Visit, len(peers))
	for i, p := range peers {
		if sticks[i], err = stick.VisitOf(c.store, p.Name); err != nil {
			return nil, err
		}
	}
	now := c.o.Now().UnixMilli()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Station, 0, len(peers))
	for i, p := range peers {
		s := Station{Name: p.Name, Station: p.Station}
		if m := c.fleet[p.Name]; m != nil {
			s.Seen, s.Denied, s.Twin, s.Allowed = m.Seen, m.Denied, len(m.Twin) > 0, m.Allowed
			if rep, err := status.Parse(m.Report); err == nil {
				s.Report = rep
				rep.Codes = m.trees(rep.Codes, now)
				// The station's own time, and what has passed here since: its clock is
				// never held against this one.
				values := status.Judge(rep, rep.Made+rep.Offset+now-m.Seen)
				if s.Health = status.AtCentre(lang, values); c.above != nil { // a station's people look after its points
					s.Health = status.In(lang, values)
				}
			}
			s.Stick = stickOf(lang, sticks[i], m, s.Report.Stick.Taken)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Station) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
