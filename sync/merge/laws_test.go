package merge_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
	"tram/sync/merge"
)

// runs calls f with seeds of its own: a fixed set, or the one of -seed.
func runs(t *testing.T, n int, f func(t *testing.T, d *drawer)) {
	records := station()
	for i := range n {
		s := uint64(i + 1)
		if *seed != 0 {
			s = *seed
		}
		d := &drawer{t: t, r: rand.New(rand.NewPCG(s, 1)), r4: loadR4(t), m: newMerger(t), records: records}
		f(t, d)
		if t.Failed() {
			t.Fatalf("seed %d: go test ./sync/merge -run '^%s$' -seed %d", s, t.Name(), s)
		}
		if *seed != 0 {
			return
		}
	}
}

// station is what the laws begin with: practice records of each kind, and a
// patient with lists of every sort.
func station() [][]byte {
	s := practice.New(7, practice.Options{People: 60})
	kinds := map[string]int{}
	out := [][]byte{[]byte(manyLists), []byte(manyLists), []byte(manyLists)}
	for _, e := range append(s.Shared(), s.Day(0)...) {
		if kinds[e.Kind]++; kinds[e.Kind] <= 3 {
			out = append(out, e.Resource)
		}
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

// drawer draws histories.
type drawer struct {
	t       *testing.T
	r       *rand.Rand
	r4      *fhir.R4
	m       *merge.Merger
	records [][]byte
	key     record.Key
	clock   int64
	numbers map[string]uint64
	clocked map[string]bool // fields that a clock decided about
}

// born draws a record and its first version.
func (d *drawer) born(by string) *record.Version {
	content := must(d.t, d.records[d.r.IntN(len(d.records))])
	d.key = record.Key{Kind: content.Str("resourceType"), ID: content.Str("id")}
	d.numbers, d.clocked = map[string]uint64{}, map[string]bool{}
	v, err := compose(d.r4, d.key, nil, nil, nil, write{name: d.name(by), author: by, stamp: d.stamp(), content: content})
	if err != nil {
		d.t.Fatal(err)
	}
	return v
}

func (d *drawer) name(by string) record.Name {
	d.numbers[by]++
	return record.Name{Lineage: record.Lineage(strings.Repeat(by, record.LineageLen)), N: d.numbers[by]}
}

func (d *drawer) stamp() record.Stamp {
	d.clock += 1000
	return record.Stamp{Unix: d.clock + d.r.Int64N(9000), Doubt: d.r.IntN(6) == 0}
}

// write draws a plain write, a deletion, a revival or a decision over what is shown.
func (d *drawer) write(by string, old, head, pending *record.Version) *record.Version {
	w := write{name: d.name(by), author: by, stamp: d.stamp()}
	switch open := old.Conflicts(); {
	case old.Deleted:
		w.content = value(d.t, old)
	case len(open) > 0 && d.r.IntN(3) == 0:
		c := open[d.r.IntN(len(open))]
		decided := record.Decision{Path: c.Path, Value: c.Values[d.r.IntN(len(c.Values))].Value}
		for _, k := range c.Values {
			for _, who := range k.Writers {
				if d.r.IntN(5) > 0 {
					decided.Closes = append(decided.Closes, who.Name)
				}
			}
		}
		w.decisions = []record.Decision{decided}
	case d.r.IntN(12) == 0:
		w.remove = true
	default:
		w.content = d.edited(value(d.t, old), by)
	}
	v, err := compose(d.r4, d.key, old, head, pending, w)
	if err != nil {
		d.t.Fatal(err)
	}
	if len(d.r4.Check(value(d.t, v))) > 0 { // the store refuses such a decision
		return d.write(by, old, head, pending)
	}
	rewritten(d.t, v)
	return v
}

// edited draws one to three changes of a valid resource.
func (d *drawer) edited(v *fhir.Value, by string) *fhir.Value {
	for range 1 + d.r.IntN(3) {
		for try := 0; ; try++ {
			next := d.change(v, by)
			if len(d.r4.Check(next)) == 0 {
				v = next
				break
			}
			if try == 50 {
				return v
			}
		}
	}
	return v
}

func (d *drawer) change(v *fhir.Value, by string) *fhir.Value {
	salt := d.r.IntN(1000)*8 + int(by[0]-'a')%8
	edits := []func([]byte, int) ([]byte, string){
		practice.EditAdministrative, practice.EditSafety, practice.EditOther, practice.EditStatus,
	}
	if i := d.r.IntN(10); i < len(edits) {
		if b, element := edits[i](v.Bytes(), salt); element != "" {
			return must(d.t, b)
		}
	}
	return d.within(v, by, 0)
}

// within changes something in an object or below: it removes a field, or an
// item of a list, adds an item, or writes another text.
func (d *drawer) within(v *fhir.Value, by string, depth int) *fhir.Value {
	f := v.Fields[d.r.IntN(len(v.Fields))]
	if f.Name == "resourceType" || f.Name == "id" && depth == 0 || f.Value.Shape == fhir.Null {
		return v
	}
	if d.r.IntN(6) == 0 {
		return v.With(f.Name, nil)
	}
	return v.With(f.Name, d.other(f.Value, by, depth))
}

func (d *drawer) other(v *fhir.Value, by string, depth int) *fhir.Value {
	switch v.Shape {
	case fhir.Object:
		return d.within(v, by, depth+1)
	case fhir.Array:
		i, items := d.r.IntN(len(v.Items)), append([]*fhir.Value(nil), v.Items...)
		switch d.r.IntN(4) {
		case 0:
			items = append(items[:i], items[i+1:]...)
		case 1:
			items = append(items, d.other(items[i], by, depth))
		case 2:
			j := d.r.IntN(len(items))
			items[i], items[j] = items[j], items[i]
		default:
			items[i] = d.other(items[i], by, depth)
		}
		if len(items) == 0 {
			return nil
		}
		return fhir.NewArray(items...)
	case fhir.String:
		return fhir.NewString(fmt.Sprintf("%s%s%d", strings.TrimRight(v.Text, "0123456789abcd"), by, d.r.IntN(9)))
	case fhir.Number:
		return fhir.NewNumber(fmt.Sprint(d.r.IntN(90) + 1))
	}
	return v
}

// TestOrderOfArrivalDoesNotMatter lets the chains of several stations, made
// apart, arrive in different orders: whole, or version by version. Where a clock
// decided between two values, one of which is written over later, the order
// does matter: those fields are left out.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	runs(t, 40, func(t *testing.T, d *drawer) {
		u := d.born("u")
		chains := make([][]*record.Version, 2+d.r.IntN(3))
		for i := range chains {
			from := u
			for range 1 + d.r.IntN(3) {
				from = d.write(string(rune('a'+i)), from, nil, nil)
				chains[i] = append(chains[i], from)
			}
		}
		var came [3]string
		for order := range came {
			came[order] = settled(t, d.arrive(u, chains, order > 0))
		}
		for _, other := range came[1:] {
			if diff := differ(d.unclocked(other), d.unclocked(came[0])); diff != "" {
				t.Errorf("another order came to%s", diff)
			}
		}
	})
}

// unclocked leaves out what a clock decided about.
func (d *drawer) unclocked(sum string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(sum, "\n"), func(line string) bool {
		field := strings.FieldsFunc(strings.TrimPrefix(line, "contested "), func(r rune) bool { return r == ':' || r == '/' })
		return d.clocked[field[0]]
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
	out := named(lawful(d.t, d.m, base, head, in), d.name("m"))
	out.Author, out.Stamp = merge.Author, record.Stamp{Unix: d.clock}
	for _, l := range out.Lost {
		if field, _, _ := strings.Cut(plain(l.Path), "/"); l.Policy == merge.PolicyLater {
			d.clocked[field] = true
		}
	}
	return out
}

// TestEveryMergeIsLawful lets stations write over what came down, over previews
// and decide, and holds every merge on the way against the laws.
func TestEveryMergeIsLawful(t *testing.T) {
	runs(t, 40, func(t *testing.T, d *drawer) {
		head := d.born("u")
		stations := make([]*below, 3)
		for i := range stations {
			stations[i] = &below{by: string(rune('a' + i)), head: head}
		}
		for range 25 {
			s := stations[d.r.IntN(len(stations))]
			switch d.r.IntN(3) {
			case 0:
				s.write(d)
			case 1:
				head = s.push(d, head)
			case 2:
				s.head = head
			}
		}
	})
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
			old = lawful(d.t, d.m, s.bases[n-1], s.head, last)
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

// TestBirthsMeet joins two births under one id without base, and goes on.
func TestBirthsMeet(t *testing.T) {
	runs(t, 40, func(t *testing.T, d *drawer) {
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
	})
}
