package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"tram/agent/intake/match"
	"tram/agent/web/show"
	"tram/store"
	"tram/store/audit"
	"tram/store/fhir"
	"tram/store/people"
	"tram/store/query"
	"tram/store/record"
)

// maxDoubles is how many are named who may be the same person.
const maxDoubles = 5

// foundPerson is somebody found at the desk, with the other records of the person.
type foundPerson struct {
	store.Person
	Also []store.Person
}

// sameRecord is one of several records of a person.
type sameRecord struct {
	ID     string
	Person store.Person
	Held   bool // it is kept here
	Bare   bool // nothing else of it is kept here
}

// samePage asks which other record is the same person's.
type samePage struct {
	ID      string
	Person  store.Person
	Doubles []people.Double
	Query   string
	Found   []store.Person
	Sides   []side // of two that are compared
	Pairs   []pair // what each of them says
	Stale   bool   // one of them changed while they were looked at
}

// side is one of two records that are compared.
type side struct {
	ID, Name, Base string
	content        *fhir.Value
}

// pair is what two records say of one thing, side by side.
type pair struct {
	Label   string
	Of      [2][]show.Row
	Labels  bool // the rows have labels of their own
	Differs bool // both say something, and not the same
}

// held reads a Patient that is kept here and not deleted; nil for any other.
func (c *call) held(id string) (*record.Stand, *fhir.Value, error) {
	st, err := c.Store.Get(record.Key{Kind: "Patient", ID: id})
	if errors.Is(err, record.ErrNotFound) || err == nil && st.Shown.Deleted {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	return st, content, err
}

// joined makes one of the records of one person, each under the first that was found.
func (c *call) joined(found []store.Person) ([]foundPerson, error) {
	var out []foundPerson
	under := map[string]bool{}
	for _, p := range found {
		if under[p.ID] {
			continue
		}
		one := foundPerson{Person: p}
		for _, id := range c.Store.Linked(p.ID) {
			under[id] = true
			_, content, err := c.held(id)
			if err != nil {
				return nil, err
			}
			if content != nil {
				one.Also = append(one.Also, c.brief(content))
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// sameAs lists all records of a person in a lasting order, and leaves the audit
// entries of the others; none where there is only one.
func (c *call) sameAs(id string) ([]sameRecord, error) {
	others := c.Store.Linked(id)
	if len(others) == 0 {
		return nil, nil
	}
	ids := append(others, id)
	slices.Sort(ids)
	var out []sameRecord
	for _, one := range ids {
		r := sameRecord{ID: one}
		st, content, err := c.held(one)
		if err != nil {
			return nil, err
		}
		if content != nil {
			r.Held, r.Person = true, c.brief(content)
			if r.Bare, err = c.bare(st); err != nil {
				return nil, err
			}
			if one != id {
				if err := c.looked(audit.Read, st.Key); err != nil {
					return nil, err
				}
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// bare reports whether nothing is kept here of a record but itself, not even which
// stations look after it: then what there is of it is kept elsewhere.
func (c *call) bare(st *record.Stand) (bool, error) {
	if place, err := c.Store.Place(st); err != nil || place == record.Here {
		return false, err // it was made here, and only just
	}
	for _, kind := range c.kinds {
		if kind == "Patient" {
			continue
		}
		res, err := c.Store.Search(query.Query{Kind: kind, Limit: 1, Clauses: []query.Clause{{Param: "patient", Values: []string{st.Key.ID}}}})
		if err != nil || len(res.Stands) > 0 {
			return false, err
		}
	}
	return true, nil
}

// keptWith numbers the record of a person that an entry is kept with, in the order of
// sameAs; 0 for the first of the ids.
func (c *call) keptWith(st *record.Stand, ids []string) (int, error) {
	if len(ids) < 2 {
		return 0, nil
	}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return 0, err
	}
	of := c.Store.R4().Patients(content)
	if slices.Contains(of, ids[0]) {
		return 0, nil
	}
	for i, id := range slices.Sorted(slices.Values(ids)) {
		if slices.Contains(of, id) {
			return i + 1, nil
		}
	}
	return 0, nil
}

// doubles are who may be the same person as a Patient. Where there are any, that somebody
// looks for people is told, as at the desk.
func (c *call) doubles(patient *fhir.Value, wide bool) ([]people.Double, error) {
	out, err := c.Store.Doubles(patient, wide, maxDoubles)
	if err == nil && len(out) > 0 {
		err = c.looked(audit.Search, record.Key{})
	}
	return out, err
}

// another asks which other record is the same person's. What is typed stands in no address.
func (c *call) another() error {
	_, content, err := c.about(record.Key{Kind: "Patient", ID: c.r.PathValue("id")})
	if err != nil {
		return err
	}
	p := samePage{ID: content.Str("id"), Person: c.brief(content)}
	if p.Doubles, err = c.doubles(content, true); err != nil {
		return err
	}
	if p.Query = strings.TrimSpace(c.r.PostForm.Get("q")); p.Query != "" {
		if err := c.looked(audit.Search, record.Key{}); err != nil {
			return err
		}
		known := append(c.Store.Linked(p.ID), p.ID)
		found, err := c.Store.People(p.Query, listed)
		if err != nil {
			return err
		}
		p.Found = slices.DeleteFunc(found, func(f store.Person) bool { return slices.Contains(known, f.ID) })
	}
	c.render(http.StatusOK, "same", "same.title", p)
	return nil
}

// compare shows two records side by side, and joins them when a person says that they
// are one person's: each then links to the other, so that whoever holds one learns of
// the other, and nothing that refers to either is written.
func (c *call) compare() error {
	ids := []string{c.r.PathValue("id"), c.r.PathValue("other")}
	if ids[0] == ids[1] {
		return record.ErrNotFound
	}
	p := samePage{ID: ids[0]}
	var writes []store.Write
	for i, id := range ids {
		st, content, err := c.about(record.Key{Kind: "Patient", ID: id})
		if err != nil {
			return err
		}
		if i == 0 {
			p.Person = c.brief(content)
		}
		p.Sides = append(p.Sides, side{id, c.brief(content).Name, st.Tag(), content})
		p.Stale = p.Stale || c.r.Method == http.MethodPost && c.r.PostForm.Get("base-"+id) != st.Tag()
		if now := people.Join(content, ids[1-i]); now != content {
			writes = append(writes, store.Write{Key: st.Key, Base: st.Tag(), Content: now.Bytes(), Author: c.user.User})
		}
	}
	if c.r.Method != http.MethodPost || p.Stale {
		p.Pairs = c.pairs(p.Sides[0].content, p.Sides[1].content)
		code := http.StatusOK
		if p.Stale {
			code = http.StatusConflict
		}
		c.render(code, "compare", "same.title", p)
		return nil
	}
	if len(writes) > 0 {
		if _, err := c.Store.Put(c.r.Context(), writes...); err != nil {
			return err
		}
	}
	return c.goTo("/person/"+ids[0], "joined")
}

// pairs lines up what two Patients say, in the order of the first. Who somebody is differs
// by the rules of matching, all else where nothing of it is the same.
func (c *call) pairs(a, b *fhir.Value) []pair {
	s := c.show[c.lang]
	said := func(v *fhir.Value, field string) []show.Row {
		only := fhir.NewObject(fhir.Field{Name: "resourceType", Value: fhir.NewString("Patient")})
		for _, name := range []string{field, "_" + field} {
			only = only.With(name, v.Get(name))
		}
		return c.named(s.Rows(only))
	}
	var out []pair
	done := map[string]bool{"link": true}
	for _, f := range slices.Concat(a.Fields, b.Fields) {
		field := strings.TrimPrefix(f.Name, "_")
		if done[field] {
			continue
		}
		done[field] = true
		p := pair{Label: s.Element("Patient", field), Of: [2][]show.Row{said(a, field), said(b, field)}, Labels: strings.HasSuffix(strings.ToLower(field), "extension")}
		left, right := p.Of[0], p.Of[1]
		if len(left)+len(right) == 0 {
			continue
		}
		switch field {
		case "name", "birthDate", "gender":
			one := func(v *fhir.Value) *fhir.Value { return fhir.NewObject(fhir.Field{Name: field, Value: v.Get(field)}) }
			p.Differs = match.Differs(one(a), one(b)) != ""
		default:
			p.Differs = len(left) > 0 && len(right) > 0 && !slices.ContainsFunc(left, func(l show.Row) bool {
				return slices.ContainsFunc(right, func(r show.Row) bool { return l.Line() == r.Line() })
			})
		}
		out = append(out, p)
	}
	return out
}

// part takes a record out of those of a person: all links between it and the others.
func (c *call) part() error {
	id, other := c.r.PathValue("id"), c.r.PathValue("other")
	if _, _, err := c.about(record.Key{Kind: "Patient", ID: id}); err != nil {
		return err
	}
	rest := slices.DeleteFunc(append(c.Store.Linked(id), id), func(one string) bool { return one == other })
	var writes []store.Write
	for _, one := range append(slices.Clone(rest), other) {
		st, content, err := c.held(one)
		if err != nil {
			return err
		}
		if content == nil {
			continue
		}
		from := []string{other}
		if one == other {
			from = rest
		}
		now := content
		for _, f := range from {
			now = people.Part(now, f)
		}
		if now != content {
			writes = append(writes, store.Write{Key: st.Key, Base: st.Tag(), Content: now.Bytes(), Author: c.user.User})
		}
	}
	if len(writes) > 0 {
		if _, err := c.Store.Put(c.r.Context(), writes...); err != nil {
			return err
		}
	}
	return c.goTo("/person/"+id, "parted")
}
