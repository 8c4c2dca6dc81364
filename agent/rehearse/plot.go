package rehearse

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
)

// How many records meet which fate.
const (
	manyApart          = 100
	manySafety         = 20
	manyAdministrative = 20
	manyDeleted        = 10
	manyLate           = 10 // typed after the copy that a station is rolled back to
	lateEdits          = 4  // of these, changes of records that are there
)

// Case is one record that both stations change while they are apart.
type Case struct {
	Key record.Key
	// Base, A and B are contents; "" for a deletion.
	Base, A, B string
	// ElementA and ElementB are the top-level elements that the two set.
	ElementA, ElementB string
	// AFirst says that a types before b.
	AFirst bool

	seen       string // the version that both saw
	rawA, rawB []byte
}

// Late is one of the entries that a rolled-back station forgets.
type Late struct {
	Key     record.Key // zero for a birth until it is typed
	Content string
	// Mark is a text that is in no other record.
	Mark string

	seen string
	raw  []byte
}

// Plot is what the stations will do.
type Plot struct {
	Apart          []Case // different elements
	Safety         []Case // the same element, about which only a person decides
	Administrative []Case // the same element, about which the later word wins
	Deleted        []Case // one deletes, the other edits
	Late           []Late
}

// editor is one of practice's edits.
type editor func([]byte, int) ([]byte, string)

// Draw chooses records of many kinds and what is typed into each. It fails where
// there are too few that fit.
func Draw(r4 *fhir.R4, s Snapshot) (*Plot, error) {
	pool, err := newPool(r4, s)
	if err != nil {
		return nil, err
	}
	p := &Plot{}
	// The scarcest first: what nothing refers to, then what has the class.
	for i := range manyDeleted {
		c, err := pool.take(i, pool.alone, practice.EditAdministrative, practice.EditAdministrative)
		if err != nil {
			return nil, fmt.Errorf("deletions: %w", err)
		}
		if c.AFirst {
			c.A, c.rawA = "", nil
		} else {
			c.B, c.rawB = "", nil
		}
		p.Deleted = append(p.Deleted, c)
	}
	for _, g := range []struct {
		name string
		many int
		into *[]Case
		edit editor
	}{{"safety", manySafety, &p.Safety, practice.EditSafety}, {"administrative", manyAdministrative, &p.Administrative, practice.EditAdministrative}} {
		for i := range g.many {
			c, err := pool.take(i, nil, g.edit, g.edit)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", g.name, err)
			}
			*g.into = append(*g.into, c)
		}
	}
	for i := range manyLate {
		l, err := pool.late(i)
		if err != nil {
			return nil, fmt.Errorf("late entries: %w", err)
		}
		p.Late = append(p.Late, l)
	}
	pairs := [][2]editor{
		{practice.EditSafety, practice.EditAdministrative}, {practice.EditAdministrative, practice.EditOther}, {practice.EditOther, practice.EditSafety},
		{practice.EditAdministrative, practice.EditSafety}, {practice.EditOther, practice.EditAdministrative}, {practice.EditSafety, practice.EditOther},
	}
	for i := range manyApart {
		pair := pairs[i%len(pairs)]
		c, err := pool.take(i, nil, pair[0], pair[1])
		if err != nil {
			return nil, fmt.Errorf("different elements: %w", err)
		}
		p.Apart = append(p.Apart, c)
	}
	return p, nil
}

// pool is the records that are still free, kind by kind.
type pool struct {
	r4     *fhir.R4
	s      Snapshot
	kinds  []string
	free   map[string][]record.Key
	next   int
	salt   int
	people []string // ids of Patients
	linked map[record.Key]bool
}

func newPool(r4 *fhir.R4, s Snapshot) (*pool, error) {
	p := &pool{r4: r4, s: s, free: map[string][]record.Key{}, linked: map[record.Key]bool{}}
	for _, k := range s.Keys() {
		v, err := fhir.Parse(s[k].Raw, fhir.DefaultLimits())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		for _, ref := range r4.Refs(v) {
			if !ref.Absolute && ref.Kind != "" {
				p.linked[record.Key{Kind: ref.Kind, ID: ref.ID}] = true
			}
		}
		// What all share belongs to nobody's record, and a Basic may say who
		// holds a person.
		if len(r4.Patients(v)) == 0 || k.Kind == "Basic" {
			continue
		}
		if k.Kind == "Patient" {
			p.people = append(p.people, k.ID)
		}
		p.free[k.Kind] = append(p.free[k.Kind], k)
	}
	for kind, keys := range p.free {
		p.kinds = append(p.kinds, kind)
		slices.SortFunc(keys, func(a, b record.Key) int { return strings.Compare(scatter(a), scatter(b)) })
	}
	slices.Sort(p.kinds)
	if len(p.people) == 0 {
		return nil, fmt.Errorf("there are no people")
	}
	return p, nil
}

// scatter orders records so that neighbours are not of one visit.
func scatter(k record.Key) string {
	h := fnv.New64a()
	h.Write([]byte(k.String()))
	return fmt.Sprintf("%016x", h.Sum64())
}

// alone reports whether no record refers to this one.
func (p *pool) alone(k record.Key) bool { return !p.linked[k] }

// take draws a record of the next kind that has one which fits both edits: other
// elements where the editors differ, the same one where they do not.
func (p *pool) take(i int, fits func(record.Key) bool, a, b editor) (Case, error) {
	// Each draw begins with the kind after the last one, so that all kinds have
	// their turn.
	for range p.kinds {
		kind := p.kinds[p.next%len(p.kinds)]
		p.next++
		for at, k := range p.free[kind] {
			if fits != nil && !fits(k) {
				continue
			}
			c, ok := p.make(k, i%2 == 0, a, b)
			if !ok {
				continue
			}
			p.free[kind] = slices.Delete(p.free[kind], at, at+1)
			return c, nil
		}
	}
	return Case{}, fmt.Errorf("only %d records fit; use more people or days", i)
}

func (p *pool) make(k record.Key, aFirst bool, a, b editor) (Case, bool) {
	have := p.s[k]
	p.salt += 2 // salts that follow each other give different values
	c := Case{Key: k, Base: have.Content, AFirst: aFirst, seen: have.Version}
	c.rawA, c.ElementA = a(have.Raw, p.salt)
	c.rawB, c.ElementB = b(have.Raw, p.salt+1)
	if c.ElementA == "" || c.ElementB == "" {
		return c, false
	}
	c.A, c.B = contentOf(c.rawA), contentOf(c.rawB)
	if c.ElementA == c.ElementB {
		return c, len(clashes(c.Base, c.A, c.B)) > 0
	}
	return c, c.A != c.B
}

// late draws an entry that a station will forget: a change or a birth.
func (p *pool) late(i int) (Late, error) {
	if i < lateEdits {
		c, err := p.take(i, nil, practice.EditOther, practice.EditOther)
		return Late{Key: c.Key, Content: c.A, seen: c.seen, raw: c.rawA}, err
	}
	l := Late{Mark: fmt.Sprintf("Diễn tập phục hồi, phiếu %d-%s", i, scatter(record.Key{Kind: "Patient", ID: p.people[0]})[:6])}
	subject := p.people[i%len(p.people)]
	l.raw = fhir.NewObject(
		fhir.Field{Name: "resourceType", Value: fhir.NewString("Observation")},
		fhir.Field{Name: "status", Value: fhir.NewString("final")},
		fhir.Field{Name: "code", Value: fhir.NewObject(fhir.Field{Name: "text", Value: fhir.NewString("Nhận xét khi khám")})},
		fhir.Field{Name: "subject", Value: fhir.NewObject(fhir.Field{Name: "reference", Value: fhir.NewString("Patient/" + subject)})},
		fhir.Field{Name: "valueString", Value: fhir.NewString(l.Mark)},
	).Bytes()
	return l, nil
}
