package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tram/store/record"
	"tram/sync/central"
)

var update = flag.Bool("update", false, "write what people see in the drawn histories into testdata/pages")

// story plays one file of testdata/pages over a real centre and real stations. A line
// is an act:
//
//	mai@a bears 01/02/1961       registers a person, whom all stations get
//	mai@a writes birth 03/02/1961, mai@a writes sex male
//	mai@a decides 03/02/1961     on the conflict in which that value stands
//	program@a puts birthDate 1961-02-03     a program that knows no conflicts, by FHIR
//	exchange a b c               one after the other, each until nothing is left to do
//	see                          the history and what each person sees is told below
//
// Behind "----" stands what "see" told; -update writes it.
type story struct {
	t      *testing.T
	c      *central.Centre
	wards  map[string]*ward
	people []string // "mai@a", in the order in which they are first named
	key    record.Key
	names  map[record.Name]string
	count  map[string]int
	out    strings.Builder
}

func TestWhatPeopleSee(t *testing.T) {
	files, err := filepath.Glob("testdata/pages/*.txt")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d drawn histories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, want, _ := strings.Cut(string(b), "\n----\n")
			got := tell(t, script)
			if *update {
				if err := os.WriteFile(file, []byte(script+"\n----\n"+got), 0o600); err != nil {
					t.Fatal(err)
				}
				want = got
			}
			if got != want {
				t.Errorf("%s: people see otherwise (-update writes it; read it then):\n%s", file, differing(want, got))
			}
		})
	}
}

// differing is where two texts part.
func differing(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			from := max(0, i-3)
			return fmt.Sprintf("line %d\nwant:\n%s\ngot:\n%s", i+1, strings.Join(a[min(from, len(a)):min(i+6, len(a))], "\n"), strings.Join(b[min(from, len(b)):min(i+6, len(b))], "\n"))
		}
	}
	return ""
}

// tell plays a script and returns what its people saw.
func tell(t *testing.T, script string) string {
	acts := regexp.MustCompile(`(?m)^(\w+@\w|exchange|see)\b.*$`).FindAllString(script, -1)
	s := &story{t: t, wards: map[string]*ward{}, names: map[record.Name]string{}, count: map[string]int{}}
	for _, act := range acts {
		if who := strings.Fields(act)[0]; strings.Contains(who, "@") && !strings.HasPrefix(who, "program@") && !slices.Contains(s.people, who) {
			s.people = append(s.people, who)
		}
	}
	c, centre := startCentre(t)
	s.c = c
	for _, who := range s.people {
		user, at, _ := strings.Cut(who, "@")
		if s.wards[at] != nil {
			t.Fatalf("two people at %s", at)
		}
		s.wards[at] = openWard(t, c, centre, "tram-"+at, user)
	}
	for _, act := range acts {
		s.act(strings.Fields(act))
	}
	return s.out.String()
}

func (s *story) act(words []string) {
	s.t.Helper()
	switch {
	case words[0] == "exchange":
		for _, at := range words[1:] {
			s.wards[at].settle()
		}
		return
	case words[0] == "see":
		s.see()
		return
	}
	user, at, _ := strings.Cut(words[0], "@")
	w := s.wards[at]
	switch words[1] {
	case "bears":
		page := w.get(user, "/people/new")
		f := w.filled(page, "/people/new")
		f.Set("name", "Đặng Thị Hoà")
		f.Set("birth", words[2])
		s.saved(w.post(user, "/people/new", f))
		s.key = record.Key{Kind: "Patient", ID: strings.Fields(f.Get("ids"))[0]}
		w.settle()
		for name, other := range s.wards {
			if _, err := s.c.Grant(context.Background(), "tram-"+name, "", []string{s.key.ID}, "admin"); err != nil {
				s.t.Fatal(err)
			}
			other.settle()
		}
	case "writes":
		at := "/person/" + s.key.ID + "/edit"
		f := w.filled(w.get(user, at), at)
		f.Set(words[2], words[3])
		s.saved(w.post(user, at, f))
	case "decides":
		s.decide(w, user, words[2])
	case "puts":
		s.put(w, words[2], words[3])
	default:
		s.t.Fatalf("no such act: %s", words)
	}
}

func (s *story) saved(code int, page string) {
	s.t.Helper()
	if code != http.StatusOK || !strings.Contains(page, "Saved on this PC") {
		s.t.Fatalf("not saved: %d\n%s", code, strings.Join(pageText(page), "\n"))
	}
}

// decide chooses a value on the page of the conflict in which it stands.
func (s *story) decide(w *ward, user, value string) {
	s.t.Helper()
	at := "/conflicts/" + s.key.String()
	for _, form := range w.forms(w.get(user, at), at) {
		m := regexp.MustCompile(`name="choice" value="(\d+)"> ` + regexp.QuoteMeta(html.EscapeString(value)) + `<`).FindStringSubmatch(form)
		if m == nil {
			continue
		}
		f := fieldsOf(form)
		f.Set("choice", m[1])
		if code, page := w.post(user, at, f); code != http.StatusOK || !strings.Contains(page, "Your decision is recorded") {
			s.t.Fatalf("not decided: %d\n%s", code, strings.Join(pageText(page), "\n"))
		}
		return
	}
	s.t.Fatalf("%s is in no conflict at %s", value, w.name)
}

// put replaces an element as a program does that reads a resource, changes it and puts
// it back without a word of what it saw.
func (s *story) put(w *ward, element, value string) {
	s.t.Helper()
	at := running{address: strings.TrimPrefix(w.url, "http://")}
	tok := token(s.t, w.a)
	code, body := askFHIR(s.t, at, tok, http.MethodGet, s.key.String(), "")
	var v map[string]any
	if err := json.NewDecoder(bytes.NewReader([]byte(body))).Decode(&v); err != nil || code != http.StatusOK {
		s.t.Fatalf("%d, %v", code, err)
	}
	v[element] = value
	b, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	if code, body := askFHIR(s.t, at, tok, http.MethodPut, s.key.String(), string(b)); code != http.StatusOK {
		s.t.Fatalf("put: %d %s", code, body)
	}
}

// see tells the history at the centre, and what each person sees at their own
// station: what the start page tells them of it, and the page of the conflict.
func (s *story) see() {
	s.t.Helper()
	fmt.Fprintf(&s.out, "== the history at the centre\n")
	versions, err := s.c.Store().History(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range slices.Backward(versions) {
		s.draw(v)
	}
	for _, who := range s.people {
		user, at, _ := strings.Cut(who, "@")
		w := s.wards[at]
		fmt.Fprintf(&s.out, "\n== %s\n", who)
		for _, line := range pageText(w.get(user, "/people")) {
			if strings.Contains(line, "not used in a merge") || strings.Contains(line, "gave way") {
				fmt.Fprintf(&s.out, "start page: %s\n", line)
			}
		}
		for _, line := range pageText(w.get(user, "/conflicts/"+s.key.String())) {
			fmt.Fprintf(&s.out, "%s\n", line)
		}
	}
	s.out.WriteString("\n")
}

// draw tells one version: what it was made from, and what it shows.
func (s *story) draw(v *record.Version) {
	name := s.names[v.Name]
	if name == "" {
		by := strings.NewReplacer("program:", "program").Replace(v.Author)
		if strings.HasPrefix(by, "program") {
			by = "program"
		}
		s.count[by]++
		name = fmt.Sprintf("%s%d", by, s.count[by])
		s.names[v.Name] = name
	}
	from := s.names[v.Base.Name]
	if len(v.Includes) > 0 {
		all := []string{from}
		for _, ref := range v.Includes {
			all = append(all, s.names[ref.Name])
		}
		from = "merge(" + strings.Join(all, ", ") + ")"
	}
	if from != "" {
		from += " -> "
	}
	var content struct{ BirthDate, Gender string }
	if err := json.Unmarshal(v.Content, &content); err != nil {
		s.t.Fatal(err)
	}
	line := from + name + ": born " + content.BirthDate
	if content.Gender != "" {
		line += ", " + content.Gender
	}
	for _, c := range v.Conflicts() {
		var values []string
		for _, cand := range c.Values {
			var by []string
			for _, w := range cand.Writers {
				by = append(by, s.names[w.Name])
			}
			slices.Sort(by)
			values = append(values, strings.Trim(string(cand.Value), "{}")+" by "+strings.Join(by, ", "))
		}
		slices.Sort(values)
		line += "; contested " + strings.Join(values, " | ")
	}
	fmt.Fprintln(&s.out, line)
}
