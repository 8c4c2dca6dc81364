package central

import (
	"context"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/people"
	"tram/store/record"
)

// hoaTwice is one person whom two stations registered; b holds both records, with an
// allergy and a visit.
func hoaTwice(t *testing.T) (a, b *pc, one, two record.Key) {
	t.Helper()
	s := newSite(t)
	a, b = s.enrolledPC("tram-a"), s.enrolledPC("tram-b")
	one = a.born(`,"name":[{"text":"Trần Thị Hoà"}],"birthDate":"1961-02-03","multipleBirthInteger":1,"identifier":[{"value":"001161002345"}]`)
	two = b.born(`,"active":true,"name":[{"text":"TRẦN THỊ HÒA"}],"birthDate":"1961-02-03","telecom":[{"system":"phone","value":"0912345678"}]`)
	a.write(record.Key{Kind: "AllergyIntolerance", ID: a.NewID()}, "", `,"patient":{"reference":"`+one.String()+`"}`)
	b.write(record.Key{Kind: "Flag", ID: b.NewID()}, "", `,"status":"active","code":{"text":"x"},"subject":{"reference":"`+two.String()+`"}`)
	a.sync()
	b.sync()
	_, err := s.Grant(context.Background(), "tram-b", "", []string{one.ID}, "admin")
	must(t, err)
	_, err = s.Grant(context.Background(), "tram-a", "", []string{two.ID}, "admin")
	must(t, err)
	a.sync()
	b.sync()
	return a, b, one, two
}

// edited writes what edit makes of the Patients, in one transaction.
func (p *pc) edited(edit func(v *fhir.Value, other string) *fhir.Value, one, two record.Key) {
	p.site.t.Helper()
	var writes []store.Write
	for _, k := range [][2]record.Key{{one, two}, {two, one}} {
		st, err := p.Get(k[0])
		must(p.site.t, err)
		v, err := fhir.Parse(st.Shown.Content, fhir.DefaultLimits())
		must(p.site.t, err)
		if now := edit(v, k[1].ID); now != v {
			writes = append(writes, store.Write{Key: k[0], Base: st.Tag(), Content: now.Bytes(), Author: "nurse"})
		}
	}
	_, err := p.Put(context.Background(), writes...)
	must(p.site.t, err)
}

func (p *pc) linked(k record.Key) string { return strings.Join(p.Linked(k.ID), " ") }

func contents(p *pc, keys ...record.Key) (out []record.Digest) {
	for _, k := range keys {
		out = append(out, record.Sum([]byte(shown(p.Store, k))))
	}
	return out
}

// One station finds that both records are one person's and joins them, the other
// parts them: at both everything is to the byte as before, and nothing that refers
// to either was ever written.
func TestOnePersonOfTwoRecordsJoinedAndParted(t *testing.T) {
	a, b, one, two := hoaTwice(t)
	v, err := fhir.Parse([]byte(shown(b.Store, two)), fhir.DefaultLimits())
	must(t, err)
	if got, err := b.Doubles(v, false, 5); err != nil || len(got) != 1 || got[0].ID != one.ID || got[0].By != people.SameBirth {
		t.Fatalf("whom b takes for the same: %+v, %v", got, err)
	}
	was := contents(a, one, two)
	written, _, err := b.HistoryAll(store.Since{Limit: 100})
	must(t, err)
	b.edited(people.Join, one, two)
	if got, err := b.Doubles(v, false, 5); err != nil || len(got) != 0 {
		t.Errorf("b still asks about who is joined: %+v, %v", got, err)
	}
	b.sync()
	a.sync()
	for _, p := range []*pc{a, b} {
		if p.linked(one) != two.ID || p.linked(two) != one.ID {
			t.Errorf("at %s %s and %s", p.name, p.linked(one), p.linked(two))
		}
	}
	a.edited(people.Part, two, one)
	a.sync()
	b.sync()
	for _, p := range []*pc{a, b} {
		if p.linked(one)+p.linked(two) != "" || !slices.Equal(contents(p, one, two), was) {
			t.Errorf("parted, at %s there is %s and %s", p.name, shown(p.Store, one), shown(p.Store, two))
		}
	}
	after, _, err := b.HistoryAll(store.Since{Limit: 100})
	must(t, err)
	if len(after) != len(written)+4 { // of each person the joining and the parting
		t.Errorf("%d versions came of joining and parting, want 4", len(after)-len(written))
	}
}

// Both stations join the same two at once, and one parts them after it saw that: at
// both everything is as before.
func TestJoinedTwiceAndPartedOnce(t *testing.T) {
	a, b, one, two := hoaTwice(t)
	was := contents(a, one, two)
	a.edited(people.Join, one, two)
	b.edited(people.Join, two, one)
	a.sync()
	b.sync()
	a.sync()
	for _, p := range []*pc{a, b} {
		if st, err := p.Get(one); err != nil || st.Shown.Contested() || strings.Count(string(st.Shown.Content), two.ID) != 1 {
			t.Errorf("at %s: %s, %v", p.name, shown(p.Store, one), err)
		}
	}
	b.edited(people.Part, one, two)
	b.sync()
	a.sync()
	for _, p := range []*pc{a, b} {
		if p.linked(one)+p.linked(two) != "" || !slices.Equal(contents(p, one, two), was) {
			t.Errorf("parted, at %s there is %s and %s", p.name, shown(p.Store, one), shown(p.Store, two))
		}
	}
}

// One parts them while the other joins them anew without having seen it: the joining
// is kept.
func TestPartedWhileAnotherJoins(t *testing.T) {
	a, b, one, two := hoaTwice(t)
	a.edited(people.Join, one, two)
	a.sync()
	a.edited(people.Part, one, two)
	b.edited(people.Join, one, two)
	b.sync()
	a.sync()
	b.sync()
	for _, p := range []*pc{a, b} {
		if p.linked(one) != two.ID {
			t.Errorf("at %s the joining is lost: %s", p.name, shown(p.Store, one))
		}
	}
}

// A station that holds one of two records learns by the link that there is another,
// but gets nothing of what is kept about it: a link gives no access.
func TestALinkGivesNoAccess(t *testing.T) {
	s := newSite(t)
	a, b := s.enrolledPC("tram-a"), s.enrolledPC("tram-b")
	one, two := a.born(""), b.born("")
	flag := record.Key{Kind: "Flag", ID: b.NewID()}
	b.write(flag, "", `,"status":"active","code":{"text":"x"},"subject":{"reference":"`+two.String()+`"}`)
	a.sync()
	b.sync()
	_, err := s.Grant(context.Background(), "tram-b", "", []string{one.ID}, "admin")
	must(t, err)
	b.sync()
	b.edited(people.Join, one, two)
	b.sync()
	a.sync()
	if a.linked(one) != two.ID || shown(a.Store, two) != shown(b.Store, two) {
		t.Errorf("a knows of %q: %s", a.linked(one), shown(a.Store, two))
	}
	if got := shown(a.Store, flag); got != record.ErrNotFound.Error() {
		t.Errorf("a has of it %s", got)
	}
	b.edited(people.Part, one, two)
	b.sync()
	a.sync()
	if got := a.linked(one) + shown(a.Store, two); got != record.ErrNotFound.Error() {
		t.Errorf("parted, a has %s", got)
	}
}
