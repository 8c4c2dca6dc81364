package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tram/agent/web/show"
	"tram/store"
	"tram/store/audit"
	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/status"
)

// parkedLine is an entry that the centre did not take, with what waits for it.
type parkedLine struct {
	waitingLine
	Behind []waitingLine
	Gone   bool // the record is not here any more
}

// keptLine is an entry of a record that left this station.
type keptLine struct {
	ID    uint64
	Key   record.Key
	Title string
	Who   string
	when
	Place  record.Place
	Reason record.Reason
	Here   bool // the record is here again
}

// parked lists what the centre did not take, as far as the user may see it.
func (c *call) parked() ([]parkedLine, error) {
	list, err := c.Store.ParkedList(maxWaiting)
	if err != nil {
		return nil, err
	}
	var out []parkedLine
	names := c.names()
	for _, p := range list {
		l := parkedLine{waitingLine: c.waits(p.Entry, names), Gone: p.Gone}
		for _, e := range p.Behind {
			l.Behind = append(l.Behind, c.waits(e, names))
		}
		out = append(out, l)
	}
	return out, nil
}

// kept lists the entries of records that left, in the kinds that the user may see.
func (c *call) kept() ([]keptLine, error) {
	list, err := c.Store.Rescued(maxWaiting)
	if err != nil {
		return nil, err
	}
	var out []keptLine
	names := c.names()
	for _, it := range list {
		if c.user.Role.Sees(it.Version.Key.Kind) {
			out = append(out, c.keptOf(it, names))
		}
	}
	return out, nil
}

// need is how much of one sort needs a person. The sort ends the key of its words.
type need struct {
	Sort string
	N    int64
}

// needs counts what needs this user, of each sort of which there is something; the page
// says what is wrong where it cannot be counted.
func (c *call) needs(r status.Report) []need {
	if c.counted == nil {
		c.counted = c.countNeeds(r)
	}
	return c.counted
}

func (c *call) countNeeds(r status.Report) []need {
	left, err := c.Store.RescuedCount()
	all := []need{{"parked", r.Parked}, {"conflicts", r.Conflicts}, {"kept", int64(left)}, {"undated", r.Undated}, {"messages", r.Messages}}
	if err == nil && c.user.User != "" && !c.user.Role.Clinical() {
		all[1].N, all[2].N, err = c.fewNeeds()
		all[4].N = 0 // what came in is clinical
	}
	if err != nil {
		c.Log.Error("cannot count what needs a person", "err", err)
	}
	return slices.DeleteFunc(all, func(n need) bool { return n.N == 0 })
}

// fewNeeds counts the conflicts and the entries kept that a role sees which does not see
// every kind.
func (c *call) fewNeeds() (conflicts, left int64, err error) {
	stands, err := c.open()
	if err != nil {
		return 0, 0, err
	}
	list, err := c.Store.Rescued(maxWaiting)
	for _, it := range list {
		if c.user.Role.Sees(it.Version.Key.Kind) {
			left++
		}
	}
	return int64(len(stands)), left, err
}

func (c *call) keptOf(it store.Rescued, names func(string) string) keptLine {
	v := it.Version
	return keptLine{ID: it.ID, Key: v.Key, Title: c.show[c.lang].Kind(v.Key.Kind), Who: names(v.Author), when: c.when(v.Name, v.Stamp),
		Place: it.Place, Reason: it.Reason, Here: it.Here}
}

// keptPage is one entry of a record that left: what its author wrote, and no more.
type keptPage struct {
	keptLine
	Own     []show.Change
	Plain   string // the same as a text to copy
	CanSync bool
}

// keptItem finds the entry that the address names.
func (c *call) keptItem() (store.Rescued, error) {
	id, err := strconv.ParseUint(c.r.PathValue("item"), 10, 64)
	if err != nil {
		return store.Rescued{}, record.ErrNotFound
	}
	list, err := c.Store.Rescued(1 << 30)
	if err != nil {
		return store.Rescued{}, err
	}
	i := slices.IndexFunc(list, func(it store.Rescued) bool { return it.ID == id })
	switch {
	case i < 0:
		return store.Rescued{}, record.ErrNotFound
	case !c.user.Role.Sees(list[i].Version.Key.Kind):
		return store.Rescued{}, errForbidden
	}
	return list[i], nil
}

// keptShow shows what was written into a record before it left.
func (c *call) keptShow() error {
	it, err := c.keptItem()
	if err != nil {
		return err
	}
	if err := c.looked(audit.Read, it.Version.Key); err != nil {
		return err
	}
	p := keptPage{keptLine: c.keptOf(it, c.names()), CanSync: c.SyncNow != nil}
	if p.Own, err = c.show[c.lang].Own(it.Version); err != nil {
		return err
	}
	var plain []string
	for _, o := range p.Own {
		plain = append(plain, o.Label+": "+o.After)
	}
	p.Plain = strings.Join(plain, "\n")
	c.render(http.StatusOK, "kept", "kept.title", p)
	return nil
}

// dismiss takes an entry of a record that left from the list: somebody has done with it.
func (c *call) dismiss() error {
	it, err := c.keptItem()
	if err != nil {
		return err
	}
	if err := c.Store.Dismiss(c.r.Context(), it.ID, c.user.User); err != nil {
		return err
	}
	return c.goTo("/waiting", "dismissed")
}

// mendPage is one record that the centre did not take, with every way to mend it.
type mendPage struct {
	recordPage
	Behind  []waitingLine
	Ready   bool          // the centre answered for all of it
	Left    bool          // the record goes on without it: it can only be given up
	Theirs  bool          // the centre's version is here too
	Differ  []show.Change // the centre's and ours, where they differ
	Fields  []mendField
	Kept    bool   // what stands in them was typed before
	Problem string // text key
}

// mendField is one element that can be written anew, or taken out.
type mendField struct {
	Path, Label, Value string
	Long               bool
	Only               bool // it cannot be typed, only taken out
	Without            bool // it is to be taken out
	Fault              bool
	register           *element.Register
}

// maxShown is how much of a value stands in a page where it cannot be typed.
const maxShown = 200

// mend shows what the centre did not take of a record, and takes what was corrected.
func (c *call) mend() error {
	kept, err := c.book.Draft(c.user.User, c.r.URL.Path)
	if err != nil {
		return err
	}
	if kept != nil {
		c.r.PostForm = kept
	}
	return c.mendAgain(http.StatusOK, "")
}

func (c *call) mendAgain(code int, problem string) error {
	head, st, err := c.recordHead()
	if err != nil {
		return err
	}
	head.Tab = "mend"
	p := mendPage{recordPage: head, Problem: problem, Kept: code == http.StatusOK && c.r.PostForm.Has("base")}
	if p.Kept && c.r.PostForm.Get("base") != st.Tag() {
		p.Problem = "mend.stale"
	}
	list, err := c.Store.ParkedOf(head.Key)
	if err != nil {
		return err
	}
	names := c.names()
	for _, one := range list {
		p.Ready, p.Theirs, p.Left = one.Ready, one.Theirs, one.Left
		if p.Parked = one.Reason; one.Left { // it is given up before anything else
			break
		}
		for _, e := range one.Behind {
			p.Behind = append(p.Behind, c.waits(e, names))
		}
	}
	if st.Head != nil && len(st.Pending) > 0 && !p.Left {
		mine, err := c.Store.Version(head.Key, st.Pending[len(st.Pending)-1].Name)
		if err != nil {
			return err
		}
		if p.Differ, err = c.show[c.lang].Changes(st.Head, mine); err != nil {
			return err
		}
	}
	_, fields, err := c.mendFields(st)
	if err != nil {
		return err
	}
	for _, f := range fields {
		if c.r.PostForm.Has(f.Path) && !f.Only {
			f.Value = c.r.PostForm.Get(f.Path)
			_, typed := c.show[c.lang].Typed(head.Key.Kind, f.Path, f.register.Shown, strings.TrimSpace(f.Value))
			f.Fault = !typed && strings.TrimSpace(f.Value) != ""
		}
		f.Without = c.r.PostForm.Has("without:" + f.Path)
		p.Fields = append(p.Fields, f)
	}
	c.render(code, "mend", "mend.title", p)
	return nil
}

// mendFields takes what a record shows apart into what can be written anew.
func (c *call) mendFields(st *record.Stand) (*element.Tree, []mendField, error) {
	tree, err := element.Read(c.Store.R4(), st.Shown)
	if err != nil {
		return nil, nil, err
	}
	var out []mendField
	s, kind := c.show[c.lang], st.Key.Kind
	tree.Each(func(path string, r *element.Register) {
		if strings.HasPrefix(path, "meta/") || path == "text" || element.Absent(r.Shown) || r.Contested() || refers(r.Shown) {
			return
		}
		f := mendField{Path: path, Label: s.Path(kind, path), Value: s.Fields(kind, path, r.Shown), register: r}
		if _, ok := s.Typed(kind, path, r.Shown, f.Value); !ok {
			f.Only = true
			if text := []rune(f.Value); len(text) > maxShown {
				f.Value = string(text[:maxShown]) + " …"
			}
		}
		f.Long = strings.ContainsRune(f.Value, '\n') || len(f.Value) > 60
		out = append(out, f)
	})
	return tree, out, nil
}

// refers reports whether an element is a reference to another record: what an entry is
// about is not corrected here.
func refers(v *fhir.Value) bool {
	return slices.ContainsFunc(v.Fields, func(f fhir.Field) bool { return f.Value.Shape == fhir.Object && f.Value.Get("reference") != nil })
}

// corrected saves a record anew, in place of what the centre did not take.
func (c *call) corrected() error {
	key, f := c.key(), c.r.PostForm
	st, err := c.get(key)
	if err != nil {
		return err
	}
	if st.Shown.Deleted {
		return record.ErrDeleted
	}
	if f.Get("base") != st.Tag() {
		return c.mendAgain(http.StatusConflict, "mend.stale")
	}
	tree, fields, err := c.mendFields(st)
	if err != nil {
		return err
	}
	changed := false
	for _, x := range fields {
		text := strings.TrimSpace(strings.ReplaceAll(f.Get(x.Path), "\r\n", "\n"))
		switch {
		case f.Has("without:" + x.Path), f.Has(x.Path) && text == "" && !x.Only:
			x.register.Shown = fhir.NewObject()
		case x.Only, !f.Has(x.Path), text == strings.TrimSpace(x.Value):
			continue
		default:
			value, ok := c.show[c.lang].Typed(key.Kind, x.Path, x.register.Shown, text)
			if !ok {
				return c.mendAgain(http.StatusUnprocessableEntity, "mend.no-meaning")
			}
			x.register.Shown = value
		}
		changed = true
	}
	if !changed {
		return c.mendAgain(http.StatusUnprocessableEntity, "mend.same-as-before")
	}
	_, err = c.Store.Put(c.r.Context(), store.Write{Key: key, Base: st.Tag(), Content: tree.Content().Bytes(), Author: c.user.User})
	var invalid *store.InvalidError
	switch {
	case errors.Is(err, record.ErrStale):
		return c.mendAgain(http.StatusConflict, "mend.stale")
	case errors.As(err, &invalid):
		return c.mendAgain(http.StatusUnprocessableEntity, "mend.invalid")
	case err != nil:
		return err
	}
	return c.saved("/record/" + key.String())
}

// settle runs one of the acts that mend a record as the page showed it.
func (c *call) settle(act func(record.Key) (record.Key, string, error)) error {
	st, err := c.get(c.key())
	if err != nil {
		return err
	}
	if c.r.PostForm.Get("base") != st.Tag() {
		return c.mendAgain(http.StatusConflict, "mend.stale")
	}
	then, said, err := act(st.Key)
	switch {
	case errors.Is(err, record.ErrStale):
		return c.mendAgain(http.StatusConflict, "mend.stale")
	case errors.Is(err, store.ErrReferred):
		return c.mendAgain(http.StatusConflict, "mend.referred")
	case err != nil:
		return err
	}
	// What was given up may have been all there was of the record.
	if _, err := c.Store.Get(then); errors.Is(err, record.ErrNotFound) {
		return c.goTo("/waiting", said)
	}
	return c.goTo("/record/"+then.String(), said)
}

// giveUp takes back what the centre did not take.
func (c *call) giveUp() error {
	return c.settle(func(k record.Key) (record.Key, string, error) {
		return k, "given-up", c.Store.GiveUp(c.r.Context(), k, c.user.User)
	})
}

// same says that a record whose id is taken is the one that the centre has.
func (c *call) same() error {
	return c.settle(func(k record.Key) (record.Key, string, error) {
		_, err := c.Store.Same(c.r.Context(), k, c.user.User)
		return k, "same", err
	})
}

// reissue gives a record whose id another one has an id of its own.
func (c *call) reissue() error {
	return c.settle(func(k record.Key) (record.Key, string, error) {
		fresh, err := c.Store.Reissue(c.r.Context(), k, c.user.User)
		return fresh, "reissued", err
	})
}
