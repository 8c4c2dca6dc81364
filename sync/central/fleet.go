package central

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"tram/store/record"
	"tram/sync/status"
	"tram/sync/wire"
)

// member is what the centre remembers of one replica.
type member struct {
	Name string `json:"name"`
	// Seen is when it last spoke, by the centre's clock in Unix milliseconds.
	Seen   int64           `json:"seen,omitempty"`
	Report json.RawMessage `json:"report,omitempty"`
	// Key is the fingerprint of its key, from enrolment; Denied are keys and
	// replicas that get no connection any more.
	Key    string `json:"key,omitempty"`
	Denied bool   `json:"denied,omitempty"`
	// Life is the lineage that spoke last, Past those that it or another followed.
	Life record.Lineage   `json:"life,omitempty"`
	Past []record.Lineage `json:"past,omitempty"`
	// Twin are the lineages of a second PC: heard, and given nothing.
	Twin []record.Lineage `json:"twin,omitempty"`
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

// change changes what is remembered of a replica, and keeps it.
func (c *Centre) change(ctx context.Context, name string, f func(*member)) (member, error) {
	c.mu.Lock()
	m := c.fleet[name]
	if m == nil {
		m = &member{Name: name}
		c.fleet[name] = m
	}
	f(m)
	now := *m
	b, err := json.Marshal(m)
	c.mu.Unlock()
	if err != nil {
		return now, err
	}
	return now, c.store.SetSetting(ctx, fleetSetting+"/"+name, b)
}

// enrolled notes the key of a replica that enrolled. A new key is a new PC: what
// was held against a twin is over.
func (c *Centre) enrolled(ctx context.Context, name, key string, fresh bool) error {
	m := c.fleet[name] // the caller holds mu
	if m == nil {
		m = &member{Name: name}
		c.fleet[name] = m
	}
	m.Key = key
	if fresh {
		m.Life, m.Twin, m.Denied = "", nil, false
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.store.SetSetting(ctx, fleetSetting+"/"+name, b)
}

// denied is the deny list; it is asked at every connection.
func (c *Centre) denied(replica, key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.fleet[replica]
	return m == nil || m.Denied || m.Key != "" && key != "" && m.Key != key
}

// Deny ends a replica's access, or gives it back.
func (c *Centre) Deny(ctx context.Context, replica string, denied bool) error {
	_, err := c.change(ctx, replica, func(m *member) { m.Denied = denied })
	return err
}

// hear keeps the status report and tells whether the replica may get anything.
// A lineage that another has followed and that speaks again is a second PC
// (replication.md, rule 19).
func (c *Centre) hear(peer string, now int64) func(wire.Hello) wire.Refusal {
	return func(h wire.Hello) wire.Refusal {
		m, err := c.change(context.Background(), peer, func(m *member) {
			m.Seen = now
			if r, err := status.Parse(h.Report); err == nil {
				m.Report = r.Encode()
			}
			m.follow(h)
		})
		if err != nil {
			c.o.Log.Error("cannot keep a report", "replica", peer, "err", err)
			return wire.Stopped
		}
		if slices.Contains(m.Twin, h.Life) {
			return wire.SecondPC
		}
		return ""
	}
}

// follow takes over the lineage that speaks.
func (m *member) follow(h wire.Hello) {
	switch {
	case h.Life == m.Life || slices.Contains(m.Twin, h.Life):
	case slices.Contains(m.Past, h.Life), slices.ContainsFunc(h.Continues, func(l record.Lineage) bool { return slices.Contains(m.Twin, l) }):
		m.Twin = append(m.Twin, h.Life)
	default:
		if m.Life != "" {
			m.Past = append(m.Past, m.Life)
			m.Past = m.Past[max(0, len(m.Past)-maxPast):]
		}
		m.Life = h.Life
	}
}

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
	if _, err := c.change(r.Context(), peer, func(m *member) { m.Seen, m.Report = now, rep.Encode() }); err != nil {
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
}

// Fleet lists every replica by name.
func (c *Centre) Fleet(lang string) ([]Station, error) {
	peers, err := c.store.Peers()
	if err != nil {
		return nil, err
	}
	now := c.o.Now().UnixMilli()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Station, 0, len(peers))
	for _, p := range peers {
		s := Station{Name: p.Name, Station: p.Station}
		if m := c.fleet[p.Name]; m != nil {
			s.Seen, s.Denied, s.Twin = m.Seen, m.Denied, len(m.Twin) > 0
			if rep, err := status.Parse(m.Report); err == nil {
				s.Report = rep
				s.Health = status.In(lang, status.Judge(rep, now))
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Station) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
