package practice_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/store/fhir"
	"tram/store/practice"
)

func TestSameSeedSameBytes(t *testing.T) {
	a, b, other := practice.New(7, practice.Options{}), practice.New(7, practice.Options{}), practice.New(8, practice.Options{})
	b.Edits(3, 10) // the order of calls changes nothing
	for n := range 4 {
		x, y, z := a.Day(n), b.Day(n), other.Day(n)
		if len(x) != len(y) {
			t.Fatalf("day %d: %d and %d records from one seed", n, len(x), len(y))
		}
		for i := range x {
			if !bytes.Equal(x[i].Resource, y[i].Resource) {
				t.Fatalf("day %d, record %d differs under one seed:\n%s\n%s", n, i, x[i].Resource, y[i].Resource)
			}
		}
		if bytes.Equal(x[0].Resource, z[0].Resource) {
			t.Errorf("day %d begins alike under two seeds: %s", n, x[0].Resource)
		}
	}
	x, y := a.Edits(2, 40), b.Edits(2, 40)
	if len(x) != 40 || len(y) != 40 {
		t.Fatalf("%d and %d edits, want 40", len(x), len(y))
	}
	for i := range x {
		if !bytes.Equal(x[i].New, y[i].New) {
			t.Errorf("edit %d differs under one seed:\n%s\n%s", i, x[i].New, y[i].New)
		}
	}
}

// TestRecordsAreR4 checks all that a station writes: structure, ids and the
// references among them.
func TestRecordsAreR4(t *testing.T) {
	r4, err := fhir.Load()
	if err != nil {
		t.Fatal(err)
	}
	references := regexp.MustCompile(`"reference":"([^"]+)"`)
	for seed := range uint64(2) {
		s := practice.New(seed, practice.Options{})
		known := map[string]bool{}
		take := func(e practice.Entry) {
			key := e.Kind + "/" + e.ID
			if known[key] {
				t.Errorf("seed %d: %s twice", seed, key)
			}
			known[key] = true
			check(t, r4, e.Kind, e.Resource)
			var head struct{ ResourceType, ID string }
			if err := json.Unmarshal(e.Resource, &head); err != nil || head.ResourceType != e.Kind || head.ID != e.ID {
				t.Errorf("seed %d: entry %s holds %s/%s (%v)", seed, key, head.ResourceType, head.ID, err)
			}
			for _, match := range references.FindAllSubmatch(e.Resource, -1) {
				if ref := string(match[1]); !known[ref] {
					t.Errorf("seed %d: %s refers to %s, which is not written yet", seed, key, ref)
				}
			}
			if e.Patient != "" && !known["Patient/"+e.Patient] {
				t.Errorf("seed %d: %s belongs to Patient/%s, who is not written yet", seed, key, e.Patient)
			}
			if e.Author == "" {
				t.Errorf("seed %d: %s has no author", seed, key)
			}
		}
		for _, e := range s.Shared() {
			take(e)
		}
		kinds, patients := map[string]bool{}, map[string][]byte{}
		for n := range 22 {
			day := s.Day(n)
			if len(day) < 300 || len(day) > 360 {
				t.Errorf("seed %d, day %d: %d records, want about 330", seed, n, len(day))
			}
			for _, e := range day {
				take(e)
				kinds[e.Kind] = true
				if e.Kind == "Patient" {
					patients[e.ID] = e.Resource
				}
			}
		}
		for _, kind := range strings.Fields("Patient RelatedPerson Encounter Observation Condition MedicationRequest Immunization AllergyIntolerance CarePlan ServiceRequest DiagnosticReport Procedure Appointment Task Communication DocumentReference Flag Consent") {
			if !kinds[kind] {
				t.Errorf("seed %d: no %s in 22 days", seed, kind)
			}
		}
		for i := range s.People() {
			person := s.Person(i)
			check(t, r4, "Patient", person.Resource)
			if first, ok := patients[person.ID]; ok && !bytes.Equal(first, person.Resource) {
				t.Errorf("seed %d: person %d is not the Patient that a day wrote:\n%s\n%s", seed, i, person.Resource, first)
			}
		}
		for n := range 6 {
			for _, e := range s.Edits(n, 60) {
				check(t, r4, e.Kind, e.New)
			}
		}
	}
}

func check(t *testing.T, r4 *fhir.R4, kind string, resource []byte) {
	t.Helper()
	v, err := fhir.Parse(resource, fhir.DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v\n%s", kind, err, resource)
	}
	for _, issue := range r4.Check(v) {
		t.Errorf("%s: %+v\n%s", kind, issue, resource)
	}
}

func TestCallerGivesIDsAndStart(t *testing.T) {
	n := 0
	s := practice.New(1, practice.Options{People: 60, Commune: "Xã Thử", Start: time.Date(2027, 3, 6, 23, 0, 0, 0, time.UTC),
		NewID: func() string { n++; return fmt.Sprintf("abc-%d", n) }})
	if got, want := s.Date(0).Format(time.RFC3339), "2027-03-08T00:00:00+07:00"; got != want {
		t.Errorf("a start on a Saturday: first day %s, want the Monday %s", got, want)
	}
	if got, want := s.Date(7).Format(time.DateOnly), "2027-03-17"; got != want {
		t.Errorf("working day 7 is %s, want %s", got, want)
	}
	if got, want := s.Name(), "Trạm Y tế Xã Thử"; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	for _, e := range slices.Concat(s.Shared(), s.Day(0), s.Day(1)) {
		if !strings.HasPrefix(e.ID, "abc-") {
			t.Fatalf("%s/%s: id is not the caller's", e.Kind, e.ID)
		}
	}
	users := map[string]bool{}
	for _, m := range s.Staff() {
		users[m.User] = true
		if !regexp.MustCompile(`^[a-z]+\.[a-z]+$`).MatchString(m.User) {
			t.Errorf("user name %q of %s", m.User, m.Name)
		}
	}
	for _, e := range s.Day(1) {
		if !users[e.Author] {
			t.Errorf("%s/%s: author %q is none of the staff", e.Kind, e.ID, e.Author)
		}
	}
	if len(users) != 6 {
		t.Errorf("%d users, want 6", len(users))
	}
}

func TestPeopleLookLikeACommune(t *testing.T) {
	for seed := range uint64(2) {
		s := practice.New(seed, practice.Options{People: 5000})
		names, surnames := map[string]int{}, map[string]int{}
		women, young, old := 0, 0, 0
		for i := range s.People() {
			var p struct {
				Name              []struct{ Text, Family string }
				Gender, BirthDate string
			}
			if err := json.Unmarshal(s.Person(i).Resource, &p); err != nil {
				t.Fatal(err)
			}
			names[p.Name[0].Text+p.BirthDate]++
			surnames[p.Name[0].Family]++
			if p.Gender == "female" {
				women++
			}
			if p.BirthDate > "2011-01-05" {
				young++
			}
			if p.BirthDate < "1961-01-05" {
				old++
			}
		}
		for name, n := range map[string][3]int{"women": {women, 48, 53}, "under 15": {young, 19, 29}, "over 64": {old, 6, 13}} {
			if share := n[0] * 100 / 5000; share < n[1] || share > n[2] {
				t.Errorf("seed %d: %d %% %s, want %d to %d", seed, share, name, n[1], n[2])
			}
		}
		if len(names) < 4990 {
			t.Errorf("seed %d: %d people of 5000 differ by name and birth date", seed, len(names))
		}
		if len(surnames) < 40 {
			t.Errorf("seed %d: %d surnames", seed, len(surnames))
		}
	}
}

// TestDaysAndReturns: visits lie within the hours of the station, and who is
// ill for long comes back about each month.
func TestDaysAndReturns(t *testing.T) {
	s := practice.New(9, practice.Options{People: 500}) // few enough that nobody waits long
	last := map[string]time.Time{}
	gaps := map[int]int{}
	for n := range 45 {
		date := s.Date(n)
		for _, e := range s.Day(n) {
			var visit struct {
				Type   []struct{ Text string }
				Period struct{ Start time.Time }
			}
			if e.Kind != "Encounter" {
				continue
			}
			if err := json.Unmarshal(e.Resource, &visit); err != nil {
				t.Fatalf("%v\n%s", err, e.Resource)
			}
			if at := visit.Period.Start.Sub(date); at < 7*time.Hour || at > 17*time.Hour {
				t.Errorf("day %d: a visit begins at %s", n, visit.Period.Start)
			}
			if !strings.HasPrefix(visit.Type[0].Text, "Tái khám") {
				continue
			}
			if before, ok := last[e.Patient]; ok {
				gaps[int(visit.Period.Start.Sub(before).Hours()/24)]++
			}
			last[e.Patient] = visit.Period.Start
		}
	}
	monthly, all := 0, 0
	for days, n := range gaps {
		all += n
		if days >= 24 && days <= 40 {
			monthly += n
		}
	}
	if all < 100 || monthly*10 < all*8 {
		t.Errorf("%d of %d returns are monthly: %v", monthly, all, gaps)
	}
}

func TestDecimalsKeepTheirDigits(t *testing.T) {
	s := practice.New(3, practice.Options{})
	for code, form := range map[string]string{"8310-5": `^\d\d\.\d$`, "29463-7": `^\d+\.\d\d$`, "8302-2": `^\d+\.\d$`, "15074-8": `^\d+\.\d\d$`, "8867-4": `^\d+$`} {
		seen, zeros := 0, 0
		coded := regexp.MustCompile(`"code":"` + code + `".*?"value":([0-9.]+)`)
		for n := range 8 {
			for _, e := range s.Day(n) {
				value := coded.FindSubmatch(e.Resource)
				if e.Kind != "Observation" || value == nil {
					continue
				}
				seen++
				if !regexp.MustCompile(form).Match(value[1]) {
					t.Errorf("%s: value %s, want %s", code, value[1], form)
				}
				if bytes.HasSuffix(value[1], []byte("0")) {
					zeros++
				}
			}
		}
		if seen < 15 || zeros == 0 {
			t.Errorf("%s: %d values, %d end in 0", code, seen, zeros)
		}
	}
}

func TestADayIsNotTrivial(t *testing.T) {
	s := practice.New(5, practice.Options{})
	for n := range 6 {
		sum := practice.Summarize(s.Day(n))
		t.Logf("day %d: %s", n, sum)
		if bits := sum.Entropy(); bits < 500 || bits > 1500 {
			t.Errorf("day %d: %.0f bits a record", n, bits)
		}
		if mean := sum.Raw / sum.Records; mean < 700 || mean > 1500 {
			t.Errorf("day %d: %d bytes a record", n, mean)
		}
	}
	one := s.Day(0)[:1]
	same := slices.Repeat(one, 330)
	if bits := practice.Entropy(same); bits > 100 {
		t.Errorf("330 times one record: %.0f bits a record", bits)
	}
	if bits := practice.Entropy(nil); bits != 0 {
		t.Errorf("no records: %.0f bits", bits)
	}
}

func TestIdentifyingStringsAreInTheRecords(t *testing.T) {
	s := practice.New(11, practice.Options{})
	var all strings.Builder
	for n := range 5 {
		for _, e := range s.Day(n) {
			all.Write(e.Resource)
		}
	}
	for i := range s.People() {
		all.Write(s.Person(i).Resource)
	}
	strs := s.Identifying()
	if len(strs) < 500 {
		t.Errorf("%d strings, want 500", len(strs))
	}
	text := all.String()
	missing := 0
	for name, form := range map[string]string{"personal number": `^099\d{9}$`, "telephone": `^0\d{9}$`, "insurance number": `^[A-Z]{2}\d{13}$`,
		"birth date": `^\d{4}-\d\d-\d\d$`, "name": `^\p{Lu}\p{L}+( \p{L}+)+$`, "note": `\.$`} {
		if !slices.ContainsFunc(strs, regexp.MustCompile(form).MatchString) {
			t.Errorf("no %s among the identifying strings", name)
		}
	}
	for i, one := range strs {
		if i%8 > 0 {
			continue
		}
		if len(one) < 8 {
			t.Errorf("%q is too short to mean a person", one)
		}
		if !strings.Contains(text, one) {
			missing++ // letters hold theirs in base64; newborns may not have come yet
		}
	}
	if missing > len(strs)/8/50 {
		t.Errorf("%d of %d strings are in no record", missing, len(strs)/8)
	}
}

func BenchmarkDay(b *testing.B) {
	s := practice.New(1, practice.Options{})
	n, size := 0, 0
	for b.Loop() {
		for _, e := range s.Day(n) {
			size += len(e.Resource)
		}
		n++
	}
	b.SetBytes(int64(size / n))
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		practice.New(1, practice.Options{})
	}
}

func ExampleSummarize() {
	s := practice.New(1, practice.Options{})
	day := practice.Summarize(s.Day(0))
	visits := 0
	for _, k := range day.Kinds {
		if k.Kind == "Encounter" {
			visits = k.Records
		}
	}
	fmt.Println(s.Name())
	fmt.Printf("%d visits, some %d00 records of %.1f kbit\n", visits, (day.Records+50)/100, day.Entropy()/1000)
	// Output:
	// Trạm Y tế Xã Cư Suê Đông
	// 40 visits, some 300 records of 0.7 kbit
}
