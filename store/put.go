package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tram/store/audit"
	"tram/store/element"
	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/space"
)

// Any as a Write's Base writes over whatever is shown.
const Any = "*"

// Write is one entry to make.
type Write struct {
	Key  record.Key
	Base string // Stand.Tag that the writer saw; "" for a birth; Any
	// Content is the resource; nil with Delete or Decisions.
	Content   []byte
	Delete    bool
	Decisions []record.Decision
	Author    string

	givesUp bool // a person takes back what upstream did not take
}

// InvalidError says that a resource is no valid FHIR R4. It holds no content.
type InvalidError struct {
	Key    record.Key
	Issues []fhir.Issue
}

func (e *InvalidError) Error() string {
	if len(e.Issues) == 0 {
		return fmt.Sprintf("%s is not a FHIR R4 resource", e.Key.Kind)
	}
	return fmt.Sprintf("%s is not valid FHIR R4: %s at %s", e.Key.Kind, e.Issues[0].Key, e.Issues[0].Path)
}

// Put makes entries, all or none, and returns the version that each came to:
// the present one where the content is the same. They are durable when it
// returns. It fails with record.ErrStale where the record no longer shows Base,
// record.ErrExists for a birth under a taken id, record.ErrNotFound or
// record.ErrDeleted where there is nothing to write to, ErrParked over what
// upstream did not take and a person has to settle first, and InvalidError.
func (s *Store) Put(ctx context.Context, writes ...Write) ([]*record.Version, error) {
	contents := make([]*facts, len(writes))
	for i, w := range writes {
		content, err := s.validate(w)
		if err != nil {
			return nil, err
		}
		contents[i] = s.prepare(content)
	}
	if err := s.admit(space.NoRecords); err != nil {
		return nil, fmt.Errorf("put: %w", err)
	}
	out := make([]*record.Version, len(writes))
	err := s.enter(ctx, func(tx *tx) error {
		for i, w := range writes {
			var err error
			if out[i], err = tx.write(w, contents[i]); err != nil {
				return fmt.Errorf("put %s: %w", w.Key, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// validate reads the content of a write; nil where it has none.
func (s *Store) validate(w Write) (*fhir.Value, error) {
	if !w.Key.Valid() || w.Author == "" {
		return nil, fmt.Errorf("put: a write needs a key and an author")
	}
	if w.Content == nil {
		if !w.Delete && len(w.Decisions) == 0 {
			return nil, &InvalidError{Key: w.Key}
		}
		return nil, nil
	}
	v, err := element.Parse(w.Content)
	if err != nil {
		return nil, fmt.Errorf("put %s: %w", w.Key.Kind, err)
	}
	if issues := s.structure(v); len(issues) > 0 {
		return nil, &InvalidError{w.Key, issues}
	}
	if v.Str("resourceType") != w.Key.Kind || v.Str("id") != w.Key.ID {
		return nil, &InvalidError{w.Key, []fhir.Issue{{Code: "invalid", Path: w.Key.Kind + ".id", Key: "other-id"}}}
	}
	return v, nil
}

// structure are the faults for which a resource is refused. A reference to a
// kind that may not stand there is none: HL7's own examples have it.
func (s *Store) structure(v *fhir.Value) []fhir.Issue {
	return slices.DeleteFunc(s.opt.R4.Check(v), func(i fhir.Issue) bool { return i.Key == fhir.IssueTarget })
}

// write makes one version on top of what is shown.
func (t *tx) write(w Write, given *facts) (*record.Version, error) {
	content := given.content
	st, found, err := t.stand(w.Key)
	if err != nil {
		return nil, err
	}
	if st.Gone {
		return nil, record.ErrNotFound
	}
	if st.Parked != "" {
		if err := t.mendsFirst(w, st); err != nil {
			return nil, err
		}
	}
	if err := admits(st, found, w); err != nil {
		return nil, err
	}
	old := st.Shown
	if old != nil && !st.Preview() && unchanged(old, w, content) {
		return old, nil
	}
	v, err := t.compose(w, st, given)
	if err != nil {
		return nil, err
	}
	if content != nil {
		*t.facts(v) = facts{content: content, found: given.found}
	}
	_, b, err := t.bytes(v)
	if err != nil {
		return nil, err
	}
	t.keep(layout.Put, b)
	if err := t.accept(v); err != nil {
		return nil, err
	}
	action := audit.Update
	switch {
	case w.Delete:
		action = audit.Delete
	case len(w.Decisions) > 0:
		action = audit.Decide
	case old == nil:
		action = audit.Create
	}
	return v, t.audit(audit.Entry{At: v.Stamp.Corrected(), Who: w.Author, Action: action, Key: w.Key, Version: v.Name})
}

// admits holds a write against what is shown.
func admits(st *record.Stand, found bool, w Write) error {
	switch {
	case !found && (w.Delete || len(w.Decisions) > 0):
		return record.ErrNotFound
	case !found && w.Base != "" && w.Base != Any:
		return record.ErrStale
	case found && w.Base == "":
		return record.ErrExists
	case found && w.Base != Any && w.Base != st.Tag():
		return record.ErrStale
	case found && st.Shown.Deleted && len(w.Decisions) > 0:
		return record.ErrDeleted
	}
	return nil
}

func unchanged(old *record.Version, w Write, content *fhir.Value) bool {
	if w.Delete {
		return old.Deleted
	}
	if content == nil || old.Deleted {
		return false
	}
	have, err := element.Parse(old.Content)
	return err == nil && fhir.Equal(have, content)
}

// compose names the version and traces which elements it sets. What upstream did
// not take is no ground to build on: its correction stands on upstream's version.
func (t *tx) compose(w Write, st *record.Stand, given *facts) (*record.Version, error) {
	content := given.content
	old := st.Shown
	if st.Parked != "" && (content != nil || st.Head != nil) {
		old = st.Head
	}
	v := &record.Version{Key: w.Key, Name: t.s.draw(), Author: w.Author, Stamp: t.s.opt.Clock(), Deleted: w.Delete}
	r4 := t.s.opt.R4
	if old == nil {
		v.Seen, v.Content = record.Seen{}.With(v.Name), given.bytes // all of it set by this version, which no trace need say
		return v, nil
	}
	v.Seen = old.Seen.With(v.Name)
	switch {
	case st.Parked != "":
		v.Base = st.Head.Ref()
	case st.Preview():
		v.Base, v.Includes = st.Head.Ref(), []record.Ref{st.Pending[len(st.Pending)-1]}
	default:
		v.Base = old.Ref()
	}
	tree, err := element.Read(r4, old)
	if err != nil {
		return nil, err
	}
	switch {
	case w.Delete:
	case len(w.Decisions) > 0:
		tree, err = element.Decide(tree, w.Decisions, v.Name)
	default:
		tree, err = element.Edit(r4, tree, content, v.Name)
	}
	if err != nil {
		return nil, err
	}
	v.Content = tree.Content().Bytes()
	if content != nil {
		v.Content = given.bytes // just as it was written, also in the order of its fields
	}
	v.Trace = tree.Trace(v.Name, old)
	v.Lost = element.DecidedAgainst(old, w.Decisions)
	if st.Preview() && st.Parked == "" { // who saves over a preview was shown what won in it
		v.Lost = append(v.Lost, element.LostIn(old, tree)...)
	}
	return v, t.checkDecided(w, v)
}

// checkDecided refuses a decision whose value FHIR does not allow.
func (t *tx) checkDecided(w Write, v *record.Version) error {
	if len(w.Decisions) == 0 {
		return nil
	}
	content, err := element.Parse(v.Content)
	if err != nil {
		return err
	}
	if issues := t.s.structure(content); len(issues) > 0 {
		return &InvalidError{w.Key, issues}
	}
	return nil
}

// left reports whether a replay brings what upstream has, of a record that has left this
// replica's scope since.
func (t *tx) left(r *layout.Row, name record.Name) (bool, error) {
	if !t.replaying || !r.Gone {
		return false, nil
	}
	var have record.Receipt
	_, err := t.get(layout.Receipts, []byte(name.Lineage), &have)
	return have.N >= name.N, err
}

// accept takes in a version made here: the head at the top replica, pending
// elsewhere. A second time it does nothing.
func (t *tx) accept(v *record.Version) error {
	n, r, err := t.ensureRow(v.Key)
	if err != nil {
		return err
	}
	born := r.Key == record.Key{} // no row is there
	if left, err := t.left(r, v.Name); err != nil || left {
		if before, linked := t.linkBefore(v.Name); err == nil && !linked {
			err = t.chain(before, v.Ref())
		}
		return err
	}
	if p, ok := r.Find(v.Name); ok {
		if t.s.opt.Top {
			return nil
		}
		before, linked := t.linkBefore(v.Name)
		if linked {
			return nil
		}
		return t.chain(before, p.Ref)
	}
	old, err := t.shown(n, r)
	if err != nil {
		return err
	}
	if old != nil && old.Seen.Has(v.Name) {
		return t.acceptLate(n, r, v)
	}
	if err := t.remember(n, r, v); err != nil {
		return err
	}
	r.Preview, r.Gone = false, false // gone only in a replay, over a grant that is no entry of the journal
	if t.s.opt.Top {
		r.Head = r.Past[len(r.Past)-1].Ref
	} else {
		if r.Parked != "" { // else this one goes on from what waits, and stands and falls with it
			if err := t.leaveParked(r); err != nil {
				return err
			}
		}
		r.Pending = append(r.Pending, r.Past[len(r.Past)-1].Ref)
		if err := t.own(n, r.Past[len(r.Past)-1]); err != nil {
			return err
		}
	}
	if err := t.show(n, r, old, v); err != nil {
		return err
	}
	v.Came = r.Came
	if err := t.keepLost(n, v); err != nil {
		return err
	}
	if err := t.handDown(n, r); err != nil {
		return err
	}
	if born && !t.s.opt.Top {
		return t.addRaw(layout.Stands, n, r.Encode())
	}
	if err := t.putRow(n, r); err != nil {
		return err
	}
	return t.rescope(old, v)
}

// acceptLate takes in a version made here that went into what is shown already: the
// journal has it, and the database had lost it.
func (t *tx) acceptLate(n []byte, r *layout.Row, v *record.Version) error {
	if err := t.remember(n, r, v); err != nil {
		return err
	}
	p := r.Past[len(r.Past)-1]
	if !t.s.opt.Top {
		if err := t.own(n, p); err != nil {
			return err
		}
		head, err := t.headOf(n, r)
		if err != nil {
			return err
		}
		if head == nil || !head.Seen.Has(v.Name) {
			r.Pending = append([]record.Ref{p.Ref}, r.Pending...)
		}
	}
	return errors.Join(t.keepLost(n, v), t.putRow(n, r))
}

// own adds a change to what must go up, and to its lineage's chain.
func (t *tx) own(n []byte, p layout.Past) error {
	name := p.Ref.Name
	before, linked := t.linkBefore(name)
	v, err := t.versionAt(n, p.At)
	if err != nil {
		return err
	}
	e := layout.OwnEntry{Number: num(n), Ref: p.Ref, Prev: before.N, Urgent: urgent(v.Content)}
	if err := t.addRaw(layout.Own, u64(p.At), e.Encode()); err != nil {
		return err
	}
	t.noteWaits(name.Lineage, 1)
	if linked {
		return nil
	}
	return t.chain(before, p.Ref)
}

func lastOf(refs []record.Ref) record.Ref {
	if len(refs) == 0 {
		return record.Ref{}
	}
	return refs[len(refs)-1]
}

// shownOr is what a record shows, which is v itself where it bears ref: nothing that
// follows from it is worked out again then.
func (t *tx) shownOr(n []byte, r *layout.Row, v *record.Version, ref record.Ref) (*record.Version, error) {
	shows := lastOf(r.Pending)
	if shows.IsZero() {
		shows = r.Head
	}
	if shows == ref && !r.Preview {
		return v, nil
	}
	return t.shown(n, r)
}

func (t *tx) putOwn(order uint64, e layout.OwnEntry) error {
	if t.Table(layout.Own).Get(u64(order)) == nil {
		t.noteWaits(e.Ref.Name.Lineage, 1)
	}
	t.noteParked(order, e.Verdict == record.Parked)
	return t.putRaw(layout.Own, u64(order), e.Encode())
}

func (t *tx) dropOwn(order uint64) error {
	e, waits, err := t.ownAt(order)
	if err != nil || !waits {
		return err
	}
	t.noteWaits(e.Ref.Name.Lineage, -1)
	t.noteParked(order, false)
	return t.Table(layout.Own).Delete(u64(order))
}

// noteWaits notes how many more own changes of a lineage wait, once this commits: each
// exchange asks for which there are some.
func (t *tx) noteWaits(l record.Lineage, more int) {
	t.after = append(t.after, func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		if t.s.waits[l] += more; t.s.waits[l] == 0 {
			delete(t.s.waits, l)
		}
	})
}

// noteParked notes whether upstream did not take an own change, once this commits: they
// are counted at each page and exchange, and among many they are few.
func (t *tx) noteParked(order uint64, parked bool) {
	t.after = append(t.after, func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		if parked {
			t.s.parked[order] = true
		} else {
			delete(t.s.parked, order)
		}
	})
}

// loadOwn keeps in memory what readOwn finds.
func (s *Store) loadOwn() error {
	waits, parked, err := s.readOwn()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked, s.waits = parked, waits
	return err
}

// readOwn counts the own changes that wait, and finds those that upstream did not take.
func (s *Store) readOwn() (waits map[record.Lineage]int, parked map[uint64]bool, err error) {
	waits, parked = map[record.Lineage]int{}, map[uint64]bool{}
	err = s.view(func(tx *tx) error {
		return tx.Table(layout.Own).ForEach(func(k, v []byte) error {
			e, err := tx.openOwn(k, v)
			if err == nil && e.Verdict == record.Parked {
				parked[num(k)] = true
			}
			waits[e.Ref.Name.Lineage]++
			return err
		})
	})
	return waits, parked, err
}

// waiting are the lineages of which own changes wait.
func (s *Store) waiting() map[record.Lineage]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.waits)
}

// ownAt reads the own change that a version of a record is, and reports whether it
// waits for a receipt.
func (t *tx) ownAt(order uint64) (layout.OwnEntry, bool, error) {
	plain, err := t.getRaw(layout.Own, u64(order))
	if err != nil || plain == nil {
		return layout.OwnEntry{}, false, err
	}
	e, err := layout.DecodeOwn(plain)
	return e, err == nil, err
}

func (t *tx) openOwn(k, v []byte) (layout.OwnEntry, error) {
	plain, err := t.unseal(layout.Own, k, v)
	if err != nil {
		return layout.OwnEntry{}, err
	}
	return layout.DecodeOwn(plain)
}

// bornAt gives a person the station of the replica that handed in its birth.
func (t *tx) bornAt(patient record.Key, peer string) error {
	var p Peer
	if ok, err := t.get(layout.Peers, t.s.blind("peer", peer), &p); err != nil || !ok {
		return err
	}
	_, err := t.grant(patient, p.Station, keeper)
	return err
}
