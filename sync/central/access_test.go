package central

import (
	"context"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
)

// b held a person and kept a copy of its folder; whatever it offers from there, it
// learns nothing of the person any more.
func TestAccessThatEndedIsNotTakenBack(t *testing.T) {
	s := newSite(t)
	a, b := s.enrolledPC("tram-a"), s.enrolledPC("tram-b")
	k := a.born("")
	a.sync()
	ctx := context.Background()
	_, err := s.Grant(ctx, "tram-b", "", []string{k.ID}, "admin")
	must(t, err)
	b.sync()
	kept := b.copied()
	all, _, err := s.store.HistoryAll(store.Since{Kinds: []string{"Basic"}, Limit: 1})
	must(t, err)
	only := strings.Replace(string(all[0].Content), `,{"url":"urn:tram:station","valueString":"tram-b"}`, "", 1)
	_, err = s.store.Put(ctx, store.Write{Key: all[0].Key, Base: store.Any, Content: []byte(only), Author: "admin"})
	must(t, err)
	if b.sync(); shown(b.Store, k) != record.ErrNotFound.Error() {
		t.Fatalf("b still holds the person: %s", shown(b.Store, k))
	}
	a.write(k, store.Any, `,"gender":"female"`)
	a.sync()
	must(t, kept.Recover(ctx, record.Recovery{Offer: []record.Key{k}}))
	if kept.sync(); strings.Contains(shown(kept.Store, k), "female") {
		t.Errorf("by offering its old copy b got %s", shown(kept.Store, k))
	}
	if at, err := s.store.ScopeOf(k); err != nil || len(at) != 1 {
		t.Errorf("scope: %v, %v", at, err)
	}
}
