package intake

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

func TestWhoIsChosenGetsIt(t *testing.T) {
	st := newStation(t)
	if _, err := st.s.Put(t.Context(), store.Write{Key: record.Key{Kind: "Patient", ID: "p"}, Author: "x", Content: []byte(patient("p"))}); err != nil {
		t.Fatal(err)
	}
	oru := func(control, number string) string {
		return strings.Replace(msh("ORU^R01", control)+pid+orders, "079001", number, 1)
	}
	first := func() string {
		t.Helper()
		list, err := st.Waiting()
		if err != nil || len(list) == 0 {
			t.Fatalf("waiting %v, %v", list, err)
		}
		return list[0].ID
	}
	st.submit(oru("1", "1"))
	id := first()
	if raw, err := st.Message(id); err != nil || !strings.HasPrefix(string(raw), "MSH|") {
		t.Errorf("the message: %q, %v", raw, err)
	}
	var r *Refusal
	if _, err := st.Attach(t.Context(), id, Choice{Person: record.Key{Kind: "Patient", ID: "nobody"}, Who: "hoa"}); !errors.As(err, &r) || r.Code != RefersNowhere || first() != id {
		t.Errorf("somebody who is not here: %v", err)
	}
	got, err := st.Attach(t.Context(), id, Choice{Person: record.Key{Kind: "Patient", ID: "p"}, Remember: true, Who: "hoa"})
	if err != nil || got.New != 3 || got.Changed != 1 || st.all("Observation")[0].Str("subject", "reference") != "Patient/p" {
		t.Fatalf("%+v, %v", got, err)
	}
	if v, err := st.s.Get(record.Key{Kind: "Patient", ID: "p"}); err != nil || v.Shown.Author != "hoa" {
		t.Errorf("by %q, %v; want hoa", v.Shown.Author, err)
	}
	if _, err := st.Attach(t.Context(), id, Choice{Person: record.Key{Kind: "Patient", ID: "p"}, Who: "hoa"}); err != ErrNotWaiting {
		t.Errorf("twice: %v", err)
	}
	if e := st.submit(oru("1", "1")); e.What != Again {
		t.Errorf("the same again: %+v", e)
	}
	st.submit(oru("2", "2"))
	if _, err := st.Attach(t.Context(), first(), Choice{Who: "hoa"}); err != nil || len(st.all("Patient")) != 2 {
		t.Errorf("a new person: %v, holds %s", err, st.counts())
	}
	st.submit(oru("3", "3"))
	id = first()
	if err := st.Reject(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	st.want("files", st.tree(), []string{"aside/" + id + ".hl7", "aside/" + id + ".hl7" + noteSuffix})
	note, err := os.ReadFile(filepath.Join(st.drop, "aside", id+".hl7"+noteSuffix))
	if list, _ := st.Waiting(); err != nil || len(list) != 0 || strings.Contains(string(note), secret) {
		t.Errorf("after it was rejected %v wait; note %s, %v", list, note, err)
	}
}

func TestAChoiceJoinsNobodyElse(t *testing.T) {
	for _, c := range []struct {
		name   string
		others []string // who has the number that is given up
		linked int
		code   Code
	}{
		{"nobody", nil, 0, ""},
		{"one", []string{`"birthDate":"1980"`}, 1, ""},
		{"one who was born in another year", []string{`"birthDate":"1981"`}, 0, NotJoined},
		{"two", []string{`"birthDate":"1980"`, `"birthDate":"1980"`}, 0, NotJoined},
		{"two who are one", []string{`"birthDate":"1980"`, `"link":[{"type":"seealso","other":{"reference":"Patient/o0"}}]`}, 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation(t)
			const number = `"identifier":[{"system":"urn:example:cccd","value":"0790`
			st.register("p", number+`01"}],"birthDate":"1980-02-05"`)
			st.register("q", number+`01"}],"birthDate":"1980-02-05"`) // so that a person has to choose
			for i, text := range c.others {
				st.register(fmt.Sprint("o", i), number+`02"}],`+text)
			}
			st.submit(msh("ADT^A40", "1") + pid + "MRG|079002^^^BYT^NI\n")
			list, err := st.Waiting()
			if err != nil || len(list) != 1 {
				t.Fatalf("waiting %v, %v", list, err)
			}
			_, err = st.Attach(t.Context(), list[0].ID, Choice{Person: record.Key{Kind: "Patient", ID: "p"}, Who: "hoa"})
			var r *Refusal
			if got := errors.As(err, &r); got != (c.code != "") || got && r.Code != c.code {
				t.Errorf("got %v, want %q", err, c.code)
			}
			if got := st.s.Linked("p"); len(got) != c.linked {
				t.Errorf("joined to %v, want %d", got, c.linked)
			}
		})
	}
}

func TestAChoiceThatWasCutOffDoublesNothing(t *testing.T) {
	st := newStation(t)
	st.submit(msh("ORU^R01", "1") + pid + orders)
	list, err := st.Waiting()
	if err != nil || len(list) != 1 {
		t.Fatalf("waiting %v, %v", list, err)
	}
	for cut := range 3 { // ids, the mark that it is taken, the list without it
		st.cut(cut, func() {
			if _, err := st.Attach(t.Context(), list[0].ID, Choice{Who: "hoa"}); !errors.Is(err, store.ErrStopped) {
				t.Errorf("cut %d: %v", cut, err)
			}
		})
	}
	if _, err := st.Attach(t.Context(), list[0].ID, Choice{Who: "hoa"}); err != nil {
		t.Error(err)
	}
	if left, _ := st.Waiting(); len(left) != 0 || st.counts() != "Patient 1, DiagnosticReport 1, Observation 1, DocumentReference 1" {
		t.Errorf("%d wait, holds %s", len(left), st.counts())
	}
}

// What was taken for the wrong person waits again, and the dose that was withdrawn stands
// in nobody's way, not even in that of the same person.
func TestWhatWasTakenWaitsAgain(t *testing.T) {
	st := newStation(t)
	st.register("p", `"name":[{"text":"x"}]`)
	text := vxu("1", "079001", "D1")
	day := func() Row {
		t.Helper()
		d, err := st.Day(st.Today())
		if err != nil || len(d.Rows) != 1 {
			t.Fatalf("the day: %+v, %v", d, err)
		}
		return d.Rows[0]
	}
	for round := range 2 {
		if round == 0 {
			st.submit(text)
		}
		list, err := st.Waiting()
		if err != nil || len(list) != 1 || day().Waiting != 1 {
			t.Fatalf("waiting %v, %v; of the day %+v", list, err, day())
		}
		if _, err := st.Attach(t.Context(), list[0].ID, Choice{Person: record.Key{Kind: "Patient", ID: "p"}, Who: "hoa"}); err != nil {
			t.Fatal(err)
		}
		if r := day(); r.Waiting != 0 || r.Taken != round+1 {
			t.Errorf("after it was attached: %+v", r)
		}
		doses := st.all("Immunization")
		if len(doses) != round+1 {
			t.Fatalf("round %d: holds %s", round, st.counts())
		}
		if round > 0 {
			return
		}
		raw, ok := Original(st.all("DocumentReference")[0])
		w, err := st.Back(raw)
		if !ok || err != nil || w.ID != list[0].ID || w.Why != TakenBack {
			t.Fatalf("the message of the document: %t, %+v, %v", ok, w, err)
		}
		st.cut(0, func() {
			if err := st.Return(t.Context(), w); err == nil {
				t.Error("cut off, and nothing is said")
			}
		})
		if err := st.Return(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		now, err := st.s.Get(record.Key{Kind: "Immunization", ID: doses[0].Str("id")})
		if err != nil {
			t.Fatal(err)
		}
		wrong := doses[0].With("status", fhir.NewString(withdrawn))
		if _, err := st.s.Put(t.Context(), store.Write{Key: now.Key, Base: now.Tag(), Content: wrong.Bytes(), Author: "hoa"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyWhatWasTakenHereWaitsAgain(t *testing.T) {
	st := newStation(t)
	other, err := st.o.Keep([]byte(strings.ReplaceAll(vxu("1", "079001", "D1"), "\n", "\r")))
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{"", "nothing", other} {
		if _, err := st.Back(raw); err != ErrNotTaken {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
