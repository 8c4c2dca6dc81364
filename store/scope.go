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
	"tram/store/scope"
)

// keeper is the author of what the store itself writes.
const keeper = "tram"

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
	t.s.keepPeers(nil) // a replay runs nothing after it
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
	for _, patient := range append(held, u64(layout.Nobody)) {
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
	keeps := func(p Peer) bool { return p.Name == sender || !known && slices.Contains(r.Readers, FeedOf(p.Name)) }
	for _, p := range peers {
		if !known && keeps(p) && p.Station != "" { // the other PCs of its station have it too
			stations[p.Station] = true
		}
	}
	for _, p := range peers {
		if stations[p.Station] || keeps(p) {
			out = append(out, FeedOf(p.Name))
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
	if birth || slices.Contains(r.Readers, feed) || slices.Contains(r.Readers, record.SharedFeed) {
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
	b := scope.Content(key.ID, patient.ID, stations)
	content, err := fhir.Parse(b, fhir.DefaultLimits())
	if err != nil {
		return err
	}
	_, err = t.write(Write{Key: key, Base: base, Content: b, Author: author}, t.s.prepare(content))
	return err
}

// rescope takes over what a scope record says now, where old was shown before, and offers
// the person's records anew. Whom it names no more has the stations that another record of
// theirs names, or none. At other than the top replica scope records are read, not obeyed.
func (t *tx) rescope(old, now *record.Version) error {
	if now.Key.Kind != "Basic" || !t.s.opt.Top {
		return nil
	}
	was, _, err := t.scopeIn(old)
	if err != nil {
		return err
	}
	of, stations, err := t.scopeIn(now)
	if err != nil {
		return err
	}
	if was != nil && (now.Deleted || !bytes.Equal(was, of)) {
		_, left, err := t.findScope(was)
		if err != nil {
			return err
		}
		if err := t.holdBy(was, left); err != nil {
			return err
		}
	}
	if of == nil || now.Deleted {
		return nil
	}
	return t.holdBy(of, stations)
}

// scopeIn is whose stations a version names, by number, and which; nil where it is no
// scope record. What is deleted names none.
func (t *tx) scopeIn(v *record.Version) (patient []byte, stations []string, err error) {
	if v == nil {
		return nil, nil, nil
	}
	content, err := t.content(v)
	if err != nil {
		return nil, nil, err
	}
	key, stations, ok := scope.Of(content)
	if !ok {
		return nil, nil, nil
	}
	if v.Deleted {
		stations = nil
	}
	patient, err = t.ensureNumber(key)
	return patient, stations, err
}

// holdBy makes stations those that hold a person.
func (t *tx) holdBy(patient []byte, stations []string) error {
	var have []string
	if _, err := t.get(layout.Scope, patient, &have); err != nil || slices.Equal(have, stations) {
		return err
	}
	if err := t.put(layout.Scope, patient, stations); err != nil {
		return err
	}
	return t.offerCompartment(patient)
}

// offerCompartment brings a person's records into the feeds they belong in.
func (t *tx) offerCompartment(patient []byte) error {
	members := t.compartment(patient)
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

// setApart takes what is not for everybody out of the feed of what is, where it stood until
// schema 7. Who has it keeps it.
func (t *tx) setApart() error {
	peers, err := t.peers()
	if err != nil {
		return err
	}
	var all [][]byte
	err = t.Table(layout.Stands).ForEach(func(n, _ []byte) error {
		all = append(all, slices.Clone(n))
		return nil
	})
	for _, n := range all {
		if err != nil {
			return err
		}
		err = t.apart(n, peers)
		clear(t.read) // or all that was ever read would stay in memory
	}
	return err
}

func (t *tx) apart(n []byte, peers []Peer) error {
	r, err := t.row(n)
	if err != nil || r.Gone {
		return err
	}
	v, err := t.shown(n, r)
	if err != nil {
		return err
	}
	keys, patients, err := t.indexKeys(n, v)
	if err != nil || slices.Equal(patients, r.Patients) {
		return err
	}
	r.Patients = patients
	for _, k := range keys {
		if err := t.Table(layout.Index).Put(k, nil); err != nil {
			return err
		}
	}
	if slices.Contains(r.Readers, record.SharedFeed) {
		for _, p := range peers {
			r.Readers = append(r.Readers, FeedOf(p.Name))
		}
		if err := t.spread(n, r, ""); err != nil {
			return err
		}
	}
	return t.putRow(n, r)
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
	key, _, err := t.findScope(n)
	if err != nil {
		return false, err
	}
	base := Any
	if key.IsZero() {
		key, base = record.Key{Kind: "Basic", ID: t.s.draw().String()}, ""
	}
	return true, t.writeScope(key, base, patient, append(slices.Clone(stations), station), author)
}

// findScope finds the record that names a person's stations, one that is not deleted
// where there is one, and which it names.
func (t *tx) findScope(patient []byte) (key record.Key, stations []string, err error) {
	for _, n := range t.scan([][]byte{join([]byte(layout.ByPatient), layout.Short(patient), t.s.kindID("Basic"))}) {
		r, err := t.row(n)
		if err != nil {
			return key, nil, err
		}
		v, err := t.shown(n, r)
		if err != nil {
			return key, nil, err
		}
		of, names, err := t.scopeIn(v)
		if err != nil {
			return key, nil, err
		}
		if bytes.Equal(of, patient) {
			if key, stations = r.Key, names; !v.Deleted {
				break
			}
		}
	}
	return key, stations, nil
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
