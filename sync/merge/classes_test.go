package merge_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/sync/merge"
)

// table reads classes.txt as a reader would: element, class and codes.
func table(t *testing.T) [][]string {
	t.Helper()
	b, err := os.ReadFile("classes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			rows = append(rows, f)
		}
	}
	if len(rows) < 100 {
		t.Fatalf("%d rows in classes.txt", len(rows))
	}
	return rows
}

// find follows "Patient.contact.name" into R4.
func find(r4 *fhir.R4, name string) (fhir.Elem, bool) {
	parts := strings.Split(name, ".")
	typ := parts[0]
	if typ == "*" {
		typ = "Patient"
	}
	var found fhir.Elem
	for _, part := range parts[1:] {
		i := slices.IndexFunc(r4.Elems(typ), func(e fhir.Elem) bool { return e.Base == part })
		if i < 0 {
			return found, false
		}
		found = r4.Elems(typ)[i]
		typ = found.TypePath
	}
	return found, len(parts) > 1
}

func TestEveryElementOfTheTableIsInR4(t *testing.T) {
	r4 := loadR4(t)
	for _, row := range table(t) {
		if _, ok := find(r4, row[0]); !ok {
			t.Errorf("R4 has no %s", row[0])
		}
	}
}

func TestEveryKindOfAStationHasClasses(t *testing.T) {
	kinds := strings.Fields(`Patient RelatedPerson Encounter Observation Condition AllergyIntolerance Immunization
		MedicationRequest MedicationStatement Procedure ServiceRequest Task Communication DiagnosticReport
		DocumentReference CarePlan Appointment Consent Flag Organization Practitioner Location`)
	has := map[string]bool{}
	for _, row := range table(t) {
		kind, _, _ := strings.Cut(row[0], ".")
		has[kind] = true
	}
	for _, kind := range kinds {
		if !has[kind] {
			t.Errorf("%s has no class of its own", kind)
		}
	}
}

// An order that lacked a code would leave it to a person for ever; one too many
// is a typing error.
func TestOrdersHoldTheCodesOfTheBinding(t *testing.T) {
	r4 := loadR4(t)
	for _, row := range table(t) {
		e, _ := find(r4, row[0])
		var codes []string
		for _, step := range row[2:] {
			codes = append(codes, strings.Split(step, "|")...)
		}
		slices.Sort(codes)
		switch {
		case len(slices.Compact(slices.Clone(codes))) < len(codes):
			t.Errorf("%s: a code stands twice in %v", row[0], row[2:])
		case row[1] == merge.Monotonic && !slices.Equal(codes, e.Codes):
			t.Errorf("%s: order of %v\nbut R4 has        %v", row[0], codes, e.Codes)
		case row[1] == merge.Safety && e.Codes != nil:
			for _, c := range codes {
				if !slices.Contains(e.Codes, c) {
					t.Errorf("%s: R4 has no code %s", row[0], c)
				}
			}
		case row[1] != merge.Monotonic && row[1] != merge.Safety && len(codes) > 0:
			t.Errorf("%s: %s needs no codes", row[0], row[1])
		}
	}
}

func TestNearestClassHolds(t *testing.T) {
	c, err := merge.DefaultClasses()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ kind, path, want string }{
		{"Patient", "birthDate", merge.Safety},
		{"Patient", "telecom{0}", merge.Administrative},
		{"Patient", "contact{aaaaaaaaaaaaaaaa-1.0}/telecom{0}", merge.Administrative},
		{"Patient", "meta/versionId", merge.Derived},
		{"Patient", "meta/security{0}", merge.Safety},
		{"Patient", "meta/tag{0}", merge.Administrative},
		{"Patient", "text", merge.Derived},
		{"Patient", "contact{0}/text", merge.Administrative},
		{"Patient", "extension{0}", merge.Safety},
		{"Observation", "component{0}/value[x]", merge.AppendOnly},
		{"Observation", "status", merge.Monotonic},
		{"Basic", "code", merge.Safety},
	} {
		if got := c.Of(test.kind, test.path); got.Name != test.want {
			t.Errorf("class of %s.%s: %s, want %s", test.kind, test.path, got.Name, test.want)
		}
	}
}

func TestParseClassesRefuses(t *testing.T) {
	for _, test := range []struct{ table, want string }{
		{"Patient.name", "want element and class"},
		{"Patient safety", "want element and class"},
		{"Patient.name dangerous", "no class"},
		{"Patient.name monotonic a", "needs an order"},
		{"Patient.name safety\nPatient.name derived", "line 2: Patient.name stands twice"},
	} {
		_, err := merge.ParseClasses(test.table)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseClasses(%q): %v, want %q", test.table, err, test.want)
		}
	}
}

// with makes a Merger of one row.
func with(t *testing.T, table string) *merge.Merger {
	t.Helper()
	c, err := merge.ParseClasses(table)
	if err != nil {
		t.Fatal(err)
	}
	return merge.New(loadR4(t), c)
}

func TestCodeOutsideTheOrderStaysContested(t *testing.T) {
	h := newHistory(t, with(t, "Encounter.status monotonic planned in-progress finished"))
	h.run(`U0 = Encounter status=planned class={"code":"AMB"}
U0 -> A status=arrived
U0 -> B status=in-progress
U0 -> C status=finished
M1 = merge U0 A B
  class {"code":"AMB"}
  status "planned"
  contested status: "arrived" by A | "in-progress" by B
M2 = merge U0 M1 C
  class {"code":"AMB"}
  status "planned"
  contested status: "arrived" by A | "finished" by C
  lost status: "in-progress" by B, for "finished", further`)
}

// Two programs with different tables may each have settled the other's value
// away. Then neither is dropped.
func TestTablesThatDisagree(t *testing.T) {
	h := newHistory(t, with(t, "Encounter.status monotonic planned arrived finished"))
	lines := `U0 = Encounter status=planned class={"code":"AMB"}
U0 -> A status=arrived
U0 -> B status=finished
`
	h.run(lines + "M1 = merge U0 A B\n  class {\"code\":\"AMB\"}\n  status \"finished\"\n  lost status: \"arrived\" by A, for \"finished\", further")
	old := with(t, "Encounter.status monotonic planned finished arrived")
	other := named(merged(t, old, h.of("U0"), h.of("A"), h.of("B")), h.name("N1"))
	out := merged(t, with(t, ""), h.of("U0"), h.of("M1"), other)
	if got := h.show(out); !strings.Contains(got, `contested status: "arrived" by A | "finished" by B`) {
		t.Errorf("merged\n%s", got)
	}
}
