package store

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"tram/store/fhir"
	"tram/store/people"
	"tram/store/query"
	"tram/store/record"
)

// The index of what is shown. Its keys are internal numbers, keyed digests and
// dates; nothing in it names or describes a person.
//
//	ixPatient  patient, kind, date, number
//	ixKind     kind, date, number
//	ixCode     kind, code, date, number
var (
	ixPatient = []byte{'p'}
	ixKind    = []byte{'k'}
	ixCode    = []byte{'c'}
)

// dateParams are the search parameters that tell when a record belongs, the
// first that a kind has and a record fills.
func dateParams() []string {
	return []string{"date", "onset-date", "authoredon", "authored", "authored-on", "recorded-date", "sent", "created", "period", "issued", "birthdate", "_lastUpdated"}
}

func (t *tx) kindID(kind string) []byte { return t.s.blind("kind", kind)[:2] }

func (t *tx) codeID(system, code string) []byte { return t.s.blind("code", system+"|"+code)[:8] }

// indexKeys are the keys under which a version is found; none for a tombstone.
func (t *tx) indexKeys(n []byte, v *record.Version) (keys [][]byte, patients []uint64, err error) {
	if v == nil {
		return nil, nil, nil
	}
	content, err := fhir.Parse(v.Content, fhir.DefaultLimits())
	if err != nil {
		return nil, nil, err
	}
	r4 := t.s.opt.R4
	date := t.dateOf(content, v)
	kind := t.kindID(v.Key.Kind)
	for _, id := range r4.Patients(content) {
		pn, err := t.ensureNumber(record.Key{Kind: "Patient", ID: id})
		if err != nil {
			return nil, nil, err
		}
		patients = append(patients, num(pn))
		keys = append(keys, join(ixPatient, pn, kind, date, n))
	}
	if v.Deleted {
		return keys, patients, nil // a tombstone stays in its compartments, to be offered there
	}
	keys = append(keys, join(ixKind, kind, date, n))
	if p, ok := r4.Param(v.Key.Kind, "code"); ok {
		for _, sv := range r4.SearchValues(content, p) {
			keys = append(keys, join(ixCode, kind, t.codeID("", sv.Code), date, n))
		}
	}
	return keys, patients, nil
}

// dateOf is the record's date in sortable bytes.
func (t *tx) dateOf(content *fhir.Value, v *record.Version) []byte {
	at := v.Stamp.Corrected()
	for _, name := range dateParams() {
		p, ok := t.s.opt.R4.Param(v.Key.Kind, name)
		if !ok || p.Type != "date" || name == "_lastUpdated" {
			continue
		}
		if vals := t.s.opt.R4.SearchValues(content, p); len(vals) > 0 {
			if at = vals[0].Low; at == math.MinInt64 {
				at = vals[0].High
			}
			break
		}
	}
	return binary.BigEndian.AppendUint64(nil, uint64(at)^(1<<63))
}

// show brings everything that depends on what a record shows from the old state
// to the new one: index, people, conflicts. Nil is nothing.
func (t *tx) show(n []byte, r *row, old, now *record.Version) error {
	before, _, err := t.indexKeys(n, old)
	if err != nil {
		return err
	}
	after, patients, err := t.indexKeys(n, now)
	if err != nil {
		return err
	}
	r.Patients = patients
	ix := t.Bucket(bIndex)
	for _, k := range before {
		if !contains(after, k) {
			if err := ix.Delete(k); err != nil {
				return err
			}
		}
	}
	for _, k := range after {
		if !contains(before, k) {
			if err := ix.Put(k, nil); err != nil {
				return err
			}
		}
	}
	if r.Key.Kind == "Patient" {
		num, key := num(n), r.Key
		t.after = append(t.after, func() { t.s.people.Set(num, key, now) })
	}
	if now != nil && now.Contested() {
		return t.Bucket(bContested).Put(n, nil)
	}
	return t.Bucket(bContested).Delete(n)
}

func contains(keys [][]byte, k []byte) bool {
	return slices.ContainsFunc(keys, func(o []byte) bool { return string(o) == string(k) })
}

// loadPeople reads everybody at open.
func (s *Store) loadPeople() error {
	return s.view(func(tx *tx) error {
		for _, n := range tx.scan([][]byte{join(ixKind, tx.kindID("Patient"))}) {
			r, err := tx.row(n)
			if err != nil {
				return err
			}
			v, err := tx.shown(n, r)
			if err != nil {
				return err
			}
			s.people.Set(num(n), r.Key, v)
		}
		return nil
	})
}

// Result is a page of what a search found.
type Result struct {
	Stands []*record.Stand
	Total  int    // of all pages
	Next   string // Query.Page of the next page; "" behind the last
}

// hit is a found record; order decides its place.
type hit struct {
	number uint64
	order  string
}

// Search finds the records that match a query. Without a sort they come newest
// first. It fails with query.ParamError where it cannot do what is asked.
func (s *Store) Search(q query.Query) (Result, error) {
	if err := query.Check(s.opt.R4, q); err != nil {
		return Result{}, err
	}
	after, err := base64.RawURLEncoding.DecodeString(q.Page)
	if err != nil {
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
		from, found := slices.BinarySearchFunc(hits, string(after), func(h hit, at string) int { return strings.Compare(h.order, at) })
		if found && len(after) > 0 {
			from++
		}
		page := hits[from:min(from+limit, len(hits))]
		for _, h := range page {
			r, err := tx.row(u64(h.number))
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
			res.Next = base64.RawURLEncoding.EncodeToString([]byte(page[len(page)-1].order))
		}
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("search: %w", err)
	}
	return res, nil
}

// hits are all matches in their order.
func (t *tx) hits(q query.Query) ([]hit, error) {
	candidates, err := t.candidates(q)
	if err != nil {
		return nil, err
	}
	var out []hit
	for i, n := range candidates {
		if len(q.Clauses) == 0 && len(q.Sort) == 0 {
			out = append(out, hit{num(n), fmt.Sprintf("%012d", i)})
			continue
		}
		r, err := t.row(n)
		if err != nil {
			return nil, err
		}
		v, err := t.shown(n, r)
		if err != nil {
			return nil, err
		}
		if v == nil || v.Deleted {
			continue
		}
		content, err := fhir.Parse(v.Content, fhir.DefaultLimits())
		if err != nil {
			return nil, err
		}
		meta := query.Meta{ID: v.Key.ID, LastUpdated: v.Stamp.Corrected()}
		if query.Matches(t.s.opt.R4, q, content, meta) {
			out = append(out, hit{num(n), query.SortKey(t.s.opt.R4, q, content, meta) + string(t.latest(content, v)) + string(n)})
		}
	}
	slices.SortFunc(out, func(a, b hit) int { return strings.Compare(a.order, b.order) })
	return out, nil
}

// latest sorts the newest first.
func (t *tx) latest(content *fhir.Value, v *record.Version) []byte {
	d := t.dateOf(content, v)
	for i := range d {
		d[i] = ^d[i]
	}
	return d
}

// candidates are the records in which the matches are, each once, newest first:
// those of one id, of a person, of a code or of the people found by name, and
// all of the kind where no clause narrows them.
func (t *tx) candidates(q query.Query) ([][]byte, error) {
	kind := t.kindID(q.Kind)
	for _, c := range q.Clauses {
		if c.Modifier != "" && c.Modifier != "Patient" {
			continue
		}
		switch {
		case c.Param == "_id":
			return t.numbers(q.Kind, c.Values), nil
		case q.Kind == "Patient" && (c.Param == "identifier" || c.Param == "phone"):
			return t.desk(c.Values, func(v string) []string { return []string{people.Plain(v[strings.LastIndexByte(v, '|')+1:])} }), nil
		case q.Kind == "Patient" && (c.Param == "name" || c.Param == "family" || c.Param == "given"):
			return t.desk(c.Values, func(v string) []string { return strings.Fields(people.Fold(v)) }), nil
		}
	}
	var prefixes [][]byte
	for _, c := range q.Clauses {
		p, _ := t.s.opt.R4.Param(q.Kind, c.Param)
		switch {
		case (c.Param == "patient" || c.Param == "subject") && p.Type == "reference" && (c.Modifier == "" || c.Modifier == "Patient"):
			for _, v := range c.Values {
				if n := t.number(record.Key{Kind: "Patient", ID: strings.TrimPrefix(v, "Patient/")}); n != nil {
					prefixes = append(prefixes, join(ixPatient, n, kind))
				}
			}
			if c.Param == "patient" {
				return t.scan(prefixes), nil
			}
			if !slices.ContainsFunc(c.Values, func(v string) bool { return !strings.HasPrefix(v, "Patient/") }) {
				return t.scan(prefixes), nil
			}
			prefixes = nil
		case c.Param == "code" && p.Type == "token" && c.Modifier == "":
			for _, v := range c.Values {
				code := v[strings.LastIndexByte(v, '|')+1:]
				if code == "" || strings.Contains(v, `\`) {
					prefixes = nil
					break
				}
				prefixes = append(prefixes, join(ixCode, kind, t.codeID("", code)))
			}
			if len(prefixes) == len(c.Values) {
				return t.scan(prefixes), nil
			}
		}
	}
	return t.scan([][]byte{join(ixKind, kind)}), nil
}

func (t *tx) numbers(kind string, ids []string) [][]byte {
	var out [][]byte
	for _, id := range ids {
		if n := t.number(record.Key{Kind: kind, ID: id}); n != nil {
			out = append(out, n)
		}
	}
	return out
}

// desk asks the index of people. Words of fewer than four letters or digits do
// not narrow numbers, so everybody is a candidate then.
func (t *tx) desk(values []string, words func(string) []string) [][]byte {
	seen := map[uint64]bool{}
	var out [][]byte
	for _, v := range values {
		for _, n := range t.s.people.Numbers(words(v)) {
			if !seen[n] {
				seen[n] = true
				out = append(out, u64(n))
			}
		}
	}
	return out
}

// scan lists the numbers at the end of the index keys with the prefixes, each
// once, newest first within a prefix.
func (t *tx) scan(prefixes [][]byte) [][]byte {
	seen := map[string]bool{}
	var out [][]byte
	for _, p := range prefixes {
		var some [][]byte
		c := t.Bucket(bIndex).Cursor()
		for k, _ := c.Seek(p); len(k) >= len(p)+8 && string(k[:len(p)]) == string(p); k, _ = c.Next() {
			n := k[len(k)-8:]
			if !seen[string(n)] {
				seen[string(n)] = true
				some = append(some, append([]byte(nil), n...))
			}
		}
		slices.Reverse(some)
		out = append(out, some...)
	}
	return out
}

// Person is what tells a person from others at a desk.
type Person = people.Person

// People finds people as a desk types them, at most limit; see people.Index.
func (s *Store) People(text string, limit int) []Person { return s.people.Find(text, limit) }
