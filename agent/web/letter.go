package web

import (
	"errors"
	"net/http"
	"slices"

	"tram/agent/intake"
	"tram/agent/intake/match"
	"tram/agent/web/show"
	"tram/store"
	"tram/store/audit"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// letterOf is the document of the message that brought a record; zero for none. An
// observation stands in its report.
func (c *call) letterOf(key record.Key, content *fhir.Value) (record.Key, error) {
	if !slices.Contains([]string{"Observation", "DiagnosticReport", "Immunization", "Encounter"}, key.Kind) {
		return record.Key{}, nil // no message brings it
	}
	about := c.ofPeople(content)
	in := []record.Key{key}
	if key.Kind == "Observation" {
		reports, err := c.pointing("DiagnosticReport", "result", key, about)
		if err != nil {
			return record.Key{}, err
		}
		for _, st := range reports {
			in = append(in, st.Key)
		}
	}
	for _, key := range in {
		letters, err := c.pointing("DocumentReference", "related", key, about)
		if err != nil {
			return record.Key{}, err
		}
		for _, st := range letters {
			document, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
			if err != nil {
				return record.Key{}, err
			}
			if _, ok := intake.Original(document); ok && drawnAfter(key.ID, st.Key.ID) {
				return st.Key, nil
			}
		}
	}
	return record.Key{}, nil
}

// ofPeople asks for what is about the people of a record, under all records of theirs: by this
// the store finds the few that are; without it, it would read all of a kind.
func (c *call) ofPeople(content *fhir.Value) query.Clause {
	out := query.Clause{Param: "patient"}
	for _, id := range c.Store.R4().Patients(content) {
		for _, one := range append(c.Store.Linked(id), id) {
			out.Values = append(out.Values, "Patient/"+one)
		}
	}
	return out
}

// pointing are the records of a kind about some people whose element points to a record and
// that hold good; none where there is nobody.
func (c *call) pointing(kind, param string, to record.Key, about query.Clause) ([]*record.Stand, error) {
	if len(about.Values) == 0 {
		return nil, nil
	}
	res, err := c.Store.Search(query.Query{Kind: kind, Limit: perSection, Clauses: []query.Clause{about, {Param: param, Values: []string{to.String()}}}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(res.Stands, func(st *record.Stand) bool {
		content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
		return err != nil || show.Wrong(content)
	}), nil
}

// errMerge says of a message that it joined two numbers: it is not taken back, for what it
// did is undone where people are parted.
var errMerge = errors.New("the message joined two numbers of a person")

// brought is a message that was taken, and what came of it.
type brought struct {
	waiting intake.Waiting // as it would wait again
	stands  []*record.Stand
	writes  []store.Write  // that withdraw them
	numbers []match.Number // of the message, which its person has
	without store.Write    // takes them from the person
}

// broughtBy is what the message brought whose document the record is, and no other message
// did; intake.ErrNotTaken where the record is none, or was withdrawn. What it added to the
// person stays.
func (c *call) broughtBy(st *record.Stand) (b brought, err error) {
	document, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return b, err
	}
	raw, ok := intake.Original(document)
	if !ok || st.Shown.Deleted || show.Wrong(document) {
		return b, intake.ErrNotTaken
	}
	if b.waiting, err = c.Incoming.Back(raw); err != nil {
		return b, err
	}
	if letterKind(b.waiting.Kind) == "letter.merge" {
		return b, errMerge
	}
	if err := b.withdraw(c, st.Key); err != nil {
		return b, err
	}
	about := c.ofPeople(document)
	for _, key := range references(document.Get("context").Get("related")) {
		others, err := c.pointing("DocumentReference", "related", key, about)
		if err != nil {
			return b, err
		}
		if len(others) > 1 || !drawnAfter(key.ID, st.Key.ID) {
			continue
		}
		if err := b.withdraw(c, key); err != nil {
			return b, err
		}
	}
	who, err := record.ParseKey(document.Str("subject", "reference"))
	if err != nil {
		return b, nil
	}
	person, content, err := c.held(who.ID)
	if err != nil || content == nil {
		return b, err
	}
	var rest []*fhir.Value
	for _, id := range items(content.Get("identifier")) {
		n := match.Number{System: id.Str("system"), Value: id.Str("value")}
		if slices.Contains(b.waiting.Numbers, n) {
			b.numbers = append(b.numbers, n)
		} else {
			rest = append(rest, id)
		}
	}
	will := content.With("identifier", nil)
	if len(rest) > 0 {
		will = content.With("identifier", fhir.NewArray(rest...))
	}
	b.without = store.Write{Key: who, Base: person.Tag(), Content: will.Bytes(), Author: c.user.User}
	return b, nil
}

// drawnAfter reports whether an id was drawn after another, here: a record that a message
// only added to was there before the message's document.
func drawnAfter(id, other string) bool {
	a, err := record.ParseName(id)
	b, err2 := record.ParseName(other)
	return err == nil && err2 == nil && a.Lineage == b.Lineage && a.N > b.N
}

// withdraw adds a record, and the results that a report has.
func (b *brought) withdraw(c *call, key record.Key) error {
	st, err := c.Store.Get(key)
	if errors.Is(err, record.ErrNotFound) || err == nil && st.Shown.Deleted {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return err
	}
	if v, ok := c.withdrawn(content); ok {
		b.stands = append(b.stands, st)
		b.writes = append(b.writes, store.Write{Key: key, Base: st.Tag(), Content: v.Bytes(), Author: c.user.User})
	}
	for _, result := range references(content.Get("result")) {
		if err := b.withdraw(c, result); err != nil {
			return err
		}
	}
	return nil
}

func items(v *fhir.Value) []*fhir.Value {
	if v == nil {
		return nil
	}
	return v.Items
}

// references are the records that the References of a list point to.
func references(list *fhir.Value) []record.Key {
	var out []record.Key
	for _, r := range items(list) {
		if key, err := record.ParseKey(r.Str("reference")); err == nil {
			out = append(out, key)
		}
	}
	return out
}

// takeBack says that a message is not that person's for whom it was taken: the records that
// it brought are withdrawn, and it waits again.
func (c *call) takeBack() error {
	st, err := c.get(c.key())
	if err != nil {
		return err
	}
	b, err := c.broughtBy(st)
	if errors.Is(err, intake.ErrNotTaken) || errors.Is(err, errMerge) || err == nil && c.r.PostForm.Get("base") != st.Tag() {
		return c.recordAgain(http.StatusConflict, true, "")
	}
	if err != nil {
		return err
	}
	for _, st := range b.stands {
		if st.Parked != "" {
			return store.ErrParked
		}
	}
	if c.r.PostForm.Get("numbers") != "" {
		b.writes = append(b.writes, b.without)
	}
	if err := c.acted(audit.Decide, record.Key{Kind: "Binary", ID: b.waiting.Raw}); err != nil {
		return err
	}
	err = c.Incoming.Return(c.r.Context(), b.waiting)
	var no *intake.Refusal
	if errors.As(err, &no) {
		return c.recordAgain(http.StatusConflict, false, no.Text(c.lang))
	}
	if err != nil {
		return err
	}
	if _, err := c.Store.Put(c.r.Context(), b.writes...); err != nil {
		return err
	}
	return c.goTo("/incoming/"+b.waiting.ID, "taken-back")
}
