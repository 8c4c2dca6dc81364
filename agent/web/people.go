package web

import (
	"net/http"
	"slices"
	"strings"

	"tram/agent/web/entry"
	"tram/store"
	"tram/store/audit"
	"tram/store/fhir"
	"tram/store/people"
	"tram/store/query"
	"tram/store/record"
	"tram/store/scope"
)

// listed is how many people a search shows.
const listed = 100

// peoplePage is the desk: one box, and who was found.
type peoplePage struct {
	Query string
	Asked bool
	Found []foundPerson
	More  bool
	Total int
	Told  int         // values of the user's own that did not win and were not seen yet
	Gave  []lostValue // the first of them
}

// home goes to the desk: that is what the day begins with.
func (c *call) home() error { return c.goTo("/people", "") }

// search keeps what was typed in the session, so that no address holds a name.
func (c *call) search() error {
	c.sessions.Keep(c.cookie, strings.TrimSpace(c.r.PostForm.Get("q")))
	return c.goTo("/people", "")
}

// people shows the desk: the search box, whom the last search found, and a notice
// where values of the user gave way in a merge.
func (c *call) people() error {
	p := peoplePage{Query: c.session.Note}
	p.Asked = p.Query != ""
	if p.Asked {
		if err := c.looked(audit.Search, record.Key{}); err != nil {
			return err
		}
		found, err := c.Store.People(p.Query, listed+1)
		if err != nil {
			return err
		}
		if p.More = len(found) > listed; p.More {
			found = found[:listed]
		}
		if p.Found, err = c.joined(found); err != nil {
			return err
		}
	}
	var err error
	if p.Gave, p.Told, err = c.notices(); err != nil {
		return err
	}
	if len(p.Gave) > 0 {
		if err := c.searched(lostOfWhom(p.Gave)); err != nil {
			return err
		}
	}
	p.Total = int(c.Report().People)
	c.render(http.StatusOK, "people", "people.title", p)
	return nil
}

// entryLine is one record in a list.
type entryLine struct {
	Key    record.Key
	When   string
	Title  string
	Detail string
	Status string
	Wrong  bool // entered in error
	Place  record.Place
	// Contested says that a conflict is open in it.
	Contested bool
	// From numbers the record of the person that it is kept with; 0 for the one that
	// the page is of.
	From int
}

// section is the records of one kind.
type section struct {
	Kind  string
	Lines []entryLine
	More  int // how many more there are
}

// personPage is a person with all that belongs to them.
type personPage struct {
	ID       string
	Name     string
	Head     entryLine
	Person   store.Person
	Rows     any
	Alerts   []entryLine // allergies and flags, which stand above all
	Sections []section
	Only     string // the one kind shown whole
	Deleted  bool
	Same     []sameRecord    // all records of the person, where there are several
	Doubles  []people.Double // who may be the same person
}

// A person's page shows the newest of each kind; the rest is one tap away.
const (
	perSection = 15
	allOfKind  = 1000
)

// person shows a person: who it is, what endangers them, and all records in their
// compartment (FHIR R4 CompartmentDefinition/patient) by kind, the newest first.
func (c *call) person() error {
	key := record.Key{Kind: "Patient", ID: c.r.PathValue("id")}
	st, err := c.get(key)
	if err != nil {
		return err
	}
	if err := c.looked(audit.Read, key); err != nil {
		return err
	}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return err
	}
	p := personPage{ID: key.ID, Deleted: st.Shown.Deleted, Only: c.r.URL.Query().Get("kind"), Rows: c.show[c.lang].Rows(content)}
	if p.Head, err = c.lineOf(st); err != nil {
		return err
	}
	p.Person = c.brief(content)
	if p.Name = p.Person.Name; p.Name == "" {
		p.Name = c.say("person.no-name")
	}
	if p.Same, err = c.sameAs(key.ID); err != nil {
		return err
	}
	if p.Only == "" && !p.Deleted {
		if p.Doubles, err = c.doubles(content, false); err != nil {
			return err
		}
	}
	ids := []string{key.ID}
	for _, r := range p.Same {
		if r.ID != key.ID {
			ids = append(ids, r.ID)
		}
	}
	for _, kind := range c.kindsInOrder() {
		if kind == "Patient" || !c.user.Role.Sees(kind) || p.Only != "" && p.Only != kind {
			continue
		}
		s, err := c.section(kind, p.Only == kind, ids...)
		if err != nil {
			return err
		}
		if len(s.Lines) == 0 {
			continue
		}
		p.Sections = append(p.Sections, s)
	}
	if p.Only == "" {
		if p.Alerts, err = c.alerts(ids); err != nil {
			return err
		}
	}
	c.render(http.StatusOK, "person", "person.title", p)
	return nil
}

// alerts are a person's allergies and flags, all of them, however many newer ones there
// are. What was entered in error endangers nobody; its list still shows it.
func (c *call) alerts(ids []string) ([]entryLine, error) {
	var out []entryLine
	for _, kind := range []string{"AllergyIntolerance", "Flag"} {
		if !c.user.Role.Sees(kind) {
			continue
		}
		q := query.Query{Kind: kind, Limit: query.MaxLimit, Clauses: []query.Clause{{Param: "patient", Values: ids}}}
		for more := true; more; more = q.Page != "" {
			res, err := c.Store.Search(q)
			if err != nil {
				return nil, err
			}
			lines, err := c.lines(res.Stands, ids)
			if err != nil {
				return nil, err
			}
			out = append(out, slices.DeleteFunc(lines, func(l entryLine) bool { return l.Wrong })...)
			q.Page = res.Next
		}
	}
	return out, nil
}

// section lists the entries of one kind that are kept with a person's records, the
// newest first. The first id is that of the record that the page is of.
func (c *call) section(kind string, all bool, ids ...string) (section, error) {
	limit := perSection
	if all {
		limit = allOfKind
	}
	res, err := c.Store.Search(query.Query{Kind: kind, Limit: limit, Clauses: []query.Clause{{Param: "patient", Values: ids}}})
	if err != nil {
		return section{}, err
	}
	lines, err := c.lines(res.Stands, ids)
	return section{Kind: kind, Lines: lines, More: max(0, res.Total-len(res.Stands))}, err
}

// lines reads records out, a line each, with which of a person's records they are kept.
func (c *call) lines(stands []*record.Stand, ids []string) ([]entryLine, error) {
	var out []entryLine
	for _, st := range stands {
		// Which stations look after somebody is the programs' business.
		if st.Key.Kind == "Basic" {
			if content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits()); err == nil && scope.Is(content) {
				continue
			}
		}
		l, err := c.lineOf(st)
		if err != nil {
			return nil, err
		}
		if l.From, err = c.keptWith(st, ids); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// lineOf reads a record out in one line, with where it is.
func (c *call) lineOf(st *record.Stand) (entryLine, error) {
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return entryLine{}, err
	}
	place, err := c.Store.Place(st)
	if err != nil {
		return entryLine{}, err
	}
	l := c.show[c.lang].Line(content)
	return entryLine{Key: st.Key, When: l.When, Title: l.Title, Detail: l.Detail, Status: l.Status, Wrong: l.Wrong, Place: place, Contested: st.Shown.Contested()}, nil
}

// kindsInOrder are the kinds of a compartment: those that a station needs first
// in the order in which it reads them, then all others.
func (c *call) kindsInOrder() []string {
	out := []string{"AllergyIntolerance", "Flag", "Condition", "Encounter", "Observation", "MedicationRequest", "MedicationStatement",
		"Immunization", "Procedure", "ServiceRequest", "DiagnosticReport", "CarePlan", "Appointment", "Task", "DocumentReference",
		"RelatedPerson", "Consent"}
	for _, k := range c.kinds {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return slices.DeleteFunc(out, func(k string) bool { return !slices.Contains(c.kinds, k) })
}

// brief is what tells a person from others.
func (c *call) brief(content *fhir.Value) store.Person {
	s := c.show[c.lang]
	first := func(list string, is func(*fhir.Value) bool) string {
		if l := content.Get(list); l != nil {
			for _, it := range l.Items {
				if is(it) {
					return s.Fields("Patient", list, fhir.NewObject(fhir.Field{Name: list, Value: it}))
				}
			}
		}
		return ""
	}
	all := func(*fhir.Value) bool { return true }
	plain, shown := entry.ReadPerson(content, s), people.Show(content)
	return store.Person{ID: content.Str("id"), Name: first("name", all), Birth: content.Str("birthDate"), Gender: content.Str("gender"),
		Phone: plain["phone"], Identifier: shown.Identifier, Address: first("address", all), Died: shown.Died}
}

// personOf is in whose compartment a record is: the id and the name.
func (c *call) personOf(content *fhir.Value) (id, name string) {
	ids := c.Store.R4().Patients(content)
	// A task is in the compartment of who does it (FHIR R4), and listed with whom it is for.
	if id, ok := strings.CutPrefix(content.Str("for", "reference"), "Patient/"); ok && content.Str("resourceType") == "Task" {
		ids = []string{id}
	}
	if len(ids) == 0 {
		return "", ""
	}
	if content.Str("resourceType") == "Patient" { // in the compartments of those it is linked to as well
		return content.Str("id"), c.brief(content).Name
	}
	st, err := c.Store.Get(record.Key{Kind: "Patient", ID: ids[0]})
	if err != nil {
		return "", "" // the person is not held here
	}
	who, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return "", ""
	}
	return ids[0], c.brief(who).Name
}

// personOr is the key of a person, or of a record about whom nobody here is known.
func personOr(id string, key record.Key) record.Key {
	if id == "" {
		return key
	}
	return record.Key{Kind: "Patient", ID: id}
}
