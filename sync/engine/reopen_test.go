package engine_test

import (
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/sync/wire"
)

// told fails unless the centre and its stations show a person again, and say that the
// deletion did not win.
func (w *world) told(k record.Key, stretch int) {
	w.t.Helper()
	w.want(k, "1961-02-03")
	for n, s := range map[string]*store.Store{"the centre": w.centre, "a": w.stations["a"].Store, "b": w.stations["b"].Store} {
		items, err := s.Vault(k, 5)
		if err != nil || len(items) != 1 || items[0].Lost.Policy != "referred" {
			w.t.Errorf("in stretches of %d %s is not told: %+v, %v", stretch, n, items, err)
		}
	}
}

// b deletes a person, and then observes something about them. Where the marks stand in what
// it hands in makes no difference.
func TestReferenceBehindADeletionReopensItInAnyStretch(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		w, k := shared(t, hoa)
		b := w.stations["b"]
		w.stretch = n
		b.put(t, store.Write{Key: k, Base: store.Any, Delete: true})
		o := aboutX(t, b, k)
		w.sync("b", "a")
		w.told(k, n)
		if content(t, w.centre, o) == record.ErrNotFound.Error() {
			t.Errorf("in stretches of %d the centre lacks the observation", n)
		}
	}
}

// The same, with more than one record about each of two people, and answers that come in
// the order of the request.
func TestAnswersAreInOrderWhereAStretchIsDivided(t *testing.T) {
	for _, n := range []int{1, 8} {
		w, k := shared(t, hoa)
		b := w.stations["b"]
		w.stretch = n
		first := b.born(t, hoa)
		b.put(t, store.Write{Key: k, Base: store.Any, Delete: true})
		keys := []record.Key{first, aboutX(t, b, first), aboutX(t, b, k), aboutX(t, b, k), aboutX(t, b, first)}
		w.admit = func(v *record.Version) record.Reason {
			if v.Key == keys[3] {
				return record.NotAllowed
			}
			return ""
		}
		w.sync("b", "a")
		w.told(k, n)
		for i, o := range keys {
			want := record.Centre
			if i == 3 {
				want = record.NeedsUs
			}
			if got := place(t, b, o); got != want {
				t.Errorf("in stretches of %d record %d is at %q, want %q", n, i, got, want)
			}
		}
	}
}

// a deletes a person. b edits them, which is not allowed, and observes something about them.
func TestReferenceBehindARefusedEditReopensInAnyStretch(t *testing.T) {
	for _, n := range []int{1, 8} {
		w, k := shared(t, hoa)
		a, b := w.stations["a"], w.stations["b"]
		w.stretch = n
		a.put(t, store.Write{Key: k, Base: store.Any, Delete: true})
		w.sync("a")
		w.admit = func(v *record.Version) record.Reason {
			if v.Key == k {
				return record.NotAllowed
			}
			return ""
		}
		b.edit(t, k, hoa+phone("0911"))
		aboutX(t, b, k)
		w.sync("b")
		if got := content(t, w.centre, k); got == "deleted" {
			t.Errorf("in stretches of %d the person stays deleted", n)
		}
	}
}

// A station of the first protocol hands in the same.
func TestReopeningInTheFirstProtocol(t *testing.T) {
	w, k := shared(t, hoa)
	b := w.stations["b"]
	b.put(t, store.Write{Key: k, Base: store.Any, Delete: true})
	o := aboutX(t, b, k)
	ask, serve := w.halvesIn(wire.First, b)
	if err := w.pump(ask, serve, nil, nil); err != nil {
		t.Fatal(err)
	}
	if r := ask.Result(); r.Taken != 2 || r.Parked != 0 {
		t.Errorf("it came to %+v", r)
	}
	next := ask.Result().Next
	b.carry = &next
	w.sync("a", "b")
	w.told(k, 8)
	if got := place(t, b, o); got != record.Centre {
		t.Errorf("the observation is at %q", got)
	}
}
