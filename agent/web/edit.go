package web

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tram/agent/web/entry"
	"tram/store"
	"tram/store/account"
	"tram/store/audit"
	"tram/store/fhir"
	"tram/store/people"
	"tram/store/query"
	"tram/store/record"
)

// form is a form as it stands in a page.
type form struct {
	Kind    string // of texts: person, visit, allergy
	Action  string
	Cancel  string
	Person  store.Person // whom it is about
	Given   []string     // numbers of the person that are not changed here
	Fields  []field
	Base    string // Stand.Tag that the form was made from
	IDs     string // of what will be born, drawn before: a repeat writes nothing twice
	Similar []people.Double
	Twin    record.Key // what looks like this form saved before; zero for none
	Ask     bool       // something is asked back before it is saved
	Stale   bool       // somebody else changed the record meanwhile
	Open    []string   // what is in dispute, in words
	Kept    bool       // what stands in it was typed before
	Problem string     // code of an error that is no field's
}

// field is one field with what stands in it.
type field struct {
	entry.Field
	Value  string
	Fault  string
	Doubt  string
	Theirs string // what somebody else wrote meanwhile
	Differ bool   // Theirs holds, also where it is empty
}

// typed is what was typed into the fields.
func typed(f url.Values, fields []entry.Field) entry.Typed {
	t := entry.Typed{}
	for _, x := range fields {
		t[x.Name] = strings.TrimSpace(strings.ReplaceAll(f.Get(x.Name), "\r\n", "\n"))
	}
	return t
}

// filled puts what was typed into the fields, with the fault and doubt of each.
func filled(fields []entry.Field, t entry.Typed, faults, doubts map[string]string) []field {
	var out []field
	for _, f := range fields {
		out = append(out, field{Field: f, Value: t[f.Name], Fault: faults[f.Name], Doubt: doubts[f.Name]})
	}
	return out
}

// draftOr is what the form starts with: the user's own draft, or start.
func (c *call) draftOr(f *form, fields []entry.Field, start entry.Typed) error {
	kept, err := c.book.Draft(c.user.User, c.r.URL.Path)
	if err != nil {
		return err
	}
	if kept != nil {
		f.Kept, start = true, typed(kept, fields)
		f.Base, f.IDs = kept.Get("base"), kept.Get("ids")
	}
	f.Fields = filled(fields, start, nil, nil)
	return nil
}

// again shows the form with all that was typed, and what is wrong.
func (c *call) again(f form, code int) error {
	c.render(code, "form", "form."+f.Kind, f)
	return nil
}

// saved forgets the draft and goes on.
func (c *call) saved(path string) error {
	c.forget()
	return c.goTo(path, "saved")
}

// unsaved shows the form again with what kept it from being saved.
func (c *call) unsaved(f form, err error) error {
	code, key := trouble(err)
	if code == http.StatusInternalServerError {
		c.Log.Error("cannot save", "page", c.r.Pattern, "err", err)
	}
	f.Problem = key
	return c.again(f, code)
}

// ids are the ids that a form was given, or fresh ones where they are none that
// this store drew.
func (c *call) ids(from string, n int) ([]string, error) {
	given := strings.Fields(from)
	// A number drawn now is above all that were drawn before under this lineage, so
	// an id that is not below it was never handed out.
	fresh := make([]string, n)
	for i := range fresh {
		fresh[i] = c.Store.NewID()
	}
	if len(given) != n {
		return fresh, nil
	}
	now, err := record.ParseName(fresh[0])
	if err != nil {
		return nil, err
	}
	lives, err := c.Store.Lives(1000)
	if err != nil {
		return nil, err
	}
	for _, id := range given {
		name, err := record.ParseName(id)
		drawn := slices.ContainsFunc(lives, func(l store.Life) bool { return l.Lineage == name.Lineage })
		if err != nil || !drawn || name.Lineage == now.Lineage && name.N >= now.N {
			return fresh, nil
		}
	}
	return given, nil
}

// newPerson registers somebody. Where a similar person is found it is asked back
// once: the hint never refuses, because two people may share name and year.
func (c *call) newPerson() error {
	f := form{Kind: "new", Action: c.r.URL.Path, Cancel: "/people", IDs: c.r.PostForm.Get("ids")}
	fields := entry.PersonFields()
	if c.r.Method != http.MethodPost {
		if err := c.draftOr(&f, fields, entry.Typed{}); err != nil {
			return err
		}
	}
	ids, err := c.ids(f.IDs, 1)
	if err != nil {
		return err
	}
	if f.IDs = ids[0]; c.r.Method != http.MethodPost {
		return c.again(f, http.StatusOK)
	}
	t := typed(c.r.PostForm, fields)
	faults, doubts := entry.Check(fields, t, c.Now().In(c.Zone))
	s := c.show[c.lang]
	v := entry.WritePerson(nil, ids[0], t, s)
	f.Fields = filled(fields, t, faults, doubts)
	sure := c.r.PostForm.Get("sure") != ""
	if len(faults) == 0 {
		if f.Similar, err = c.doubles(v, true); err != nil {
			return err
		}
	}
	if f.Ask = len(doubts)+len(f.Similar) > 0 && len(faults) == 0; len(faults) > 0 || f.Ask && !sure {
		return c.again(f, http.StatusUnprocessableEntity)
	}
	return c.bear(f, "/person/"+ids[0], v)
}

// bear makes new records, all in one write. The same form sent twice makes them
// once; one that was changed after it was saved is asked back under new ids.
func (c *call) bear(f form, then string, values ...*fhir.Value) error {
	var writes []store.Write
	for _, v := range values {
		writes = append(writes, store.Write{Key: record.Key{Kind: v.Str("resourceType"), ID: v.Str("id")}, Content: v.Bytes(), Author: c.user.User})
	}
	_, err := c.Store.Put(c.r.Context(), writes...)
	// The same ids with other content: the first answer got lost, and the form was
	// changed before it was sent again. Saying "saved" would lose the change.
	if errors.Is(err, record.ErrExists) && !c.born(writes) {
		ids, err := c.ids("", len(strings.Fields(f.IDs)))
		if err != nil {
			return err
		}
		f.IDs, f.Problem = strings.Join(ids, " "), "born"
		return c.again(f, http.StatusConflict)
	}
	if err != nil && !errors.Is(err, record.ErrExists) {
		return c.unsaved(f, err)
	}
	return c.saved(then)
}

// born reports whether every record began with just this content.
func (c *call) born(writes []store.Write) bool {
	for _, w := range writes {
		versions, err := c.Store.History(w.Key)
		if err != nil || !bytes.Equal(versions[len(versions)-1].Content, w.Content) {
			return false
		}
	}
	return true
}

// about reads the person that a form is about.
func (c *call) about(key record.Key) (*record.Stand, *fhir.Value, error) {
	st, err := c.get(key)
	if err != nil {
		return nil, nil, err
	}
	if st.Shown.Deleted {
		return nil, nil, record.ErrDeleted
	}
	if err := c.looked(audit.Read, key); err != nil {
		return nil, nil, err
	}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	return st, content, err
}

// leftForm shows again what was typed about somebody who left this station meanwhile;
// any other error passes.
func (c *call) leftForm(kind string, fields []entry.Field, err error) error {
	if c.r.Method != http.MethodPost || !errors.Is(err, record.ErrNotFound) {
		return err
	}
	return c.again(form{Kind: kind, Action: c.r.URL.Path, Cancel: "/people", Base: c.r.PostForm.Get("base"), IDs: c.r.PostForm.Get("ids"),
		Fields: filled(fields, typed(c.r.PostForm, fields), nil, nil), Problem: "left"}, http.StatusNotFound)
}

// editPerson changes a person's details on top of the version that the form was
// made from.
func (c *call) editPerson() error {
	key := record.Key{Kind: "Patient", ID: c.r.PathValue("id")}
	s, fields := c.show[c.lang], entry.PersonFields()
	st, content, err := c.about(key)
	if err != nil {
		return c.leftForm("person", fields, err)
	}
	f := form{Kind: "person", Action: c.r.URL.Path, Cancel: "/person/" + key.ID, Person: c.brief(content), Given: entry.Given(content), Base: st.Tag()}
	open, err := c.contested(st.Shown)
	if err != nil {
		return err
	}
	for _, o := range open {
		f.Open = append(f.Open, o.Label)
	}
	now := entry.ReadPerson(content, s)
	if c.r.Method != http.MethodPost {
		if err := c.draftOr(&f, fields, now); err != nil {
			return err
		}
		return c.again(f, http.StatusOK)
	}
	t := typed(c.r.PostForm, fields)
	f.Base = c.r.PostForm.Get("base")
	if f.Base != st.Tag() {
		return c.stale(f, fields, t, st, now)
	}
	faults, doubts := entry.Check(fields, t, c.Now().In(c.Zone))
	f.Fields, f.Ask = filled(fields, t, faults, doubts), len(doubts) > 0 && len(faults) == 0
	if len(faults) > 0 || f.Ask && c.r.PostForm.Get("sure") == "" {
		return c.again(f, http.StatusUnprocessableEntity)
	}
	v := entry.WritePerson(content, key.ID, t, s)
	_, err = c.Store.Put(c.r.Context(), store.Write{Key: key, Base: f.Base, Content: v.Bytes(), Author: c.user.User})
	if errors.Is(err, record.ErrNotFound) {
		return c.leftForm(f.Kind, fields, err)
	}
	if errors.Is(err, record.ErrStale) {
		if st, content, err = c.about(key); err != nil {
			return c.unsaved(f, err)
		}
		return c.stale(f, fields, t, st, entry.ReadPerson(content, s))
	}
	if err != nil {
		return c.unsaved(f, err)
	}
	return c.saved(f.Cancel)
}

// stale shows what was typed beside what somebody else wrote meanwhile. What only
// the other changed is taken over; where both did, both are shown. Saving again
// is then a decision by somebody who saw both.
func (c *call) stale(f form, fields []entry.Field, mine entry.Typed, st *record.Stand, theirs entry.Typed) error {
	var was entry.Typed
	if name, err := record.ParseName(f.Base); err == nil {
		if old, err := c.Store.Version(st.Key, name); err == nil {
			if content, err := fhir.Parse(old.Content, fhir.DefaultLimits()); err == nil {
				was = entry.ReadPerson(content, c.show[c.lang])
			}
		}
	}
	f.Fields = nil
	for _, x := range filled(fields, mine, nil, nil) {
		switch {
		// Both wrote the same: nothing to tell.
		case x.Value == theirs[x.Name]:
		// Only the other changed it: theirs is taken over.
		case was != nil && x.Value == was[x.Name]:
			x.Value = theirs[x.Name]
		// Both did, or nobody can tell what it was: both are shown.
		case was == nil || theirs[x.Name] != was[x.Name]:
			x.Theirs, x.Differ = theirs[x.Name], true
		}
		f.Fields = append(f.Fields, x)
	}
	f.Stale, f.Base = true, st.Tag()
	return c.again(f, http.StatusConflict)
}

// addVisit records a visit with what was measured, as one write.
func (c *call) addVisit() error {
	return c.add("visit", entry.VisitFields(), entry.VisitRecords,
		entry.Typed{"when": c.Now().In(c.Zone).Format("02/01/2006 15:04")},
		func(who store.Person, t entry.Typed) (map[string]string, map[string]string) {
			return entry.CheckVisit(t, who.Birth, c.Now().In(c.Zone))
		},
		func(patient string, ids []string, t entry.Typed) []*fhir.Value {
			return entry.Visit(patient, c.user.Name, ids, t, c.Now().In(c.Zone))
		})
}

// addAllergy records an allergy, unconfirmed unless somebody says otherwise.
func (c *call) addAllergy() error {
	fields := entry.AllergyFields()
	return c.add("allergy", fields, 1, entry.Typed{"certainty": "unconfirmed"},
		func(_ store.Person, t entry.Typed) (map[string]string, map[string]string) {
			return entry.Check(fields, t, c.Now().In(c.Zone))
		},
		func(patient string, ids []string, t entry.Typed) []*fhir.Value {
			return []*fhir.Value{entry.Allergy(patient, c.user.Name, ids[0], t, c.Now().In(c.Zone))}
		})
}

// add is a form that makes new records of a person, all in one write.
func (c *call) add(kind string, fields []entry.Field, n int, start entry.Typed,
	check func(store.Person, entry.Typed) (faults, doubts map[string]string), write func(patient string, ids []string, t entry.Typed) []*fhir.Value) error {
	if !c.user.Role.Clinical() {
		return errForbidden
	}
	key := record.Key{Kind: "Patient", ID: c.r.PathValue("id")}
	_, content, err := c.about(key)
	if err != nil {
		return c.leftForm(kind, fields, err)
	}
	f := form{Kind: kind, Action: c.r.URL.Path, Cancel: "/person/" + key.ID, Person: c.brief(content), IDs: c.r.PostForm.Get("ids")}
	if c.r.Method != http.MethodPost {
		if err := c.draftOr(&f, fields, start); err != nil {
			return err
		}
	}
	ids, err := c.ids(f.IDs, n)
	if err != nil {
		return err
	}
	if f.IDs = strings.Join(ids, " "); c.r.Method != http.MethodPost {
		return c.again(f, http.StatusOK)
	}
	t := typed(c.r.PostForm, fields)
	faults, doubts := check(f.Person, t)
	f.Fields, f.Ask = filled(fields, t, faults, doubts), len(doubts) > 0 && len(faults) == 0
	if len(faults) > 0 || f.Ask && c.r.PostForm.Get("sure") == "" {
		return c.again(f, http.StatusUnprocessableEntity)
	}
	values := write(key.ID, ids, t)
	// Going back to a form and saving it again is no second visit.
	if c.r.PostForm.Get("sure") == "" {
		if f.Twin, err = c.twin(key.ID, values[0]); err != nil {
			return err
		}
		if f.Ask = !f.Twin.IsZero(); f.Ask {
			return c.again(f, http.StatusUnprocessableEntity)
		}
	}
	return c.bear(f, f.Cancel, values...)
}

// twin finds a record of a person that says the same of the same day as one that
// is to be born; the zero key for none, or where it is that one.
func (c *call) twin(patient string, v *fhir.Value) (record.Key, error) {
	kind := v.Str("resourceType")
	res, err := c.Store.Search(query.Query{Kind: kind, Limit: perSection, Clauses: []query.Clause{{Param: "patient", Values: []string{patient}}}})
	if err != nil {
		return record.Key{}, err
	}
	day := func(v *fhir.Value) string { start := v.Str("period", "start"); return start[:min(10, len(start))] }
	plain := func(v *fhir.Value) *fhir.Value { return v.With("id", nil).With("period", nil) }
	var found record.Key
	for _, st := range res.Stands {
		old, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
		if err != nil {
			return record.Key{}, err
		}
		if st.Key.ID == v.Str("id") {
			return record.Key{}, nil
		}
		if day(old) == day(v) && fhir.Equal(plain(old), plain(v)) {
			found = st.Key
		}
	}
	return found, nil
}

// me changes one's own PIN.
func (c *call) me() error {
	type page struct {
		Fault string
		Wait  int // seconds until the next try is taken
	}
	if c.r.Method != http.MethodPost {
		c.render(http.StatusOK, "me", "me.title", page{})
		return nil
	}
	f := c.r.PostForm
	// The present PIN counts like a sign-in, so that an open screen is no way to
	// guess it.
	_, err := c.book.SignIn(c.r.Context(), c.user.User, f.Get("old"))
	if err == nil && f.Get("pin") != f.Get("again") {
		err = errAgain
	}
	if err == nil {
		err = c.book.Reset(c.r.Context(), c.user.User, f.Get("pin"), c.user.User)
	}
	var locked *account.LockedError
	p := page{Fault: accountFault(err)}
	switch {
	case errors.As(err, &locked):
		p.Fault, p.Wait = "signin.wait", locked.Seconds()
	case errors.Is(err, account.ErrWrong):
		p.Fault = "me.wrong"
	case err != nil && p.Fault == "":
		return err
	case err == nil:
		return c.goTo("/people", "pin")
	}
	c.render(http.StatusUnprocessableEntity, "me", "me.title", p)
	return nil
}
