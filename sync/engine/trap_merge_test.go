package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/wire"
)

// Patient/x and RelatedPerson/x bear one id; only the Patient's birth date is contested
func TestTrap04ConflictsMatchedByIDWithoutType(t *testing.T) {
	w, k := shared(t, hoa)
	a, b := w.stations["a"], w.stations["b"]
	kin := record.Key{Kind: "RelatedPerson", ID: k.ID}
	relative := func(born string) []byte {
		return fmt.Appendf(nil, `{"resourceType":"RelatedPerson","id":%q,"patient":{"reference":%q},"birthDate":%q}`, k.ID, k.String(), born)
	}
	a.put(t, store.Write{Key: kin, Content: relative("1990-01-01")})
	w.sync("a", "b")
	w.want(kin, "1990-01-01")
	st, err := b.Get(kin)
	if err != nil {
		t.Fatal(err)
	}
	b.put(t, store.Write{Key: kin, Base: st.Tag(), Content: relative("1991-01-01")})
	a.edit(t, k, strings.Replace(hoa, "1961", "1962", 1))
	b.edit(t, k, strings.Replace(hoa, "1961", "1963", 1))
	w.sync("a", "b")
	w.want(kin, "1991-01-01")
	for n, s := range w.stations {
		list, err := s.Contested(5)
		if err != nil || len(list) != 1 || list[0].Key != k {
			t.Fatalf("contested at %s: %v, %v; want the Patient alone", n, list, err)
		}
	}
	decide(t, a, k, `{"birthDate":"1962-02-03"}`)
	w.sync("a", "b")
	w.want(k, "1962-02-03")
	w.want(kin, "1991-01-01")
}

// decide closes the one conflict of a record with a value.
func decide(t *testing.T, s *station, k record.Key, value string) {
	t.Helper()
	st, err := s.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	cs := st.Shown.Conflicts()
	if len(cs) != 1 {
		t.Fatalf("%d conflicts in %s, want 1", len(cs), k)
	}
	var closes []record.Name
	for _, v := range cs[0].Values {
		for _, by := range v.Writers {
			closes = append(closes, by.Name)
		}
	}
	s.put(t, store.Write{Key: k, Base: st.Tag(), Decisions: []record.Decision{{Path: cs[0].Path, Value: []byte(value), Closes: closes}}})
}

// U0[mother father aunt] -> A1[father aunt] -> A2[father aunt+phone] -> A3[uncle father aunt+phone]
// U0                     -> B1[sister mother father+phone aunt]
//
// Three edits offline become one patch by index in other systems; here each is a
// whole version that knows which item it touched.
func TestTrap05SquashedPatchesDoNotRebaseIndexes(t *testing.T) {
	const mother, father, aunt = `{"name":{"family":"Mẹ"}}`, `{"name":{"family":"Bố"}}`, `{"name":{"family":"Dì"}}`
	const sister, uncle = `{"name":{"family":"Chị"}}`, `{"name":{"family":"Chú"}}`
	called := func(c, number string) string {
		return strings.TrimSuffix(c, "}") + `,"telecom":[{"system":"phone","value":"` + number + `"}]}`
	}
	list := func(items ...string) string { return hoa + `,"contact":[` + strings.Join(items, ",") + `]` }
	for name, order := range map[string][]string{"a first": {"a", "b"}, "b first": {"b", "a"}} {
		t.Run(name, func(t *testing.T) {
			w, k := shared(t, list(mother, father, aunt))
			a, b := w.stations["a"], w.stations["b"]
			a.edit(t, k, list(father, aunt))
			a.edit(t, k, list(father, called(aunt, "0911")))
			a.edit(t, k, list(uncle, father, called(aunt, "0911")))
			b.edit(t, k, list(sister, mother, called(father, "0922"), aunt))
			w.sync(order...)
			got := contacts(t, w.equal(k))
			want := []string{"Bố 0922", "Chú ", "Chị ", "Dì 0911"}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// contacts are the people to call, each with a number, sorted.
func contacts(t *testing.T, content string) []string {
	t.Helper()
	v, err := fhir.Parse([]byte(content), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range v.Get("contact").Items {
		number := ""
		if list := c.Get("telecom"); list != nil && len(list.Items) > 0 {
			number = list.Items[0].Str("value")
		}
		out = append(out, c.Get("name").Str("family")+" "+number)
	}
	slices.Sort(out)
	return out
}

// U0 -> A1(0911) / U0 -> B1(0922): one number wins, and who typed the other is told at home
func TestTrap13LoserIsNeverTold(t *testing.T) {
	for name, order := range map[string][]string{"a first": {"a", "b"}, "b first": {"b", "a"}} {
		t.Run(name, func(t *testing.T) {
			w, k := shared(t, hoa+phone("0900"))
			w.stations["a"].edit(t, k, hoa+phone("0911"))
			w.stations["b"].edit(t, k, hoa+phone("0922"))
			w.sync(order...)
			w.sync(order...)
			loser, value := w.stations["a"], "0911"
			if strings.Contains(w.equal(k), value) {
				loser, value = w.stations["b"], "0922"
			}
			items, err := loser.Vault(k, 5)
			if err != nil || len(items) != 1 {
				t.Fatalf("the vault of %s: %+v, %v", loser.name, items, err)
			}
			lost := items[0].Lost
			if !strings.Contains(string(lost.Value), value) || len(lost.By) != 1 || lost.By[0].Author != "nurse-"+loser.name {
				t.Errorf("lost: %s by %+v; want %s by nurse-%s", lost.Value, lost.By, value, loser.name)
			}
			if c, err := loser.Waiting(); err != nil || c.Vault != 1 || len(items[0].Told) != 0 {
				t.Errorf("nobody is to be told: %+v, %v", c, err)
			}
			// It is a person's to take back: the value is whole.
			loser.edit(t, k, hoa+phone(value))
			w.sync(order...)
			w.want(k, value)
		})
	}
}

// a's clock is two years ahead, b's two years behind
func TestTrap16ClientClockPicksTheWinner(t *testing.T) {
	const year = int64(365 * 24 * 3600 * 1000)
	at := func(shift int64) func() record.Stamp {
		tick := storetest.Clock()
		return func() record.Stamp {
			s := tick()
			s.Unix += shift
			return s
		}
	}
	clocks := map[string]func() record.Stamp{"a": at(2 * year), "b": at(-2 * year)}
	w := newWorldAt(t, clocks, "a", "b")
	a, b := w.stations["a"], w.stations["b"]
	k := a.born(t, hoa)
	w.sync("a")
	w.share(k)
	w.sync("a", "b")
	// b edits what a made: an older stamp upon a newer one, and nothing is dropped.
	b.edit(t, k, hoa+`,"active":true`)
	w.sync("b", "a")
	w.want(k, `"active":true`)
	// Apart: a birth date is no clock's to choose.
	a.edit(t, k, strings.Replace(hoa, "1961", "1962", 1)+`,"active":true`)
	b.edit(t, k, strings.Replace(hoa, "1961", "1963", 1)+`,"active":true`)
	w.sync("b", "a")
	w.want(k, `"birthDate":"1961-02-03"`)
	st, err := w.centre.Get(k)
	if err != nil || len(st.Shown.Conflicts()) != 1 || len(st.Shown.Conflicts()[0].Values) != 2 {
		t.Errorf("at the centre: %+v, %v; want both dates in one conflict", st, err)
	}
	decide(t, b, k, `{"birthDate":"1963-02-03"}`)
	w.sync("b", "a")
	w.want(k, "1963-02-03")
}

// U0 -> A1(x) at the centre;  b: U0 -> P1(y), and P2(z) over the preview of both, which shows
// one of x and y: the other, which nobody saw, is in the vault, also where P2 comes first.
func TestWhatLostInAPreviewIsInTheVault(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.bornAtCentre()
	w.sync("a", "b")
	w.stations["a"].edit(t, k, hoa+status("x"))
	w.sync("a")
	b := w.stations["b"]
	lost := "x"
	if strings.Contains(w.preview(b, k, hoa+status("y")), `"x"`) {
		lost = "y"
	}
	p2 := b.edit(t, k, hoa+status("z"))
	ask, serve := w.halves(b)
	if err := w.pump(ask, serve, func(f *wire.Frame) bool { return f.Change == nil || f.Change.Ref == p2.Ref() }, nil); err != nil {
		t.Fatal(err)
	}
	w.sync("b", "a")
	w.want(k, `"z"`)
	if !inVault(t, w.centre, k, `"`+lost+`"`) {
		t.Errorf("%s is in no vault", lost)
	}
}

// preview lets somebody edit at a station while it waits for an answer that brings what
// others made of the same record, and says what it shows then.
func (w *world) preview(s *station, k record.Key, rest string) string {
	w.t.Helper()
	ask, serve := w.halves(s)
	if err := w.pump(ask, serve, func(f *wire.Frame) bool {
		if f.End != nil {
			s.edit(w.t, k, rest)
		}
		return true
	}, nil); err != nil {
		w.t.Fatal(err)
	}
	st, err := s.Get(k)
	if err != nil || !st.Preview() {
		w.t.Fatalf("the window is not met: %+v, %v", st, err)
	}
	return string(st.Shown.Content)
}

// b: A(x), at the centre;  a: P1(y), in whose preview x gives way, P2 over it, and P3, which
// p takes and goes on from. a is put back to before P1, and with P2 the word on x is lost:
// where p hands in P3, whose base nobody has, x is in the vault all the same.
func TestWhatLostOnTheWayOfAnOrphanIsInTheVault(t *testing.T) {
	w, a, p, k := withPerson(t)
	old := w.snapshot("a")
	w.stations["b"].edit(t, k, hoa+status("x"))
	w.sync("b")
	if shows := w.preview(a, k, hoa+status("y")); !strings.Contains(shows, `"y"`) {
		t.Fatalf("y does not win: %s", shows)
	}
	a.edit(t, k, hoa+status("y")+phone("0911"))
	a.edit(t, k, hoa+status("y")+phone("0912"))
	w.once("p")
	p.edit(t, k, hoa+status("y")+phone("0912")+`,"gender":"female"`)
	w.restore("a", old)
	p.up = w.stations["a"]
	w.sync("p", "a", "b")
	w.want(k, `"y"`, "0912", "female")
	if !inVault(t, w.centre, k, `"x"`) {
		t.Error("x is in no vault")
	}
}
