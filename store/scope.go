package store

import (
	"bytes"
	"context"
	"encoding/json"

	"fmt"
	"slices"

	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/record"
)

// A person's stations are a record like others: a Basic with ScopeCode about
// the patient, one StationURL extension for each station.
const (
	ScopeSystem = "urn:tram:scope"
	ScopeCode   = "stations"
	StationURL  = "urn:tram:station"
	// keeper is the author of what the store itself writes.
	keeper = "tram"
)

// Peer is a replica that has its upstream here.
type Peer struct {
	Name string `json:"name"`
	// Station is what scopes name; several replicas may serve one station.
	Station string `json:"station"`
}

// AddPeer makes a feed for a replica and fills it with what the replica may
// have. For one that is known already it does nothing.
func (s *Store) AddPeer(ctx context.Context, p Peer) error {
	return s.update(ctx, func(tx *tx) error { return tx.addPeer(p) })
}

func (t *tx) addPeer(p Peer) error {
	at := t.s.blind("peer", p.Name)
	if t.Table(layout.Peers).Get(at) != nil {
		return nil
	}
	if err := t.ensureEpoch(); err != nil {
		return err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := t.putRaw(layout.Peers, at, b); err != nil {
		return err
	}
	t.keep(layout.Peer, b)
	t.newPeer = true
	t.after = append(t.after, func() { t.s.keepPeers(nil) })
	var held [][]byte
	err = t.Table(layout.Scope).ForEach(func(patient, v []byte) error {
		var stations []string
		if err := t.open(layout.Scope, patient, v, &stations); err != nil {
			return err
		}
		if slices.Contains(stations, p.Station) {
			held = append(held, append([]byte(nil), patient...))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, patient := range held {
		if err := t.offerCompartment(patient); err != nil {
			return err
		}
	}
	return nil
}

// Peers lists the replicas that have their upstream here.
func (s *Store) Peers() ([]Peer, error) {
	var out []Peer
	err := s.view(func(tx *tx) (err error) {
		out, err = tx.peers()
		return err
	})
	return out, err
}

// peers are all peers. The one writer keeps the list from one transaction to the
// next, for every write asks for it.
func (t *tx) peers() ([]Peer, error) {
	if t.newPeer || !t.Writable() {
		return t.readPeers()
	}
	t.s.mu.Lock()
	kept := t.s.peers
	t.s.mu.Unlock()
	if kept != nil {
		return kept, nil
	}
	kept, err := t.readPeers()
	if err == nil {
		t.s.keepPeers(kept)
	}
	return kept, err
}

func (s *Store) keepPeers(peers []Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = peers
}

func (t *tx) readPeers() ([]Peer, error) {
	out := []Peer{}
	err := t.Table(layout.Peers).ForEach(func(k, v []byte) error {
		var p Peer
		if err := t.open(layout.Peers, k, v, &p); err != nil {
			return err
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

func (t *tx) ensureEpoch() error {
	e, err := t.epoch()
	if err != nil || e != "" {
		return err
	}
	return t.put(layout.Meta, []byte(layout.Epoch), string(t.s.Lineage()))
}

// readers are the feeds that a record belongs in.
func (t *tx) readers(r *layout.Row, sender string) ([]string, error) {
	if len(r.Patients) == 0 {
		if err := t.ensureEpoch(); err != nil {
			return nil, err
		}
		return []string{record.SharedFeed}, nil
	}
	peers, err := t.peers()
	if err != nil {
		return nil, err
	}
	var out []string
	if !t.s.opt.Top { // a point holds what its station holds
		for _, p := range peers {
			out = append(out, FeedOf(p.Name))
		}
		slices.Sort(out)
		return out, nil
	}
	stations := map[string]bool{}
	known := false
	for _, p := range r.Patients {
		var names []string
		ok, err := t.get(layout.Scope, u64(p), &names)
		if err != nil {
			return nil, err
		}
		known = known || ok
		for _, s := range names {
			stations[s] = true
		}
	}
	for _, p := range peers {
		feed := FeedOf(p.Name)
		if stations[p.Station] || p.Name == sender || !known && slices.Contains(r.Readers, feed) {
			out = append(out, feed)
		}
	}
	slices.Sort(out)
	return out, nil
}

// answerKnown brings a record that a peer hands in again into the peer's feed: a
// birth that the feed never had, so that a maker always gets its own back;
// anything else outside the peer's scope is gone there. Handing in never gives
// access back. A person's maker stands in the scope again too.
func (t *tx) answerKnown(n []byte, r *layout.Row, peer string, d record.Decided) error {
	feed := FeedOf(peer)
	if r.Gone {
		return t.goneHere(feed, n, r, d.Ref)
	}
	if len(r.Patients) == 0 || slices.Contains(r.Readers, feed) || r.Line().IsZero() {
		return nil
	}
	if !t.s.opt.Top { // the peer's feed is not filled yet
		return t.offerAll(n)
	}
	had, err := t.had(feed, n)
	if err != nil {
		return err
	}
	if had || !d.Version.Base.IsZero() {
		return t.goneFrom(feed, n, r)
	}
	r.Readers = append(slices.Clone(r.Readers), feed)
	slices.Sort(r.Readers)
	if err := t.offerTo(feed, n, feedEntry{Number: num(n), Key: r.Key, Ref: r.Head}); err != nil {
		return err
	}
	if err := t.putRow(n, r); err != nil || d.Foreign || r.Key.Kind != "Patient" || t.replaying {
		return err
	}
	return t.bornAt(r.Key, peer)
}

// spreadTaken spreads what a peer handed in. A birth brings its record into the
// peer's feed; any other change of a record outside its scope leaves the peer
// nothing but the word that the record is gone there.
func (t *tx) spreadTaken(n []byte, r *layout.Row, peer string, birth bool) error {
	feed := FeedOf(peer)
	sender := ""
	if birth || slices.Contains(r.Readers, feed) {
		sender = peer
	}
	if err := t.spread(n, r, sender); err != nil {
		return err
	}
	if len(r.Patients) == 0 || slices.Contains(r.Readers, feed) {
		return nil
	}
	return t.goneFrom(feed, n, r)
}

func (t *tx) writeScope(key record.Key, base string, patient record.Key, stations []string, author string) error {
	b := scopeContent(key.ID, patient.ID, stations)
	content, err := fhir.Parse(b, fhir.DefaultLimits())
	if err != nil {
		return err
	}
	_, err = t.write(Write{Key: key, Base: base, Content: b, Author: author}, t.s.prepare(content))
	return err
}

func scopeContent(id, patient string, stations []string) []byte {
	var ext []*fhir.Value
	for _, s := range stations {
		ext = append(ext, fhir.NewObject(
			fhir.Field{Name: "url", Value: fhir.NewString(StationURL)},
			fhir.Field{Name: "valueString", Value: fhir.NewString(s)}))
	}
	str := func(name, s string) fhir.Field { return fhir.Field{Name: name, Value: fhir.NewString(s)} }
	fields := []fhir.Field{str("resourceType", "Basic"), str("id", id)}
	if len(ext) > 0 {
		fields = append(fields, fhir.Field{Name: "extension", Value: fhir.NewArray(ext...)})
	}
	coding := fhir.NewObject(str("system", ScopeSystem), str("code", ScopeCode))
	fields = append(fields,
		fhir.Field{Name: "code", Value: fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(coding)})},
		fhir.Field{Name: "subject", Value: fhir.NewObject(str("reference", "Patient/"+patient))})
	return fhir.NewObject(fields...).Bytes()
}

// IsScope reports whether a resource says which stations hold a person.
func IsScope(v *fhir.Value) bool {
	if v.Str("resourceType") != "Basic" {
		return false
	}
	coding := v.Get("code").Get("coding")
	return coding != nil && slices.ContainsFunc(coding.Items, func(c *fhir.Value) bool {
		return c.Str("system") == ScopeSystem && c.Str("code") == ScopeCode
	})
}

func stationsOf(v *fhir.Value) []string {
	var out []string
	if ext := v.Get("extension"); ext != nil {
		for _, e := range ext.Items {
			if e.Str("url") == StationURL {
				out = append(out, e.Str("valueString"))
			}
		}
	}
	return out
}

// rescope takes over what a scope record says and offers the person's records
// anew. At other than the top replica scope records are read, not obeyed.
func (t *tx) rescope(v *record.Version) error {
	if v.Key.Kind != "Basic" || !t.s.opt.Top {
		return nil
	}
	content, err := fhir.Parse(v.Content, fhir.DefaultLimits())
	if err != nil || !IsScope(content) {
		return err
	}
	patient, err := record.ParseKey(content.Get("subject").Str("reference"))
	if err != nil {
		return nil // about nobody: it opens nothing
	}
	pn, err := t.ensureNumber(patient)
	if err != nil {
		return err
	}
	stations := stationsOf(content)
	if v.Deleted {
		stations = nil
	}
	var have []string
	if _, err := t.get(layout.Scope, pn, &have); err != nil {
		return err
	}
	if slices.Equal(have, stations) {
		return nil
	}
	if err := t.put(layout.Scope, pn, stations); err != nil {
		return err
	}
	return t.offerCompartment(pn)
}

// offerCompartment brings a person's records into the feeds they belong in.
func (t *tx) offerCompartment(patient []byte) error {
	var members [][]byte
	prefix := join([]byte(ixPatient), layout.Short(patient))
	c := t.Table(layout.Index).Cursor()
	for k, _ := c.Seek(prefix); len(k) > len(prefix) && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		members = append(members, layout.Long(k))
	}
	slices.SortFunc(members, bytes.Compare) // as they came: the person before what is about them
	for _, n := range members {
		r, err := t.row(n)
		if err != nil {
			return err
		}
		want, err := t.readers(r, "")
		if err != nil {
			return err
		}
		for _, f := range want {
			if !slices.Contains(r.Readers, f) {
				if err := t.offerTo(f, n, feedEntry{Number: num(n), Key: r.Key, Ref: r.Head}); err != nil {
					return err
				}
			}
		}
		for _, f := range r.Readers {
			if !slices.Contains(want, f) {
				if err := t.offerTo(f, n, feedEntry{Number: num(n), Key: r.Key, Ref: r.Head, Gone: true}); err != nil {
					return err
				}
			}
		}
		r.Readers = want
		if err := t.putRow(n, r); err != nil {
			return err
		}
	}
	return nil
}

// Grant lets a station hold people from now on. It writes their scope records in
// the author's name, and returns how many it changed.
func (s *Store) Grant(ctx context.Context, station, author string, patients ...record.Key) (int, error) {
	changed := 0
	err := s.update(ctx, func(tx *tx) error {
		changed = 0
		for _, p := range patients {
			did, err := tx.grant(p, station, author)
			if err != nil {
				return fmt.Errorf("grant %s: %w", p, err)
			}
			if did {
				changed++
			}
		}
		return nil
	})
	return changed, err
}

func (t *tx) grant(patient record.Key, station, author string) (bool, error) {
	n := t.number(patient)
	if n == nil {
		return false, record.ErrNotFound
	}
	var stations []string
	if _, err := t.get(layout.Scope, n, &stations); err != nil {
		return false, err
	}
	if slices.Contains(stations, station) {
		return false, nil
	}
	var key record.Key
	if err := t.findScope(n, &key); err != nil {
		return false, err
	}
	base := Any
	if key.IsZero() {
		key, base = record.Key{Kind: "Basic", ID: t.s.draw().String()}, ""
	}
	return true, t.writeScope(key, base, patient, append(slices.Clone(stations), station), author)
}

// findScope finds the record that names a person's stations.
func (t *tx) findScope(patient []byte, key *record.Key) error {
	prefix := join([]byte(ixPatient), layout.Short(patient), t.s.kindID("Basic"))
	c := t.Table(layout.Index).Cursor()
	for k, _ := c.Seek(prefix); len(k) > len(prefix) && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		r, err := t.row(layout.Long(k))
		if err != nil {
			return err
		}
		v, err := t.shown(layout.Long(k), r)
		if err != nil || v == nil {
			return err
		}
		if content, err := fhir.Parse(v.Content, fhir.DefaultLimits()); err == nil && IsScope(content) {
			*key = r.Key
			return nil
		}
	}
	return nil
}

// ScopeOf lists the stations that hold a person.
func (s *Store) ScopeOf(patient record.Key) ([]string, error) {
	var out []string
	err := s.view(func(tx *tx) error {
		n := tx.number(patient)
		if n == nil {
			return record.ErrNotFound
		}
		_, err := tx.get(layout.Scope, n, &out)
		return err
	})
	return out, err
}

// SetSetting keeps a small value of the program, sealed; an empty one is let go of.
func (s *Store) SetSetting(ctx context.Context, name string, b []byte) error {
	return s.orBallast(func() error {
		return s.update(ctx, func(tx *tx) error { return tx.putSetting(s.blind("setting", name), b) })
	})
}

func (t *tx) putSetting(at, b []byte) error {
	t.keep(layout.Setting, at, b)
	if len(b) == 0 {
		return t.Table(layout.Settings).Delete(at)
	}
	return t.putRaw(layout.Settings, at, b)
}

// Setting reads a small value of the program; nil where there is none.
func (s *Store) Setting(name string) ([]byte, error) {
	var out []byte
	err := s.view(func(tx *tx) (err error) {
		out, err = tx.getRaw(layout.Settings, s.blind("setting", name))
		return err
	})
	return out, err
}

// UpdateSetting changes a small value in one transaction; f gets nil where there
// is none. Its error is returned and nothing changes.
func (s *Store) UpdateSetting(ctx context.Context, name string, f func([]byte) ([]byte, error)) error {
	return s.update(ctx, func(tx *tx) error { return tx.updateSetting(name, f) })
}

func (t *tx) updateSetting(name string, f func([]byte) ([]byte, error)) error {
	at := t.s.blind("setting", name)
	have, err := t.getRaw(layout.Settings, at)
	if err != nil {
		return err
	}
	b, err := f(have)
	if err != nil {
		return err
	}
	return t.putSetting(at, b)
}

// PeopleOf lists the people whom a station holds.
func (s *Store) PeopleOf(station string) ([]record.Key, error) {
	var out []record.Key
	err := s.view(func(tx *tx) error {
		return tx.Table(layout.Scope).ForEach(func(n, v []byte) error {
			var stations []string
			if err := tx.open(layout.Scope, n, v, &stations); err != nil {
				return err
			}
			if !slices.Contains(stations, station) {
				return nil
			}
			r, err := tx.row(n)
			if err == nil && !r.Key.IsZero() {
				out = append(out, r.Key)
			}
			return err
		})
	})
	return out, err
}
