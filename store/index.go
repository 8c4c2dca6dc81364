package store

import (
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"golang.org/x/sync/errgroup"

	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/people"
	"tram/store/query"
	"tram/store/record"
	"tram/store/seal"
)

// kindID is long enough that two of R4's 146 kinds share one under one key in a hundred
// million.
func (s *Store) kindID(kind string) []byte { return s.often("kind", kind)[:5] }

func (s *Store) codeID(system, code string) []byte { return s.often("code", system+"|"+code)[:8] }

// indexKeys are the keys under which a version is found; none for a tombstone.
func (t *tx) indexKeys(n []byte, v *record.Version) (keys [][]byte, patients []uint64, err error) {
	if v == nil {
		return nil, nil, nil
	}
	f, err := t.found(v)
	if err != nil {
		return nil, nil, err
	}
	date := f.date
	kind := t.s.kindID(v.Key.Kind)
	for _, id := range f.people {
		pn, err := t.ensureNumber(record.Key{Kind: "Patient", ID: id})
		if err != nil {
			return nil, nil, err
		}
		patients = append(patients, num(pn))
	}
	if f.private {
		patients = []uint64{layout.Nobody}
	}
	for _, pn := range patients {
		keys = append(keys, join([]byte(layout.ByPatient), layout.Short(u64(pn)), kind, date, layout.Short(n)))
	}
	if v.Deleted {
		return keys, patients, nil // a tombstone stays in its compartments, to be offered there
	}
	keys = append(keys, join([]byte(layout.ByKind), kind, date, layout.Short(n)))
	for _, code := range f.codes {
		keys = append(keys, join([]byte(layout.ByCode), kind, code, date, layout.Short(n)))
	}
	return keys, patients, nil
}

// found is what a content is found by.
type found struct {
	people  []string // ids
	private bool
	date    []byte
	codes   [][]byte
}

// find works it out.
func (s *Store) find(content *fhir.Value) *found {
	in := query.FoundBy(s.opt.R4, content)
	f := &found{people: in.People, private: in.Private, date: layout.Sortable(in.Date)}
	for _, code := range in.Codes {
		f.codes = append(f.codes, s.codeID("", code))
	}
	return f
}

func (t *tx) found(v *record.Version) (*found, error) {
	f := t.facts(v)
	if f.found == nil {
		content, err := t.content(v)
		if err != nil {
			return nil, err
		}
		f.found = t.s.find(content)
	}
	return f.found, nil
}

// show brings everything that depends on what a record shows from the old state
// to the new one: index, people, conflicts. Nil is nothing.
func (t *tx) show(n []byte, r *layout.Row, old, now *record.Version) error {
	if old == now && now != nil {
		return nil
	}
	at, err := t.came()
	if err != nil {
		return err
	}
	r.Came = at
	before, _, err := t.indexKeys(n, old)
	if err != nil {
		return err
	}
	after, patients, err := t.indexKeys(n, now)
	if err != nil {
		return err
	}
	r.Patients = patients
	ix := t.Table(layout.Index)
	for _, k := range before {
		if !contains(after, k) {
			if err := ix.Delete(k); err != nil {
				return err
			}
		}
	}
	for i, k := range after {
		if !contains(before, k) && !contains(after[:i], k) {
			if err := ix.Add(k, nil); err != nil {
				return err
			}
		}
	}
	if (old == nil) != (now == nil) {
		if err := t.countShown(now != nil); err != nil {
			return err
		}
	}
	if r.Key.Kind == "Patient" {
		num, key := num(n), r.Key
		var date people.Date
		if now != nil {
			f, err := t.found(now)
			if err != nil {
				return err
			}
			date = people.Date(f.date)
		}
		t.after = append(t.after, func() { t.s.people.Set(num, key, now, date) })
	}
	return t.contest(n, old, now)
}

func contains(keys [][]byte, k []byte) bool {
	return slices.ContainsFunc(keys, func(o []byte) bool { return string(o) == string(k) })
}

// loadPeople reads everybody at open, on all cores.
func (s *Store) loadPeople() error {
	var all []people.Hit
	err := s.view(func(tx *tx) error {
		n := 0
		tx.each("Patient", func([]byte) { n++ })
		all = make([]people.Hit, 0, n)
		tx.each("Patient", func(k []byte) { all = append(all, people.Hit{Number: num(layout.Long(k)), Date: layout.DateIn(k)}) })
		return nil
	})
	if err != nil || len(all) == 0 {
		return err
	}
	var g errgroup.Group
	for some := range slices.Chunk(all, (len(all)-1)/runtime.GOMAXPROCS(0)+1) {
		g.Go(func() error {
			return s.view(func(tx *tx) error {
				for _, p := range some {
					n := u64(p.Number)
					r, err := tx.row(n)
					if err != nil {
						return err
					}
					v, err := tx.shown(n, r)
					if err != nil {
						return err
					}
					s.people.Set(p.Number, r.Key, v, p.Date)
				}
				return nil
			})
		})
	}
	err = g.Wait()
	if len(all) > manyPeople {
		debug.FreeOSMemory() // reading them took several times what stays of them
	}
	return err
}

// manyPeople is from how many people on it is worth while to give memory back.
const manyPeople = 10_000

// Result is a page of what a search found.
type Result struct {
	Stands []*record.Stand
	Total  int    // of all pages
	Next   string // Query.Page of the next page; "" behind the last
}

// Search finds the records that match a query. Without a sort they come newest
// first. It fails with query.ParamError where it cannot do what is asked.
func (s *Store) Search(q query.Query) (Result, error) {
	if err := query.Check(s.opt.R4, q); err != nil {
		return Result{}, err
	}
	after, err := s.openPage(q.Page)
	until, err2 := s.openPage(q.Until)
	if err != nil || err2 != nil {
		return Result{}, &query.ParamError{Param: "page", Why: "value"}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = query.DefaultLimit
	}
	limit = min(limit, query.MaxLimit)
	var res Result
	err = s.view(func(tx *tx) error {
		hits, err := tx.hits(q)
		if err != nil {
			return err
		}
		res.Total = len(hits)
		if len(until) > 0 {
			hits = hits[:query.Behind(hits, until)]
		}
		from := 0
		if len(after) > 0 {
			from = query.Behind(hits, after)
		}
		page := hits[from:min(from+limit, len(hits))]
		for _, h := range page {
			r, err := tx.row(u64(h.Number))
			if err != nil {
				return err
			}
			st, _, err := tx.stand(r.Key)
			if err != nil {
				return err
			}
			res.Stands = append(res.Stands, st)
		}
		if from+limit < len(hits) {
			res.Next = s.sealPage(page[len(page)-1].Order)
		}
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("search: %w", err)
	}
	return res, nil
}

// sealPage makes a page's mark. It stands in URLs, and the order of a search by
// name holds names, so it is sealed.
func (s *Store) sealPage(order string) string {
	return base64.RawURLEncoding.EncodeToString(s.keys.Seal([]byte("page"), []byte(order)))
}

func (s *Store) openPage(page string) ([]byte, error) {
	if page == "" {
		return nil, nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(page)
	if err != nil {
		return nil, err
	}
	return s.keys.Open([]byte("page"), sealed)
}

// hits are all matches in their order.
func (t *tx) hits(q query.Query) ([]query.Hit, error) {
	var out []query.Hit
	if len(q.Clauses) == 0 && len(q.Sort) == 0 {
		t.each(q.Kind, func(k []byte) { out = append(out, hitOf(num(layout.Long(k)), layout.DateIn(k))) })
		slices.Reverse(out)
		return out, nil
	}
	if names, ok := query.Names(q); ok {
		for _, p := range t.s.people.Named(names) {
			if t.lists(q.Kind, p) {
				out = append(out, hitOf(p.Number, p.Date))
			}
		}
		slices.SortFunc(out, query.Hit.Compare)
		return out, nil
	}
	return t.looked(q)
}

// looked are all matches, each candidate read and compared.
func (t *tx) looked(q query.Query) ([]query.Hit, error) {
	var out []query.Hit
	r4 := t.s.opt.R4.In(t.s.opt.Zone)
	for _, n := range t.candidates(q) {
		v, content, err := t.showing(n)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		meta := query.Meta{ID: v.Key.ID, LastUpdated: v.Updated().UnixMilli()}
		if query.Matches(r4, q, content, meta) {
			out = append(out, query.Hit{Number: num(n), Order: query.SortKey(r4, q, content, meta) + layout.Latest(layout.Sortable(query.FoundBy(t.s.opt.R4, content).Date), n)})
		}
	}
	slices.SortFunc(out, query.Hit.Compare)
	return out, nil
}

// each goes through the keys of what is shown of a kind, the oldest first.
func (t *tx) each(kind string, f func(k []byte)) {
	prefix := join([]byte(layout.ByKind), t.s.kindID(kind))
	c := t.Table(layout.Index).Cursor()
	for k, _ := c.Seek(prefix); len(k) == len(prefix)+layout.DateLen+layout.NumberLen && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		f(k)
	}
}

// lists reports whether a person is shown at that date: the index of people may be
// ahead of what the transaction sees.
func (t *tx) lists(kind string, p people.Hit) bool {
	return t.Table(layout.Index).Get(join([]byte(layout.ByKind), t.s.kindID(kind), p.Date[:], layout.Short(u64(p.Number)))) != nil
}

func hitOf(number uint64, date people.Date) query.Hit {
	return query.Hit{Number: number, Order: layout.Latest(date[:], u64(number))}
}

// candidates are the records in which the matches are, each once: those of one
// id, of a person, of a code or of the people found by name, and all of the
// kind where no clause narrows them for sure.
func (t *tx) candidates(q query.Query) [][]byte {
	kind := t.s.kindID(q.Kind)
	if found, ok := t.desk(q); ok {
		return found
	}
	for _, c := range q.Clauses {
		if c.Modifier != "" && c.Modifier != "Patient" || c.Escaped() {
			continue
		}
		p, _ := t.s.opt.R4.Param(q.Kind, c.Param)
		var prefixes [][]byte
		switch {
		case c.Param == "_id":
			return t.numbers(q.Kind, c.Values)
		case c.Param == query.Compartment:
			for _, n := range t.numbers("Patient", c.Values) {
				prefixes = append(prefixes, join([]byte(layout.ByPatient), layout.Short(n), kind))
			}
			return t.scan(prefixes)
		case q.Kind == "Patient":
		case c.OfPeople():
			for _, n := range t.numbers("Patient", c.People()) {
				prefixes = append(prefixes, join([]byte(layout.ByPatient), layout.Short(n), kind))
			}
			return t.scan(prefixes)
		case c.Param == "code" && p.Type == "token" && c.Coded():
			for _, v := range c.Values {
				prefixes = append(prefixes, join([]byte(layout.ByCode), kind, t.s.codeID("", query.AfterBar(v))))
			}
			return t.scan(prefixes)
		}
	}
	return t.scan([][]byte{join([]byte(layout.ByKind), kind)})
}

func (t *tx) numbers(kind string, ids []string) [][]byte {
	var out [][]byte
	for _, id := range ids {
		if n := t.number(record.Key{Kind: kind, ID: id}); n != nil && !contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// desk asks the index of people for those who match all that it knows of a query, and
// tells whether it knows any.
func (t *tx) desk(q query.Query) ([][]byte, bool) {
	ways := query.Desk(q)
	seen := map[uint64]bool{}
	var out [][]byte
	for _, words := range ways {
		for _, n := range t.s.people.Numbers(words) {
			if !seen[n] {
				seen[n] = true
				out = append(out, u64(n))
			}
		}
	}
	return out, len(ways) > 0
}

// scan lists the numbers at the end of the index keys with the prefixes, each
// once, newest first within a prefix.
func (t *tx) scan(prefixes [][]byte) [][]byte {
	seen := map[string]bool{}
	var out [][]byte
	for _, p := range prefixes {
		var some [][]byte
		c := t.Table(layout.Index).Cursor()
		for k, _ := c.Seek(p); len(k) >= len(p)+layout.NumberLen && string(k[:len(p)]) == string(p); k, _ = c.Next() {
			n := layout.Long(k)
			if !seen[string(n)] {
				seen[string(n)] = true
				some = append(some, n)
			}
		}
		slices.Reverse(some)
		out = append(out, some...)
	}
	return out
}

// compartment are the records about a person, what was deleted too.
func (t *tx) compartment(patient []byte) [][]byte {
	return t.scan([][]byte{join([]byte(layout.ByPatient), layout.Short(patient))})
}

// About lists the records in the compartments of people (FHIR R4
// compartmentdefinition-patient.html), what was deleted too.
func (s *Store) About(people ...string) (out []record.Key, err error) {
	err = s.view(func(tx *tx) error {
		for _, n := range tx.numbers("Patient", people) {
			for _, m := range tx.compartment(n) {
				r, err := tx.row(m)
				if err != nil {
					return err
				}
				out = append(out, r.Key)
			}
		}
		return nil
	})
	return out, err
}

// Person is what tells a person from others at a desk.
type Person = people.Person

// People finds people as a desk types them, at most limit; see people.Index.
func (s *Store) People(text string, limit int) (out []Person, err error) {
	found := s.people.Find(text, limit)
	err = s.view(func(tx *tx) error { // begun after the search: who is not there is gone since
		for _, n := range found {
			one, err := tx.person(u64(n))
			if err != nil {
				return err
			}
			if one != nil {
				out = append(out, *one)
			}
		}
		return nil
	})
	return out, err
}

// person is who a record shows; nil for nobody. Of one that is damaged it is the id alone:
// it hides nobody else, and its page says what is to be done.
func (t *tx) person(n []byte) (*Person, error) {
	_, patient, err := t.showing(n)
	var one Person
	switch {
	case errors.Is(err, seal.ErrAltered):
		var r *layout.Row
		if r, err = t.row(n); err == nil {
			one.ID = r.Key.ID
		}
	case err != nil || patient == nil:
		return nil, err
	default:
		one = people.Show(patient)
	}
	return &one, err
}

// Doubles finds who may be the same person as a Patient, at most limit, never the
// Patient itself nor who is linked to it; see people.Index.
func (s *Store) Doubles(patient *fhir.Value, wide bool, limit int) (out []people.Double, err error) {
	not := append(s.people.Linked(patient.Str("id")), patient.Str("id"))
	hints := s.people.Doubles(patient, wide)
	err = s.view(func(tx *tx) error { // as in People
		for i := 0; i < len(hints) && len(out) < limit; i++ {
			other, err := tx.person(u64(hints[i].Number))
			if err != nil {
				return err
			}
			if other != nil && !slices.Contains(not, other.ID) {
				out = append(out, people.Double{Person: *other, By: hints[i].By})
			}
		}
		return nil
	})
	return out, err
}

// Linked are the ids of the other records of a person; see people.Index.
func (s *Store) Linked(id string) []string { return s.people.Linked(id) }
