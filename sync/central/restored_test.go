package central

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/sync/trust"
)

// backup copies a centre's folder while it stands still; the function puts the copy
// in its place.
func (s *site) backup() func() {
	s.t.Helper()
	old := filepath.Join(s.t.TempDir(), "backup")
	s.end()
	must(s.t, os.CopyFS(old, os.DirFS(s.dir)))
	s.start()
	return func() {
		s.t.Helper()
		s.end()
		s.dir = old
		s.start()
	}
}

// The centre forgets a birth, a grant and an edit; stations bring back what is theirs,
// and who holds whom is written anew.
func TestRestoredCentre(t *testing.T) {
	s := newSite(t)
	a, b := s.enrolledPC("tram-a"), s.enrolledPC("tram-b")
	old := a.born("")
	a.sync()
	restore := s.backup()
	fresh := a.born(`,"gender":"female"`)
	a.write(old, store.Any, `,"active":true`)
	a.sync()
	_, err := s.Grant(context.Background(), "tram-b", "tram-a", nil, "admin")
	must(t, err)
	b.sync()
	a.sync()
	restore()
	for range 2 {
		for _, p := range []*pc{a, b} {
			if r := p.sync(); !r.Equal {
				t.Errorf("%s is not proved equal: %+v", p.name, r)
			}
			if list, err := p.WaitingList(5); err != nil || len(list) != 0 {
				t.Errorf("at %s there waits %+v, %v", p.name, list, err)
			}
		}
	}
	if got := shown(s.store, fresh); !strings.Contains(got, "female") || shown(a.Store, fresh) != got {
		t.Errorf("the birth: %s", got)
	}
	if got := shown(s.store, old); !strings.Contains(got, "active") || shown(a.Store, old) != got {
		t.Errorf("the edit: %s", got)
	}
}

// A centre that was lost with all that it had is replaced by an empty one with another
// key. Stations are enrolled anew and hand in everything that they hold, also each
// other's, and who holds whom is as it was.
func TestReplacedCentre(t *testing.T) {
	old := newSite(t)
	a, b := old.enrolledPC("tram-a"), old.enrolledPC("tram-b")
	k, only := a.born(""), b.born(`,"gender":"female"`)
	a.sync()
	_, err := old.Grant(context.Background(), "tram-b", "", []string{k.ID}, "admin")
	must(t, err)
	b.sync()
	b.write(k, shownTag(t, b, k), `,"active":true`)
	b.sync()
	fresh := newSite(t)
	for _, p := range []*pc{a, b} {
		id, err := trust.NewIdentity()
		must(t, err)
		p.site, p.id = fresh, id
		must(t, p.enrol(fresh.code(p.name)))
	}
	for range 2 {
		for _, p := range []*pc{b, a} {
			if r := p.sync(); !r.Equal {
				t.Errorf("%s is not proved equal: %+v", p.name, r)
			}
		}
	}
	for _, at := range []*store.Store{fresh.store, a.Store, b.Store} {
		if got := shown(at, k); !strings.Contains(got, "active") {
			t.Errorf("%s has %s", at.Name(), got)
		}
	}
	if got := shown(fresh.store, only); !strings.Contains(got, "female") {
		t.Errorf("the new centre has %s", got)
	}
	for _, p := range []*pc{a, b} {
		if list, err := p.WaitingList(5); err != nil || len(list) != 0 {
			t.Errorf("at %s there waits %+v, %v", p.name, list, err)
		}
	}
}

func shownTag(t *testing.T, p *pc, k record.Key) string {
	t.Helper()
	st, err := p.Get(k)
	must(t, err)
	return st.Tag()
}
