package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/space"
)

// facts are what is worked out of a version once in a transaction.
type facts struct {
	ref     record.Ref
	bytes   []byte // of the version; of the content alone before there is one
	content *fhir.Value
	found   *found
}

// prepare works out what it can of a content before its write's turn comes.
func (s *Store) prepare(content *fhir.Value) *facts {
	if content == nil {
		return &facts{}
	}
	return &facts{bytes: content.Bytes(), content: content, found: s.find(content)}
}

func (t *tx) facts(v *record.Version) *facts {
	if t.read == nil {
		t.read = map[*record.Version]*facts{}
	}
	f := t.read[v]
	if f == nil {
		f = &facts{}
		t.read[v] = f
	}
	return f
}

// bytes are a version's name with its digest, and what is stored of it.
func (t *tx) bytes(v *record.Version) (record.Ref, []byte, error) {
	f := t.facts(v)
	var err error
	if f.bytes == nil {
		f.ref, f.bytes, err = v.Bytes()
	}
	return f.ref, f.bytes, err
}

// content is a version's content, read.
func (t *tx) content(v *record.Version) (_ *fhir.Value, err error) {
	f := t.facts(v)
	if f.content == nil {
		f.content, err = fhir.Parse(v.Content, fhir.DefaultLimits())
	}
	return f.content, err
}

func (tx *tx) putRaw(in string, key, plain []byte) error {
	return tx.Table(in).Put(key, tx.s.keys.Seal(layout.Place(in, key), plain))
}

// addRaw is putRaw for a key that was never used.
func (tx *tx) addRaw(in string, key, plain []byte) error {
	return tx.Table(in).Add(key, tx.s.keys.Seal(layout.Place(in, key), plain))
}

// getRaw is the plain value; nil when there is none.
func (tx *tx) getRaw(in string, key []byte) ([]byte, error) {
	v := tx.Table(in).Get(key)
	if v == nil {
		return nil, nil
	}
	return tx.unseal(in, key, v)
}

func (tx *tx) unseal(in string, key, sealed []byte) ([]byte, error) {
	plain, err := tx.s.keys.Open(layout.Place(in, key), sealed)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in, err)
	}
	return plain, nil
}

func (tx *tx) put(in string, key []byte, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", in, err)
	}
	return tx.putRaw(in, key, plain)
}

// get reads a value into v and reports whether there is one.
func (tx *tx) get(in string, key []byte, v any) (bool, error) {
	sealed := tx.Table(in).Get(key)
	if sealed == nil {
		return false, nil
	}
	return true, tx.open(in, key, sealed, v)
}

func (tx *tx) open(in string, key, sealed []byte, v any) error {
	plain, err := tx.unseal(in, key, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("read %s: %w", in, err)
	}
	return nil
}

// maxOften bounds how many digests often remembers.
const maxOften = 8192

// often is blind for what comes again and again: kinds and codes.
func (s *Store) often(use, value string) []byte {
	at := use + "/" + value
	if have, ok := s.blinds.Load(at); ok {
		return have.([]byte)
	}
	b := s.blind(use, value)
	if s.blinded.Add(1) <= maxOften {
		s.blinds.Store(at, b)
	}
	return b
}

func (s *Store) blind(use, value string) []byte {
	b := s.keys.Blind(use, value)
	return b[:]
}

// number finds a record's internal number; nil when it has none.
func (tx *tx) number(key record.Key) []byte {
	if n := tx.known[key]; n != nil {
		return n
	}
	n := tx.Table(layout.Keys).Get(tx.s.keyAt(key))
	if n != nil {
		tx.know(key, n)
	}
	return n
}

func (tx *tx) know(key record.Key, n []byte) {
	if tx.known == nil {
		tx.known = map[record.Key][]byte{}
	}
	tx.known[key] = n
}

// ensureRow is a record's number and row; both are new where the record is.
func (tx *tx) ensureRow(key record.Key) ([]byte, *layout.Row, error) {
	n, err := tx.ensureNumber(key)
	if err != nil {
		return nil, nil, err
	}
	r, err := tx.row(n)
	return n, r, err
}

// ensureNumber gives a record an internal number when it has none.
func (tx *tx) ensureNumber(key record.Key) ([]byte, error) {
	if n := tx.number(key); n != nil {
		return n, nil
	}
	b := tx.Table(layout.Keys)
	n := u64(b.Next())
	tx.know(key, n)
	tx.s.passOver(key.ID)
	return n, b.Add(tx.s.keyAt(key), n)
}

// keyAt is where a record's number stands. The ids that replicas give count up, and so do
// their places, so that what is new lies side by side; any other id is blinded.
func (s *Store) keyAt(key record.Key) []byte {
	id, err := record.ParseName(key.ID)
	if err != nil {
		return s.blind("key", key.String())
	}
	return join(s.often("lineage", string(id.Lineage))[:8], u64(id.N), s.kindID(key.Kind))
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func num(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// row reads how a record stands; an empty row where there is nothing yet.
func (t *tx) row(n []byte) (*layout.Row, error) {
	if n == nil {
		return &layout.Row{}, nil
	}
	plain, err := t.getRaw(layout.Stands, n)
	if err != nil || plain == nil {
		return &layout.Row{}, err
	}
	return decodeRow(plain)
}

func decodeRow(plain []byte) (*layout.Row, error) {
	r, err := layout.DecodeRow(plain)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", layout.Stands, err)
	}
	return r, nil
}

func (t *tx) putRow(n []byte, r *layout.Row) error {
	return t.putRaw(layout.Stands, n, r.Encode())
}

// version reads one version of a record.
func (t *tx) version(n []byte, r *layout.Row, ref record.Ref) (*record.Version, error) {
	p, ok := r.Find(ref.Name)
	if !ok || p.Ref != ref {
		return nil, fmt.Errorf("version %s of %s: %w", ref.Name, r.Key, record.ErrNotFound)
	}
	return t.versionAt(n, p.At)
}

func (t *tx) versionAt(n []byte, order uint64) (*record.Version, error) {
	key := join(n, u64(order))
	if v, ok := t.sealing[string(key)]; ok {
		return record.DecodeVersion(v.plain)
	}
	plain, err := t.getRaw(layout.Versions, key)
	if err != nil {
		return nil, err
	}
	if plain == nil {
		return nil, record.ErrNotFound
	}
	return record.DecodeVersion(plain)
}

// remember adds a version to the record's history, once.
func (t *tx) remember(n []byte, r *layout.Row, v *record.Version) error {
	r.Key = v.Key
	ref, b, err := t.bytes(v)
	if err != nil {
		return err
	}
	if p, ok := r.Find(v.Name); ok {
		if p.Ref != ref {
			return fmt.Errorf("version %s of %s: %w", v.Name, v.Key, record.ErrExists)
		}
		return nil
	}
	at, err := t.came()
	if err != nil {
		return err
	}
	order := t.Table(layout.Order).Next()
	if err := t.addVersion(join(n, u64(order)), b); err != nil {
		return err
	}
	r.Past = append(r.Past, layout.Past{Ref: ref, At: order, Came: at})
	if err := t.Table(layout.Order).Add(u64(order), n); err != nil {
		return err
	}
	return t.attach(n, order, v)
}

// came is when this transaction takes in what it does, in Unix milliseconds: by the clock,
// but never before another did, so that who asks for what came since misses nothing. A clock
// in doubt moves nothing on: what it said would be the time of all that comes later.
func (t *tx) came() (int64, error) {
	if t.at != 0 {
		return t.at, nil
	}
	now := t.s.opt.Clock()
	meta, at := t.Table(layout.Meta), now.Corrected()
	if last := meta.Get([]byte(layout.Came)); len(last) == 8 {
		if at = max(at, int64(num(last))); now.Doubt {
			at = int64(num(last))
		}
	}
	t.at = at
	return at, meta.Put([]byte(layout.Came), u64(uint64(at)))
}

// shown is what the row shows; nil for nothing.
func (t *tx) shown(n []byte, r *layout.Row) (*record.Version, error) {
	switch {
	case r.Preview:
		plain, err := t.getRaw(layout.Previews, n)
		if err != nil {
			return nil, err
		}
		return record.DecodeVersion(plain)
	case len(r.Pending) > 0:
		return t.version(n, r, r.Pending[len(r.Pending)-1])
	case !r.Head.IsZero():
		return t.version(n, r, r.Head)
	}
	return nil, nil
}

// showing reads what a record shows; nil where that is nothing, not any more or a tombstone.
func (t *tx) showing(n []byte) (*record.Version, *fhir.Value, error) {
	r, err := t.row(n)
	if err != nil || r.Gone {
		return nil, nil, err
	}
	v, err := t.shown(n, r)
	if err != nil || v == nil || v.Deleted {
		return nil, nil, err
	}
	v.Came = r.Came
	content, err := fhir.Parse(v.Content, fhir.DefaultLimits())
	return v, content, err
}

// headOf is upstream's version; nil before any.
func (t *tx) headOf(n []byte, r *layout.Row) (*record.Version, error) {
	if r.Head.IsZero() || r.Gone {
		return nil, nil
	}
	return t.version(n, r, r.Head)
}

// stand reads a record's stand; found is false where the replica never held it.
func (t *tx) stand(key record.Key, names ...record.Ref) (st *record.Stand, found bool, err error) {
	st = &record.Stand{Key: key, Known: map[record.Name]record.Digest{}, Refused: map[record.Name]record.Reason{}, Above: map[record.Name]bool{}}
	n := t.number(key)
	r, err := t.row(n)
	if err != nil {
		return nil, false, err
	}
	st.Pending, st.Seq, st.Gone, st.Parked = r.Pending, r.Seq, r.Gone, r.Parked
	if !r.Head.IsZero() && !r.Gone {
		if st.Head, err = t.version(n, r, r.Head); err != nil {
			return nil, false, err
		}
	}
	if st.Head != nil && len(r.Pending) == 0 {
		st.Shown = st.Head
	} else if !r.Gone {
		if st.Shown, err = t.shown(n, r); err != nil {
			return nil, false, err
		}
	}
	if st.Shown != nil {
		st.Shown.Came = r.Came
	}
	for _, ref := range names {
		if p, ok := r.Find(ref.Name); ok {
			st.Known[ref.Name] = p.Ref.Digest
		}
		held, _, err := t.heldAs(ref)
		if err != nil {
			return nil, false, err
		}
		if held.Verdict == record.Parked { // what waits for its base will be taken yet
			st.Refused[ref.Name] = held.Reason
		}
		if held.Verdict.Taken() {
			st.Above[ref.Name] = true
		}
	}
	return st, st.Shown != nil || r.Gone, nil
}

// Look tells how a record stands, which of the named versions it knows, and
// reads the first of them where it does. A record that the replica never held
// stands empty.
func (s *Store) Look(key record.Key, base record.Ref, names ...record.Ref) (*record.Stand, error) {
	var st *record.Stand
	err := s.view(func(tx *tx) (err error) {
		if st, _, err = tx.stand(key, append(names, base)...); err != nil {
			return err
		}
		if d, ok := st.Known[base.Name]; ok && d == base.Digest && !st.Gone {
			n := tx.number(key)
			r, err := tx.row(n)
			if err != nil {
				return err
			}
			st.Base, err = tx.version(n, r, base)
			return err
		}
		return nil
	})
	return st, err
}

// Get reads a record. Stand.Shown is set; it may be a tombstone.
func (s *Store) Get(key record.Key) (*record.Stand, error) {
	var st *record.Stand
	err := s.view(func(tx *tx) error {
		var found bool
		var err error
		st, found, err = tx.stand(key)
		if err == nil && (!found || st.Gone) {
			return record.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// Version reads one version of a record by its name or its digest too.
func (s *Store) Version(key record.Key, name record.Name) (*record.Version, error) {
	var v *record.Version
	err := s.view(func(tx *tx) error {
		n := tx.number(key)
		r, err := tx.row(n)
		if err != nil {
			return err
		}
		p, ok := r.Find(name)
		if !ok || r.Gone {
			return record.ErrNotFound
		}
		v, err = tx.pastVersion(n, p)
		return err
	})
	return v, err
}

// History lists a record's versions, newest first.
func (s *Store) History(key record.Key) ([]*record.Version, error) {
	var out []*record.Version
	err := s.view(func(tx *tx) error {
		n := tx.number(key)
		r, err := tx.row(n)
		if err != nil {
			return err
		}
		if len(r.Past) == 0 || r.Gone {
			return record.ErrNotFound
		}
		for _, p := range r.Past {
			v, err := tx.pastVersion(n, p)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	return record.NewestFirst(out), err
}

// ErrLow says that the disk is nearly full: what is new is refused, so that what is
// there can still be sent and read.
var ErrLow = fmt.Errorf("%w: room is kept for sending what is there", ErrFull)

// admit refuses new records where the disk is nearly full.
func (s *Store) admit(least space.State) error {
	if state, err := s.Room(); err != nil || state < least {
		return err
	}
	return ErrLow
}

// roomFor is how long a look at the disk's room counts.
const roomFor = time.Second

// Room is how much room there is on the disks of records and journal.
func (s *Store) Room() (space.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < roomFor {
		return s.state, nil
	}
	state, err := s.room.State()
	if err != nil {
		return space.Enough, err
	}
	s.looked, s.state = time.Now(), state
	return state, nil
}

// orBallast runs a write that must succeed also on a full disk, once more without
// the ballast where there was no room.
func (s *Store) orBallast(write func() error) error {
	err := write()
	if errors.Is(err, ErrFull) && s.room.Release() {
		s.opt.Log.Warn("the disk is full; the ballast is given up")
		return write()
	}
	return err
}
