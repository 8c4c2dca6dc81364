package merge_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
	"tram/sync/merge"
)

var (
	seed  = flag.Uint64("seed", 1, "the first seed of the laws; each history takes the next one")
	cases = flag.Int("cases", 2000, "how many merges are held against the laws at the least")
	data  = flag.String("data", "", "a folder of FHIR JSON files whose resources the laws also begin with")
)

// TestLaws draws histories, each from a seed of its own, until -cases merges in them
// were held against the laws (see lawful). The seed also says where the history begins
// and of which shape it is, so that it comes again by itself.
func TestLaws(t *testing.T) {
	froms, r4, m := sources(t), loadR4(t), newMerger(t)
	shapes := []struct {
		name string
		draw func(t *testing.T, d *drawer)
	}{
		{"orders of arrival", orders}, {"writes over what came down", stations}, {"births that meet", births},
	}
	var mu sync.Mutex
	next, made, failed := *seed, 0, false
	by := map[string]int{} // merges by source and by shape
	turn := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, made < *cases && !failed
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // what a case makes is gone with it
	began := time.Now()
	t.Run("drawn", func(t *testing.T) {
		for worker := range min(runtime.GOMAXPROCS(0), *cases) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for s, more := turn(); more; s, more = turn() {
					r := rand.New(rand.NewPCG(s, 1))
					from, shape := froms[r.IntN(len(froms))], shapes[r.IntN(len(shapes))]
					d := &drawer{t: t, r: r, r4: r4, m: m, from: from, trees: map[*record.Version]*element.Tree{}}
					done := func() {
						mu.Lock()
						defer mu.Unlock()
						if step := max(*cases/20, 1); made/step < (made+d.cases)/step {
							t.Logf("%d cases after %.0f s", made+d.cases, time.Since(began).Seconds())
						}
						made, failed = made+d.cases, failed || t.Failed()
						by[from.name] += d.cases
						by[shape.name] += d.cases
						if t.Failed() {
							t.Logf("again: go test ./sync/merge -run '^TestLaws$' -cases 1 -seed %d%s", s, dataFlag())
						}
					}
					func() {
						defer done()
						shape.draw(t, d)
					}()
					if t.Failed() {
						return
					}
				}
			})
		}
	})
	took := time.Since(began)
	t.Logf("%d cases in %.0f s, %.0f cases/s on %d cores, %d histories from seed %d", made, took.Seconds(), float64(made)/took.Seconds(), runtime.GOMAXPROCS(0), next-*seed, *seed)
	for _, f := range froms {
		t.Logf("%8d begin with %s (%d resources)", by[f.name], f.name, len(f.resources))
	}
	for _, s := range shapes {
		t.Logf("%8d in histories of %s", by[s.name], s.name)
	}
}

func dataFlag() string {
	if *data == "" {
		return ""
	}
	return " -data " + *data
}

// source is where histories begin; without resources they are drawn from R4's structure.
type source struct {
	name      string
	resources [][]byte
}

func sources(t *testing.T) []source {
	out := []source{{"records of the practice station", station()}, {"lists of every sort", [][]byte{[]byte(manyLists)}}, {"resources of any kind, drawn from R4", nil}}
	if *data != "" {
		found := folder(t, *data)
		if len(found) == 0 {
			t.Fatalf("%s holds no FHIR resources", *data)
		}
		out = append(out, source{"resources of " + filepath.Base(*data), found})
	}
	return out
}

// station are the records of a working day, of each kind up to thirty.
func station() [][]byte {
	s := practice.New(7, practice.Options{People: 60})
	kinds := map[string]int{}
	var out [][]byte
	for _, e := range append(s.Shared(), s.Day(0)...) {
		if kinds[e.Kind]++; kinds[e.Kind] <= 30 {
			out = append(out, e.Resource)
		}
	}
	return out
}

// folder reads the valid resources in all JSON files below a folder, those in
// Bundles each by itself.
func folder(t *testing.T, dir string) [][]byte {
	var out [][]byte
	r4 := loadR4(t)
	take := func(b []byte) {
		v, err := fhir.Parse(b, fhir.DefaultLimits())
		if err == nil && v.Shape == fhir.Object && v.Str("id") != "" && len(r4.Check(v)) == 0 {
			out = append(out, v.Bytes())
		}
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var bundle struct {
			Type  string `json:"resourceType"`
			Entry []struct{ Resource json.RawMessage }
		}
		if json.Unmarshal(b, &bundle) != nil || bundle.Type == "" {
			return nil // not FHIR
		}
		if bundle.Type != "Bundle" {
			take(b)
		}
		for _, e := range bundle.Entry {
			take(e.Resource)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const manyLists = `{"resourceType":"Patient","id":"x",
"meta":{"profile":["urn:p"],"tag":[{"system":"urn:t","code":"a"}],"security":[{"system":"urn:s","code":"R"}]},
"text":{"status":"generated","div":"<div>x</div>"},
"contained":[{"resourceType":"Organization","id":"o","name":"O"}],
"extension":[{"url":"urn:e","valueDecimal":1.50},{"url":"urn:e","valueDecimal":2},{"url":"urn:f","valueString":"f"}],
"identifier":[{"system":"urn:id","value":"1"},{"system":"urn:bh","value":"2"},{"value":"3"}],
"name":[{"use":"official","text":"Lan","given":["Lan"],"_given":[{"id":"g"}]},{"use":"nickname","text":"Bi"}],
"telecom":[{"system":"phone","use":"mobile","value":"1"},{"system":"phone","use":"mobile","value":"2"},{"system":"email","value":"3"}],
"gender":"female","birthDate":"1961-02-03","_birthDate":{"id":"b"},"deceasedBoolean":false,"multipleBirthInteger":2,
"address":[{"text":"A"},{"use":"home","text":"B"}],
"contact":[{"relationship":[{"text":"mother"}],"name":{"text":"Mai"},"telecom":[{"system":"phone","value":"9"}]},{"name":{"text":"Ba"},"gender":"male"}],
"communication":[{"language":{"text":"vi"},"preferred":true}],
"managingOrganization":{"reference":"#o"},
"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}`

// orders lets the chains of several stations, made apart, arrive in different
// orders: whole, or version by version. The order does matter where a merge let one
// value win, and not a person, and its own author writes over it later; where a list
// whose items cannot be told apart is contested as one; and where two stations add
// items to one list, which are the same thing for a while: those are left out.
func orders(t *testing.T, d *drawer) {
	u := d.born("u")
	chains := make([][]*record.Version, 2+d.r.IntN(3))
	for i := range chains {
		from := u
		for range 1 + d.r.IntN(3) {
			from = d.write(string(rune('a'+i)), from, nil, nil)
			chains[i] = append(chains[i], from)
		}
	}
	d.addedApart(chains)
	var came [3]string
	for order := range came {
		came[order] = settled(t, d.arrive(u, chains, order > 0))
	}
	for _, other := range came[1:] {
		if diff := differ(d.unordered(other), d.unordered(came[0])); diff != "" {
			t.Errorf("another order came to%s", diff)
		}
	}
}

// addedApart notes the lists to which two stations added items.
func (d *drawer) addedApart(chains [][]*record.Version) {
	by := map[string]string{}
	for _, chain := range chains {
		for _, v := range chain {
			d.read(v).Each(func(path string, _ *element.Register) {
				for _, id := range identity.FindAllString(path, -1) {
					if lineage, _, made := strings.Cut(id[1:], "-"); made {
						at := top(path)
						d.ordered[at] = d.ordered[at] || by[at] != "" && by[at] != lineage
						by[at] = lineage
					}
				}
			})
		}
	}
}

// top is the element of the resource that a path leads into.
func top(path string) string {
	field, _, _ := strings.Cut(plain(path), "/")
	return field
}

// unordered leaves out what may depend on the order.
func (d *drawer) unordered(sum string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(sum, "\n"), func(line string) bool {
		field := strings.FieldsFunc(strings.TrimPrefix(line, "contested "), func(r rune) bool { return r == ':' || r == '/' })[0]
		if e, ok := d.r4.Elem(d.key.Kind, field); ok {
			field = e.Base // the element, also of a sibling and of a type of a choice
		}
		return d.ordered[field] || d.ordered[""] && strings.HasPrefix(line, "deleted ") || strings.HasPrefix(line, "contested meta/security:")
	}), "\n")
}

// arrive plays the chains into upstream's line, in a drawn order.
func (d *drawer) arrive(u *record.Version, chains [][]*record.Version, shuffled bool) *record.Version {
	head, base := u, make([]*record.Version, len(chains))
	next := make([]int, len(chains))
	for left := true; left; {
		left = false
		for k := range chains {
			i := k
			if shuffled {
				i = d.r.IntN(len(chains))
			}
			for next[i] < len(chains[i]) {
				if base[i] == nil {
					base[i] = u
				}
				in := chains[i][next[i]]
				if in.Seen.Covers(head.Seen) {
					head = in
				} else {
					head = d.above(base[i], head, in)
				}
				base[i] = in
				next[i]++
				if shuffled && d.r.IntN(2) == 0 {
					break
				}
			}
			for j := range chains {
				left = left || next[j] < len(chains[j])
			}
		}
	}
	return head
}

// above merges as upstream does.
func (d *drawer) above(base, head, in *record.Version) *record.Version {
	out := named(d.lawful(base, head, in), d.name("m"))
	out.Author, out.Stamp = merge.Author, record.Stamp{Unix: d.clock}
	for _, l := range out.Lost {
		d.ordered[top(l.Path)] = true
	}
	for path := range asOne(d.t, out) {
		d.ordered[top(path)] = true
	}
	return out
}

// stations lets them write over what came down, over previews and decide.
func stations(_ *testing.T, d *drawer) {
	head := d.born("u")
	all := make([]*below, 3)
	for i := range all {
		all[i] = &below{by: string(rune('a' + i)), head: head}
	}
	for range 25 {
		s := all[d.r.IntN(len(all))]
		switch d.r.IntN(3) {
		case 0:
			s.write(d)
		case 1:
			head = s.push(d, head)
		case 2:
			s.head = head
		}
	}
}

// below is a station: what came down, and its own versions since.
type below struct {
	by      string
	head    *record.Version
	pending []*record.Version
	bases   []*record.Version
}

func (s *below) write(d *drawer) {
	old, base, last := s.head, s.head, (*record.Version)(nil)
	if n := len(s.pending); n > 0 {
		if last = s.pending[n-1]; last.Seen.Covers(s.head.Seen) {
			old, base = last, last
		} else if !s.head.Seen.Has(last.Name) {
			old = d.lawful(s.bases[n-1], s.head, last)
		}
	}
	s.pending, s.bases = append(s.pending, d.write(s.by, old, s.head, last)), append(s.bases, base)
}

// push hands in the oldest version that upstream lacks.
func (s *below) push(d *drawer, head *record.Version) *record.Version {
	for i, v := range s.pending {
		switch {
		case head.Seen.Has(v.Name):
		case v.Seen.Covers(head.Seen):
			return v
		default:
			return d.above(s.bases[i], head, v)
		}
	}
	return head
}

// births joins two under one id without base, and goes on.
func births(t *testing.T, d *drawer) {
	a := d.born("a")
	content := value(t, a)
	if d.r.IntN(3) > 0 {
		content = d.edited(content, "b")
	}
	b, err := compose(d.r4, d.key, nil, nil, nil, write{name: d.name("b"), author: "b", stamp: d.stamp(), content: content})
	if err != nil {
		t.Fatal(err)
	}
	b1 := d.write("b", b, nil, nil)
	head := d.above(nil, a, b)
	if d.r.IntN(2) == 0 {
		head = d.write("a", head, nil, nil)
	}
	d.above(b, head, b1)
}
