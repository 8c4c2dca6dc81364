package intake

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tram/agent/intake/hl7v2"
	"tram/store/fhir"
)

// example reads a worked example of the maps.
func example(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("csv/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTablesComeInByTheirMaps(t *testing.T) {
	st := newStation(t)
	if err := os.Mkdir(filepath.Join(st.drop, "maps"), 0o700); err != nil {
		t.Fatal(err)
	}
	st.put("people.map.toml", example(t, "people.map.toml"))
	st.put("maps/vitals.map.toml", example(t, "vitals.map.toml"))
	st.put("vitals-1.csv", example(t, "vitals.csv"))
	st.settle()
	if e := st.events[0]; e.What != Aside || e.Refusal.Code != "row-unknown" || e.Refusal.Line != 2 || st.counts() != "" {
		t.Fatalf("before anybody is registered: %+v, %s", e, st.counts())
	}
	st.put("people.csv", example(t, "people.csv"))
	st.settle()
	st.put("vitals-1.csv", example(t, "vitals.csv"))
	st.settle()
	if st.counts() != "Patient 2, Observation 3" {
		t.Fatalf("%s: %+v", st.counts(), st.events)
	}
	st.put("vitals-2.csv", example(t, "vitals.csv")+"1003;4/11/2026;8:00;079185000123;;80;\n") // the export grew
	st.put("vitals-3.csv", example(t, "vitals.csv"))
	st.settle()
	if st.counts() != "Patient 2, Observation 4" {
		t.Errorf("the longer table doubles rows: %s", st.counts())
	}
	day, err := st.Day(st.Today())
	if err != nil || len(day.Rows) != 1 || day.Rows[0].Source != Table || day.Rows[0].Taken != 3 || day.Rows[0].Again != 1 || day.Rows[0].Aside != 1 || day.Rows[0].New != 6 || day.Rows[0].Why["row-unknown"] != 1 {
		t.Errorf("the day's report: %+v, %v", day, err)
	}
}

// A number of the device that comes again is the same measurement only where it says the same.
func TestANumberOfATableUsedBeforeLosesNothing(t *testing.T) {
	head, first, _ := strings.Cut(example(t, "vitals.csv"), "\n")
	first, _, _ = strings.Cut(first, "\n") // 1001 with 72 and 37.50
	const one = "1001;3/11/2026;7:30;079185000123;;"
	for _, c := range []struct{ name, row, want string }{
		{"the same", one + "72;37,50", "2026-11-03T07:30 37.50, 2026-11-03T07:30 72"},
		{"less of it", one + "72;", "2026-11-03T07:30 37.50, 2026-11-03T07:30 72"},
		{"another value", one + "80;37,50", "2026-11-03T07:30 37.50, 2026-11-03T07:30 72, 2026-11-03T07:30 80"},
		{"another day", strings.Replace(one, "3/11/2026", "9/12/2027", 1) + "72;", "2026-11-03T07:30 37.50, 2026-11-03T07:30 72, 2027-12-09T07:30 72"},
		{"another hour", strings.Replace(one, "7:30", "16:30", 1) + "72;", "2026-11-03T07:30 37.50, 2026-11-03T07:30 72, 2026-11-03T16:30 72"},
		{"twice in the table", one + "80;\n" + one + "80;", "2026-11-03T07:30 37.50, 2026-11-03T07:30 72, 2026-11-03T07:30 80"},
	} {
		st := newStation(t)
		st.put("people.map.toml", example(t, "people.map.toml"))
		st.put("people.csv", example(t, "people.csv"))
		st.put("a.map.toml", example(t, "vitals.map.toml"))
		st.put("b.map.toml", example(t, "vitals.map.toml"))
		st.settle()
		st.put("a.csv", head+"\n"+first+"\n")
		st.settle()
		st.put("b.csv", head+"\n"+c.row+"\n")
		st.settle()
		var got []string
		for _, v := range st.all("Observation") {
			got = append(got, v.Str("effectiveDateTime")[:len("2006-01-02T15:04")]+" "+v.Str("valueQuantity", "value"))
		}
		slices.Sort(got)
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: got %s, want %s", c.name, text, c.want)
		}
	}
}

// What somebody corrected on the page stays corrected when the export grows.
func TestATableThatGrowsUndoesNoCorrection(t *testing.T) {
	st := newStation(t)
	st.put("people.map.toml", example(t, "people.map.toml"))
	st.put("people.csv", example(t, "people.csv"))
	st.put("vitals.map.toml", example(t, "vitals.map.toml"))
	st.settle()
	st.put("vitals.csv", example(t, "vitals.csv"))
	st.settle()
	st.edit("Observation", func(v *fhir.Value) *fhir.Value {
		return v.With("status", fhir.NewString("entered-in-error")).With("valueQuantity", nil)
	})
	st.put("vitals.csv", example(t, "vitals.csv")+"1003;4/11/2026;8:00;079185000123;;80;\n")
	st.settle()
	var got []string
	for _, v := range st.all("Observation") {
		got = append(got, v.Str("status")+" "+v.Str("valueQuantity", "value"))
	}
	slices.Sort(got)
	if want := []string{"entered-in-error ", "entered-in-error ", "entered-in-error ", "final 80"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestATableIsTakenWholeOrNotAtAll(t *testing.T) {
	people := example(t, "people.csv")
	for _, c := range []struct {
		name, table, text string
		maps              map[string]string
		want              Refusal
	}{
		{"no map", "people.csv", people, nil, Refusal{Code: NoMap}},
		{"a wrong map", "people.csv", people, map[string]string{"people.map.toml": "colour = 1"}, Refusal{Code: "bad-map", Line: 1}},
		{"two maps", "p.csv", people, map[string]string{"maps/a.map.toml": "files = \"p*\"\n" + example(t, "people.map.toml"), "maps/b.map.toml": "files = \"*.csv\"\n" + example(t, "people.map.toml")},
			Refusal{Code: TwoMaps}},
		{"a wrong last row", "people.csv", people + "1,x,31/02/1985,Nam,,\n", map[string]string{"maps/people.map.toml": example(t, "people.map.toml")},
			Refusal{Code: "bad-cell", Line: 4, Path: "Ngày sinh", What: "cell-date"}},
		{"one number for two people", "people.csv", people + "079185000200,Ai Khac,1979,Nam,,\n", map[string]string{"maps/people.map.toml": example(t, "people.map.toml")},
			Refusal{Code: "row-other-name", Line: 4}},
		{"nothing", "people.csv", " \n", nil, Refusal{Code: Empty}},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation(t)
			if err := os.Mkdir(filepath.Join(st.drop, "maps"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.maps {
				st.put(name, text)
			}
			st.put(c.table, c.text)
			st.settle()
			if len(st.events) != 1 || st.events[0].Refusal == nil || st.counts() != "" {
				t.Fatalf("%+v, holds %s", st.events, st.counts())
			}
			got := *st.events[0].Refusal
			if got.Error() != c.want.Error() || got.What != c.want.What {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			note, err := os.ReadFile(filepath.Join(st.drop, "aside", c.table+noteSuffix))
			if err != nil || !strings.Contains(string(note), c.want.Text("vi")) {
				t.Errorf("the note: %s, %v", note, err)
			}
		})
	}
}

func TestEveryWordOfTablesAndMessagesIsThere(t *testing.T) {
	for _, what := range []string{"cell-number", "cell-whole-number", "cell-date", "cell-time", "cell-word", "cell-yes-no"} {
		for _, language := range []string{"vi", "en"} {
			if (&Refusal{Code: "bad-cell", What: what}).Text(language) == (&Refusal{Code: "bad-cell"}).Text(language) {
				t.Errorf("%s has no %s word", what, language)
			}
		}
	}
	for _, what := range hl7v2.Kinds() {
		for _, language := range []string{"vi", "en"} {
			if (&Refusal{Code: "other-message", What: what}).Text(language) == (&Refusal{Code: "other-message"}).Text(language) {
				t.Errorf("%s has no %s word", what, language)
			}
		}
	}
}
