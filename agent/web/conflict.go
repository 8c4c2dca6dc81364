package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tram/agent/web/entry"
	"tram/store"
	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
)

// contested is one open conflict of a record.
type contested struct {
	Path   string
	Label  string
	Shown  string // what the record shows meanwhile
	Values []candidate
	Closes []string // the versions that the page shows: only those are closed
	Typed  string   // another value, as it was typed
	Other  bool     // another value can be typed
	Fault  string
	Ask    bool // what was typed is asked about once more
}

// candidate is one of the values with who set it.
type candidate struct {
	Text      string
	Meanwhile bool // the record shows it meanwhile
	Writers   []writer
}

// writer is who set a value, and when by the clock of that PC.
type writer struct {
	Who string
	when
}

// conflictPage is the conflicts of one record.
type conflictPage struct {
	recordPage
	Conflicts []contested
}

// lostValue is a value that did not win.
type lostValue struct {
	ID     uint64
	Key    record.Key
	Person string
	Whose  record.Key // the person; the record itself where that is nobody here
	Label  string
	Value  string
	Won    string
	Policy string
	By     []writer
	Mine   bool // the user typed it and has not seen this yet
	Told   bool
	Stuck  bool   // cannot be put back by itself
	Back   string // the page to come back to; "" for that of all
	User   string // who is shown it
}

// conflictsPage is what needs a decision, and what was decided by rule.
type conflictsPage struct {
	Parked  []parkedLine // what upstream did not take
	Kept    []keptLine   // of records that left
	Clock   []clockLine  // when the clock was wrong
	Records []conflictPage
	Vault   []lostValue
}

// maxConflicts is how many a page lists. More than that is no list for a person
// but a fault of the way records are kept, and the count in the head says so.
const maxConflicts = 200

// maxLooked bounds how far back the start page looks for values of its user's own.
const maxLooked = 2000

// conflicts lists everything that needs a person: what upstream did not take, what
// two people wrote differently, and values that gave way by rule.
func (c *call) conflicts() error {
	stands, err := c.open()
	if err != nil {
		return err
	}
	var p conflictsPage
	var shown []record.Key
	for _, st := range stands {
		one, err := c.conflictOf(st)
		if err != nil {
			return err
		}
		p.Records, shown = append(p.Records, one), append(shown, personOr(one.PersonID, st.Key))
	}
	if p.Parked, err = c.parked(); err != nil {
		return err
	}
	for _, l := range p.Parked {
		shown = append(shown, c.toldOf(l.waitingLine)...)
	}
	if p.Kept, err = c.kept(); err != nil {
		return err
	}
	p.Clock = c.undated()
	if p.Vault, err = c.vault(record.Key{}); err != nil {
		return err
	}
	if err := c.searched(append(shown, lostOfWhom(p.Vault)...)); err != nil {
		return err
	}
	// What its writer has not seen yet comes first.
	slices.SortStableFunc(p.Vault, func(a, b lostValue) int {
		switch {
		case a.Mine == b.Mine:
			return 0
		case a.Mine:
			return -1
		}
		return 1
	})
	c.render(http.StatusOK, "conflicts", "conflicts.title", p)
	return nil
}

// open are the records with an open conflict, of the kinds that the user sees alone: others
// would take their places.
func (c *call) open() ([]*record.Stand, error) {
	if c.user.Role.Clinical() {
		return c.Store.Contested(maxConflicts)
	}
	kinds := slices.DeleteFunc(c.Store.R4().Kinds(), func(kind string) bool { return !c.user.Role.Sees(kind) })
	if len(kinds) == 0 {
		return nil, nil
	}
	return c.Store.Contested(maxConflicts, kinds...)
}

// conflictOf reads the open conflicts of a record.
func (c *call) conflictOf(st *record.Stand) (conflictPage, error) {
	p := conflictPage{recordPage: recordPage{Key: st.Key, Base: st.Tag()}}
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return p, err
	}
	if p.Line, err = c.lineOf(st); err != nil {
		return p, err
	}
	p.PersonID, p.Person = c.personOf(content)
	p.Conflicts, err = c.contested(st.Shown)
	return p, err
}

// contested reads the conflicts that are open in a version.
func (c *call) contested(v *record.Version) ([]contested, error) {
	var out []contested
	tree, err := element.Read(c.Store.R4(), v)
	if err != nil {
		return nil, err
	}
	kind := v.Key.Kind
	shown := map[string]*fhir.Value{}
	tree.Each(func(path string, r *element.Register) { shown[path] = r.Shown })
	s, names := c.show[c.lang], c.names()
	for _, open := range v.Conflicts() {
		one := contested{Path: open.Path, Label: s.Path(kind, open.Path)}
		if v := shown[open.Path]; v != nil {
			one.Shown = s.Fields(kind, open.Path, v)
		}
		for _, v := range open.Values {
			value, err := element.Parse(v.Value)
			if err != nil {
				return nil, err
			}
			cand := candidate{Text: s.Fields(kind, open.Path, value), Meanwhile: shown[open.Path] != nil && fhir.Equal(value, shown[open.Path])}
			for _, w := range v.Writers {
				cand.Writers = append(cand.Writers, writer{names(w.Author), c.when(w.Name, w.Stamp)})
				one.Closes = append(one.Closes, w.Name.String())
			}
			if _, ok := s.Typed(kind, open.Path, value, cand.Text); ok {
				one.Other = true
			}
			one.Values = append(one.Values, cand)
		}
		out = append(out, one)
	}
	return out, nil
}

// conflict shows the open conflicts of one record, side by side.
func (c *call) conflict() error { return c.conflictAgain(http.StatusOK, "", "", "", false) }

// conflictAgain shows the conflicts of a record, with what was typed at path, and what the
// draft has for another one.
func (c *call) conflictAgain(code int, path, typed, fault string, stale bool) error {
	head, st, err := c.recordHead()
	if err != nil {
		return err
	}
	p, err := c.conflictOf(st)
	if err != nil {
		return err
	}
	head.Stale, p.recordPage = stale, head
	kept, err := c.book.Draft(c.user.User, c.r.URL.Path)
	if err != nil {
		return err
	}
	for i := range p.Conflicts {
		switch one := &p.Conflicts[i]; one.Path {
		case path:
			one.Typed, one.Fault, one.Ask = typed, fault, strings.HasPrefix(fault, "doubt.")
		case kept.Get("path"):
			one.Typed = kept.Get("other")
		}
	}
	c.render(code, "conflict", "conflict.title", p)
	return nil
}

// decide closes one conflict with one of its values or with another one. It
// closes the setters that the page showed, no others.
func (c *call) decide() error {
	key, f := c.key(), c.r.PostForm
	st, err := c.get(key)
	if err != nil {
		return err
	}
	path, other := f.Get("path"), strings.TrimSpace(f.Get("other"))
	// The numbers of the choices belong to the record as the page showed it.
	if f.Get("base") != st.Tag() {
		return c.conflictAgain(http.StatusConflict, path, other, "", true)
	}
	open := st.Shown.Conflicts()
	i := slices.IndexFunc(open, func(o record.Conflict) bool { return o.Path == path })
	// Somebody else decided in the meantime: nothing is left to do here.
	if i < 0 {
		return c.goTo("/conflicts/"+key.String(), "decided")
	}
	d := record.Decision{Path: path}
	for _, text := range f["closes"] {
		name, err := record.ParseName(text)
		if err != nil {
			return errBadForm
		}
		d.Closes = append(d.Closes, name)
	}
	switch choice := f.Get("choice"); choice {
	case "":
		return c.conflictAgain(http.StatusUnprocessableEntity, path, other, "conflict.choose", false)
	// What is typed is read in the form of one of the values beside it.
	case "other":
		for _, v := range open[i].Values {
			like, err := element.Parse(v.Value)
			if err != nil {
				return err
			}
			if value, ok := c.show[c.lang].Typed(key.Kind, path, like, other); ok && other != "" {
				d.Value = value.Bytes()
				break
			}
		}
		if doubt := c.doubt(key.Kind, path, other); d.Value != nil && doubt != "" && f.Get("sure") != other {
			return c.conflictAgain(http.StatusUnprocessableEntity, path, other, "doubt."+doubt, false)
		}
	default:
		n, err := strconv.Atoi(choice)
		if err != nil || n < 0 || n >= len(open[i].Values) {
			return errBadForm
		}
		d.Value = open[i].Values[n].Value
	}
	if d.Value == nil {
		return c.conflictAgain(http.StatusUnprocessableEntity, path, other, "fault.no-meaning", false)
	}
	made, err := c.Store.Put(c.r.Context(), store.Write{Key: key, Base: st.Tag(), Decisions: []record.Decision{d}, Author: c.user.User})
	var invalid *store.InvalidError
	switch {
	case errors.Is(err, record.ErrStale):
		return c.conflictAgain(http.StatusConflict, path, other, "", true)
	case errors.As(err, &invalid):
		return c.conflictAgain(http.StatusUnprocessableEntity, path, other, "fault.no-meaning", false)
	case err != nil:
		return err
	}
	if err := c.sawOwn(made[0]); err != nil {
		return err
	}
	// A page of several conflicts has one draft, which may be that of another.
	if kept, err := c.book.Draft(c.user.User, c.r.URL.Path); err != nil {
		c.Log.Warn("a draft stays though it was saved", "err", err)
	} else if kept.Get("path") == path {
		c.forget()
	}
	return c.goTo("/conflicts/"+key.String(), "decided")
}

// doubt is what the form of a person's details would ask about a value; "" for nothing.
func (c *call) doubt(kind, path, typed string) string {
	if kind != "Patient" || path != "birthDate" {
		return ""
	}
	_, doubts := entry.Check(entry.PersonFields(), entry.Typed{"birth": typed}, c.Now().In(c.Zone))
	return doubts["birth"]
}

// vault reads the values that did not win, of one record or of all.
func (c *call) vault(key record.Key) ([]lostValue, error) {
	list, err := c.Store.Vault(key, maxConflicts)
	if err != nil {
		return nil, err
	}
	var out []lostValue
	names := c.names()
	for _, it := range list {
		if !c.user.Role.Sees(it.Key.Kind) {
			continue
		}
		st, err := c.Store.Get(it.Key)
		if errors.Is(err, record.ErrNotFound) {
			continue // the person is looked after elsewhere now
		}
		if err != nil {
			return nil, err
		}
		l, holds, err := c.lostOf(it, st, names)
		if err != nil {
			return nil, err
		}
		if !holds {
			out = append(out, l)
		}
	}
	return out, nil
}

// lostOfWhom are the people whose values did not win.
func lostOfWhom(list []lostValue) []record.Key {
	var out []record.Key
	for _, l := range list {
		out = append(out, l.Whose)
	}
	return out
}

// lostOf reads a value that did not win, and reports whether the record shows it all
// the same.
func (c *call) lostOf(it store.VaultItem, st *record.Stand, names func(string) string) (l lostValue, holds bool, err error) {
	content, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
	if err != nil {
		return l, false, err
	}
	s := c.show[c.lang]
	l = lostValue{ID: it.ID, User: c.user.User, Key: it.Key, Policy: it.Lost.Policy, Mine: mine(it, c.user.User), Told: slices.Contains(it.Told, c.user.User)}
	id, person := c.personOf(content)
	l.Whose, l.Person = personOr(id, it.Key), person
	l.Label = s.Kind(it.Key.Kind)
	if it.Lost.Path != "" {
		l.Label += " › " + s.Path(it.Key.Kind, it.Lost.Path)
	}
	l.Value, l.Won = c.lostText(it, it.Lost.Value), c.lostText(it, it.Lost.Won)
	holds, can := backAgain(c.Store, st, it)
	l.Stuck = !can
	for _, w := range it.Lost.By {
		l.By = append(l.By, writer{names(w.Author), c.when(w.Name, w.Stamp)})
	}
	return l, holds, nil
}

// lostText is a value of the vault in words; "" for an absent one.
func (c *call) lostText(it store.VaultItem, raw []byte) string {
	v, err := element.Parse(raw)
	if err != nil || v.Shape != fhir.Object {
		return ""
	}
	return c.show[c.lang].Fields(it.Key.Kind, it.Lost.Path, v)
}

// mine reports whether the user typed the value and was not told yet.
func mine(it store.VaultItem, user string) bool {
	return slices.ContainsFunc(it.Lost.By, func(w record.Writer) bool { return w.Author == user }) && !slices.Contains(it.Told, user)
}

// lostBy lists the values of a user that did not win and that they did not see.
func (c *call) lostBy(user string) ([]store.VaultItem, error) {
	list, err := c.Store.Vault(record.Key{}, maxLooked)
	return slices.DeleteFunc(list, func(it store.VaultItem) bool {
		if !mine(it, user) {
			return true
		}
		// What the record shows again was not lost after all.
		st, err := c.Store.Get(it.Key)
		if err != nil {
			return errors.Is(err, record.ErrNotFound)
		}
		holds, _ := backAgain(c.Store, st, it)
		return holds
	}), err
}

// vaultItem finds the item that the address names.
func (c *call) vaultItem() (store.VaultItem, error) {
	id, err := strconv.ParseUint(c.r.PathValue("item"), 10, 64)
	if err != nil {
		return store.VaultItem{}, record.ErrNotFound
	}
	list, err := c.Store.Vault(record.Key{}, 1<<30)
	if err != nil {
		return store.VaultItem{}, err
	}
	for _, it := range list {
		if it.ID == id {
			return it, nil
		}
	}
	return store.VaultItem{}, record.ErrNotFound
}

// seen notes that the user has seen a value that did not win.
func (c *call) seen() error {
	it, err := c.vaultItem()
	if err != nil {
		return err
	}
	if err := c.Store.Told(c.r.Context(), it.ID, c.user.User); err != nil {
		return err
	}
	back := "/conflicts"
	if c.r.PostForm.Has("back") {
		back = localPath(c.r.PostForm.Get("back"))
	}
	return c.goTo(back, "seen")
}

// bringBack makes a new version in which a value that did not win holds.
func (c *call) bringBack() error {
	it, err := c.vaultItem()
	if err != nil {
		return err
	}
	if _, err := c.get(it.Key); err != nil { // whom this user may see
		return err
	}
	_, err = c.Store.Reinstate(c.r.Context(), it.ID, c.user.User)
	if errors.Is(err, store.ErrNoPlace) || errors.Is(err, record.ErrDeleted) {
		return c.goTo("/record/"+it.Key.String()+"/history", "by-hand")
	}
	if err != nil {
		return err
	}
	return c.goTo("/record/"+it.Key.String(), "restored")
}

// backAgain reports whether the record shows a lost value anyway, and whether it can
// be put back by itself.
func backAgain(s *store.Store, st *record.Stand, it store.VaultItem) (holds, can bool) {
	tree, err := element.Read(s.R4(), st.Shown)
	// An element of a deleted record has nobody to show it; its history brings back
	// the whole record instead.
	if err != nil || st.Shown.Deleted {
		return false, false
	}
	_, now := element.Again(tree, it.Lost)
	if now == nil {
		return false, false
	}
	v, err := element.Parse(it.Lost.Value)
	return err == nil && element.Same(v, now.Shown), err == nil
}
