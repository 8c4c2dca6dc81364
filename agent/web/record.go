package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"tram/agent/intake"
	"tram/agent/web/show"
	"tram/store"
	"tram/store/audit"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// recordPage is one record, its past, or who looked at it.
type recordPage struct {
	Key      record.Key
	Line     entryLine
	PersonID string
	Person   string
	Deleted  bool
	Rows     []show.Row
	Tab      string // the one of its pages that is open
	Raw      string // indented JSON, where it is asked for
	Base     string // Stand.Tag
	Preview  bool
	Parts    []entryLine // of a visit: what was recorded in it
	Versions []versionLine
	Looks    []lookLine
	Stale    bool
	Fault    string        // in words
	Parked   record.Reason // why upstream did not take it; "" where it did
	Can      bool          // it can be withdrawn as entered in error
	Letter   record.Key    // the message that brought it; zero for none
	Merged   bool          // it is a message that joined two numbers
	Brought  []entryLine   // what is withdrawn with it, of a message that can wait again
	Numbers  []string      // of that message, which the person has
}

// versionLine is one version in a record's history.
type versionLine struct {
	Name string
	Who  string
	when
	Place   record.Place
	Deleted bool
	Born    bool
	Joined  bool // a merge, or an edit over a preview
	Shown   bool
	Changes []show.Change
	Open    []contested // what two people wrote differently, and nobody decided
	Lost    int
}

// lookLine is one entry of the audit.
type lookLine struct {
	At     int64
	Who    string
	Action audit.Action
	Key    record.Key
}

// key is the record that the address names; get refuses one that is none.
func (c *call) key() record.Key {
	return record.Key{Kind: c.r.PathValue("kind"), ID: c.r.PathValue("id")}
}

// recordHead reads a record and leaves the audit entry.
func (c *call) recordHead() (recordPage, *record.Stand, error) {
	p := recordPage{Key: c.key()}
	st, err := c.get(p.Key)
	if err != nil {
		return p, nil, err
	}
	if err := c.looked(audit.Read, p.Key); err != nil {
		return p, nil, err
	}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return p, nil, err
	}
	if p.Line, err = c.lineOf(st); err != nil {
		return p, nil, err
	}
	p.PersonID, p.Person = c.personOf(content)
	p.Deleted, p.Base, p.Preview, p.Parked = st.Shown.Deleted, st.Tag(), st.Preview(), st.Parked
	if p.Parked != "" { // what waits behind another change waits for that one's reason
		list, err := c.Store.ParkedOf(p.Key)
		if err != nil {
			return p, nil, err
		}
		if len(list) > 0 {
			p.Parked = list[0].Reason
		}
	}
	p.Rows = c.named(c.show[c.lang].Rows(content))
	if _, ok := c.withdrawn(content); ok {
		p.Can = !p.Deleted
	}
	if p.Key.Kind == "Patient" {
		p.Line.Title = cmp.Or(p.Person, c.say("person.no-name"))
	}
	return p, st, nil
}

// record shows one record in words, or as it is kept.
func (c *call) record() error { return c.recordAgain(http.StatusOK, false, "") }

func (c *call) recordAgain(code int, stale bool, fault string) error {
	p, st, err := c.recordHead()
	if err != nil {
		return err
	}
	if c.r.URL.Query().Has("raw") {
		var b bytes.Buffer
		if err := json.Indent(&b, st.Shown.Content, "", "  "); err != nil {
			return err
		}
		p.Raw = b.String()
	}
	if p.Key.Kind == "Encounter" {
		if p.Parts, err = c.partsOf(p.Key); err != nil {
			return err
		}
	}
	if c.Incoming != nil && c.user.Role.Clinical() {
		content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
		if err != nil {
			return err
		}
		if p.Letter, err = c.letterOf(p.Key, content); err != nil {
			return err
		}
		b, err := c.broughtBy(st)
		if p.Merged = errors.Is(err, errMerge); err != nil && !p.Merged && !errors.Is(err, intake.ErrNotTaken) {
			return err
		}
		for _, st := range b.stands {
			l, err := c.lineOf(st)
			if err != nil {
				return err
			}
			p.Brought = append(p.Brought, l)
		}
		for _, n := range b.numbers {
			p.Numbers = append(p.Numbers, n.Value)
		}
	}
	p.Tab, p.Stale, p.Fault = "record", stale, fault
	c.render(code, "record", "record.title", p)
	return nil
}

// named gives references that have no words of their own the name of the record
// that they point to, and takes the link away where that is not held here.
func (c *call) named(rows []show.Row) []show.Row {
	for i, r := range rows {
		rows[i].Rows = c.named(r.Rows)
		if r.Link.IsZero() || !c.user.Role.Sees(r.Link.Kind) {
			continue
		}
		st, err := c.Store.Get(r.Link)
		if errors.Is(err, record.ErrNotFound) {
			rows[i].Link = record.Key{}
		}
		if err != nil || r.Text != c.show[c.lang].Kind(r.Link.Kind) {
			continue
		}
		content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
		if err != nil {
			continue
		}
		if r.Link.Kind == "Patient" {
			rows[i].Text = cmp.Or(c.brief(content).Name, r.Text)
			continue
		}
		l := c.show[c.lang].Line(content)
		rows[i].Text = strings.TrimSpace(l.Short() + " " + l.When)
	}
	return rows
}

// partsOf lists what was recorded in a visit.
func (c *call) partsOf(visit record.Key) ([]entryLine, error) {
	var out []entryLine
	for _, kind := range c.kindsInOrder() {
		if p, ok := c.Store.R4().Param(kind, "encounter"); !ok || p.Type != "reference" || !c.user.Role.Sees(kind) {
			continue
		}
		res, err := c.Store.Search(query.Query{Kind: kind, Limit: allOfKind, Clauses: []query.Clause{{Param: "encounter", Values: []string{visit.String()}}}})
		if err != nil {
			return nil, err
		}
		for _, st := range res.Stands {
			l, err := c.lineOf(st)
			if err != nil {
				return nil, err
			}
			out = append(out, l)
		}
	}
	return out, nil
}

// history shows all versions of a record, also tombstones.
func (c *call) history() error { return c.pastOf(http.StatusOK, false) }

// pastOf shows a record's versions, newest first.
func (c *call) pastOf(code int, stale bool) error {
	p, st, err := c.recordHead()
	if err != nil {
		return err
	}
	p.Tab, p.Stale = "history", stale
	versions, err := c.Store.History(p.Key)
	if err != nil {
		return err
	}
	// What changed is told against the version that each was made from, which is not
	// always the one before it in time.
	by := map[record.Name]*record.Version{}
	for _, v := range versions {
		by[v.Name] = v
	}
	names := c.names()
	for _, v := range versions {
		l := versionLine{Name: v.Name.String(), Who: names(v.Author), when: c.when(v.Name, v.Stamp), Deleted: v.Deleted,
			Born: v.Base.IsZero(), Joined: len(v.Includes) > 0, Shown: v.Name == st.Shown.Name, Lost: len(v.Lost)}
		if l.Place, err = c.Store.PlaceOf(p.Key, v.Name); err != nil {
			return err
		}
		if l.Changes, err = c.show[c.lang].Changes(by[v.Base.Name], v); err != nil {
			return err
		}
		if l.Open, err = c.contested(v); err != nil {
			return err
		}
		p.Versions = append(p.Versions, l)
	}
	c.render(code, "history", "history.title", p)
	return nil
}

// restore makes a new version with the content of an old one.
func (c *call) restore() error {
	key := c.key()
	if _, err := c.get(key); err != nil {
		return err
	}
	name, err := record.ParseName(c.r.PostForm.Get("version"))
	if err != nil {
		return errBadForm
	}
	old, err := c.Store.Version(key, name)
	if err != nil {
		return err
	}
	// A form without a base is stale, not a birth.
	_, err = c.Store.Put(c.r.Context(), store.Write{Key: key, Base: cmp.Or(c.r.PostForm.Get("base"), "-"), Content: old.Content, Author: c.user.User})
	if errors.Is(err, record.ErrStale) {
		return c.pastOf(http.StatusConflict, true)
	}
	if err != nil {
		return err
	}
	return c.goTo("/record/"+key.String()+"/history", "restored")
}

// maxLooks is how many audit entries a page shows.
const maxLooks = 300

// audit shows who looked at a record; of a person, also at what belongs to them.
func (c *call) audit() error {
	p, _, err := c.recordHead()
	if err != nil {
		return err
	}
	p.Tab = "audit"
	keys := []record.Key{p.Key}
	if p.Key.Kind == "Patient" {
		for _, kind := range c.kindsInOrder() {
			if !c.user.Role.Sees(kind) {
				continue
			}
			s, err := c.section(kind, true, p.Key.ID)
			if err != nil {
				return err
			}
			for _, l := range s.Lines {
				keys = append(keys, l.Key)
			}
		}
	}
	names := c.names()
	seen := map[record.Key]bool{}
	for _, k := range keys {
		if seen[k] {
			continue
		}
		seen[k] = true
		entries, err := c.Store.AuditOf(k, maxLooks)
		if err != nil {
			return err
		}
		for _, e := range entries {
			p.Looks = append(p.Looks, lookLine{e.At, names(e.Who), e.Action, e.Key})
		}
	}
	slices.SortStableFunc(p.Looks, func(a, b lookLine) int { return cmp.Compare(b.At, a.At) })
	p.Looks = p.Looks[:min(maxLooks, len(p.Looks))]
	c.render(http.StatusOK, "audit", "audit.title", p)
	return nil
}

// names tells who an author is: the name of staff or of a program, words for the
// program's own, else the author as it is, who has no account here.
func (c *call) names() func(string) string {
	known := map[string]string{"": ""}
	if list, err := c.book.List(); err == nil {
		for _, a := range list {
			known[a.User] = a.Name
		}
	}
	if list, err := c.book.Programs(); err == nil {
		for _, p := range list {
			known[p.Author()] = c.say("program.author", p.Name)
		}
	}
	return func(author string) string {
		if n, ok := known[author]; ok {
			return n
		}
		if key := "author." + author; c.texts[c.lang][key] != "" {
			return c.say(key)
		}
		if id, ok := strings.CutPrefix(author, "program:"); ok {
			return c.say("program.author", id)
		}
		return c.say("author.elsewhere", strings.TrimSpace(author))
	}
}

// withdrawn is a record's content saying of itself that it was entered in error;
// false where it says so already, or where FHIR R4 has no such word for its kind.
func (c *call) withdrawn(content *fhir.Value) (*fhir.Value, bool) {
	kind, r4 := content.Str("resourceType"), c.Store.R4()
	if show.Wrong(content) {
		return nil, false
	}
	if e, ok := r4.Elem(kind, "status"); ok && e.Primitive && slices.Contains(e.Codes, show.EnteredInError) {
		return content.With("status", fhir.NewString(show.EnteredInError)).With("_status", nil), true
	}
	e, ok := r4.Elem(kind, "verificationStatus")
	if !ok || e.Type != "CodeableConcept" || !slices.Contains(e.Codes, show.EnteredInError) {
		return nil, false
	}
	coding := fhir.NewObject(fhir.Field{Name: "system", Value: fhir.NewString(e.CodeSystem)}, fhir.Field{Name: "code", Value: fhir.NewString(show.EnteredInError)})
	// What never was has no clinical status (FHIR R4, invariants ait-2 and con-5).
	return content.With("verificationStatus", fhir.NewObject(fhir.Field{Name: "coding", Value: fhir.NewArray(coding)})).With("clinicalStatus", nil), true
}

// wrong withdraws a record: it stays, and says that it was entered in error.
func (c *call) wrong() error {
	key := c.key()
	st, err := c.get(key)
	if err != nil {
		return err
	}
	if st.Shown.Deleted {
		return record.ErrDeleted
	}
	if c.r.PostForm.Get("base") != st.Tag() {
		return c.recordAgain(http.StatusConflict, true, "")
	}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return err
	}
	v, ok := c.withdrawn(content)
	if !ok {
		return errBadForm
	}
	_, err = c.Store.Put(c.r.Context(), store.Write{Key: key, Base: st.Tag(), Content: v.Bytes(), Author: c.user.User})
	if errors.Is(err, record.ErrStale) {
		return c.recordAgain(http.StatusConflict, true, "")
	}
	if err != nil {
		return err
	}
	return c.goTo("/record/"+key.String(), "wrong")
}
