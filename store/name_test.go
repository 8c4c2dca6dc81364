package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/people"
	"tram/store/practice"
	"tram/store/query"
	"tram/store/record"
	"tram/store/table"
)

// openNames opens a store in a folder, with a clock that goes on by a second a look.
func openNames(t testing.TB, dir string) *Store {
	t.Helper()
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	var now atomic.Int64
	now.Store(1_790_000_000_000)
	s, err := Open(Options{Dir: dir, Name: "a", R4: r4, Clock: func() record.Stamp { return record.Stamp{Unix: now.Add(1000)} }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// oddText is a text of few words, marks and kinds of white space, so that much of it
// begins other texts of its like.
func oddText(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString(pick("", "", " ", "  ", "\t", "\u00a0", "\u2003", "\n", "\x1f ", "\x1e ", "\u0301"))
		b.WriteString(pick("Đ", "đặng", "Dang", "An", "Ân", "ANH", "a", "a\u0302", "Hoà", "Ho\u0300a", "o'", "-", "\x1f", "\x1e"))
		b.WriteString(pick("", " ", " ", "  ", "\t", "\u00a0"))
	}
	return b.String()
}

func oddName(r *rand.Rand) string {
	quoted := func() string {
		var b strings.Builder
		for _, c := range oddText(r) {
			if c < ' ' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteRune(c)
			}
		}
		return `"` + b.String() + `"`
	}
	var parts []string
	for _, f := range []string{"text", "family"} {
		if r.IntN(2) == 0 {
			parts = append(parts, `"`+f+`":`+quoted())
		}
	}
	for _, f := range []string{"given", "prefix", "suffix"} {
		switch r.IntN(4) {
		case 0:
			parts = append(parts, fmt.Sprintf(`"%s":[%s,%s]`, f, quoted(), quoted()))
		case 1:
			parts = append(parts, fmt.Sprintf(`"%s":[null,%s],"_%[1]s":[{"id":"x"},null]`, f, quoted()))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// oddPerson has up to three names, or no field for them, and maybe a birth date.
func oddPerson(r *rand.Rand, id string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"resourceType":"Patient","id":%q`, id)
	if n := r.IntN(4); n > 0 {
		var names []string
		for range n {
			names = append(names, oddName(r))
		}
		b.WriteString(`,"name":[` + strings.Join(names, ",") + `]`)
	}
	if r.IntN(3) > 0 {
		fmt.Fprintf(&b, `,"birthDate":"%d"`, 1950+r.IntN(3))
	}
	return []byte(b.String() + "}")
}

// sameNames asks the index and the records the same, and counts what was found.
func sameNames(t *testing.T, s *Store, r *rand.Rand, questions int) (found int) {
	t.Helper()
	for range questions {
		q := query.Query{Kind: "Patient"}
		for range 1 + r.IntN(3) {
			c := query.Clause{Param: "name"}
			for range 1 + r.IntN(2) {
				c.Values = append(c.Values, oddText(r))
			}
			q.Clauses = append(q.Clauses, c)
		}
		if _, ok := query.Names(q); !ok {
			continue
		}
		err := s.view(func(tx *tx) error {
			got, err := tx.hits(q)
			if err != nil {
				return err
			}
			want, err := tx.looked(q)
			if err != nil {
				return err
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v: the index finds %d, the records %d", q.Clauses, len(got), len(want))
			}
			found += len(got)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestNamesAreFoundAsTheRecordsSay holds the index of people to the records, with odd
// names that come, change and go, and once more after opening.
func TestNamesAreFoundAsTheRecordsSay(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	s := openNames(t, dir)
	last := map[string]*record.Version{}
	found := 0
	for range 10 {
		for range 60 {
			id := fmt.Sprint("p", r.IntN(100))
			w := Write{Key: record.Key{Kind: "Patient", ID: id}, Author: "hoa"}
			if v := last[id]; v != nil {
				w.Base = v.Name.String()
				w.Delete = !v.Deleted && r.IntN(4) == 0
			}
			if !w.Delete {
				w.Content = oddPerson(r, id)
			}
			v, err := s.Put(context.Background(), w)
			var bad *InvalidError
			if errors.As(err, &bad) {
				continue // R4 has no such name
			}
			if err != nil {
				t.Fatal(err)
			}
			last[id] = v[0]
		}
		found += sameNames(t, s, r, 100)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openNames(t, dir)
	defer s.Close()
	again := 0
	for tries := 0; tries < 50 && again == 0; tries++ {
		again = sameNames(t, s, r, 200)
	}
	if again == 0 || found == 0 {
		t.Errorf("%d and %d found, too few to say anything", found, again)
	}
}

// TestWhoIsMeantIsStillThere looks for people whom the index has and the records do not,
// as when one is deleted between the two.
func TestWhoIsMeantIsStillThere(t *testing.T) {
	t.Parallel()
	s := openNames(t, t.TempDir())
	defer s.Close()
	patient := func(id string) *fhir.Value {
		v, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"text":"Hoà"}],"birthDate":"1961"}`, id), fhir.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	put := func(w Write) *record.Version {
		t.Helper()
		w.Author = "hoa"
		v, err := s.Put(context.Background(), w)
		if err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	born := func(v *fhir.Value) *record.Version {
		return put(Write{Key: record.Key{Kind: "Patient", ID: v.Str("id")}, Content: v.Bytes()})
	}
	me := people.Join(patient("me"), "linked")
	for _, v := range []*fhir.Value{me, patient("linked"), patient("gone"), patient("a"), patient("b")} {
		born(v)
	}
	want := func(when, found, limited string) {
		t.Helper()
		var names, doubles []string
		all, err := s.People("hoa", 9)
		few, err2 := s.Doubles(me, true, 2)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			names = append(names, one.ID)
		}
		for _, one := range few {
			doubles = append(doubles, one.ID+":"+string(one.By))
		}
		if strings.Join(names, " ") != found || strings.Join(doubles, " ") != limited {
			t.Errorf("%s: %v and %v, want %s and %s", when, names, doubles, found, limited)
		}
	}
	want("all there", "me linked gone a b", "gone:birth a:birth")
	var n uint64
	var last *record.Version
	err := s.view(func(tx *tx) (err error) {
		at := tx.number(record.Key{Kind: "Patient", ID: "gone"})
		n = num(at)
		last, _, err = tx.showing(at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	put(Write{Key: last.Key, Base: last.Name.String(), Delete: true})
	s.people.Set(n, last.Key, last, people.Date{}) // as before
	want("one deleted", "me linked a b", "a:birth b:birth")
}

// BenchmarkNames50000 asks for two beginnings of names among 50,000 people, of the
// index and, one record after the other, of the records.
func BenchmarkNames50000(b *testing.B) {
	s := openNames(b, b.TempDir())
	defer s.Close()
	st := practice.New(1, practice.Options{People: 50_000})
	for at := 0; at < st.People(); at += 500 {
		var all []Write
		for i := at; i < at+500; i++ {
			p := st.Person(i)
			all = append(all, Write{Key: record.Key{Kind: p.Kind, ID: p.ID}, Author: "hoa", Content: p.Resource})
		}
		if _, err := s.Put(context.Background(), all...); err != nil {
			b.Fatal(err)
		}
	}
	name := func(v string) query.Clause { return query.Clause{Param: "name", Values: []string{v}} }
	q := query.Query{Kind: "Patient", Clauses: []query.Clause{name("nguyen"), name("duc")}}
	for way, ask := range map[string]func(*tx, query.Query) ([]query.Hit, error){"index": (*tx).hits, "records": (*tx).looked} {
		b.Run(way, func(b *testing.B) {
			n := 0
			for b.Loop() {
				err := s.view(func(tx *tx) error {
					hits, err := ask(tx, q)
					n = len(hits)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n), "hits")
		})
	}
}

// Of three people of one name one is damaged while the program runs: the others are found,
// and it is with them, as its id.
func TestOneDamagedHidesNobody(t *testing.T) {
	s := openNames(t, t.TempDir())
	defer s.Close()
	for _, id := range []string{"a", "b", "c"} {
		if _, err := s.Put(context.Background(), Write{Author: "hoa", Key: record.Key{Kind: "Patient", ID: id}, Content: fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"text":"Hoà"}],"birthDate":"1961"}`, id)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Update(func(x *table.Tx) error {
		b := x.Table(layout.Versions)
		k, v := b.Cursor().First()
		v = slices.Clone(v)
		v[len(v)/2] ^= 1
		return b.Put(slices.Clone(k), v)
	}); err != nil {
		t.Fatal(err)
	}
	found, err := s.People("hoa", 9)
	named := slices.DeleteFunc(slices.Clone(found), func(p Person) bool { return p.Name == "" })
	if err != nil || len(found) != 3 || len(named) != 2 {
		t.Errorf("found %+v, %v", found, err)
	}
	like, err := fhir.Parse([]byte(`{"resourceType":"Patient","name":[{"text":"Hoà"}],"birthDate":"1961"}`), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if hints, err := s.Doubles(like, false, 9); err != nil || len(hints) != 3 {
		t.Errorf("may be the same: %+v, %v", hints, err)
	}
}
