package merge_test

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/merge"
)

// lawful holds one merge against the laws that every merge obeys: it comes to the
// same from either side, and again; merging what it has seen changes nothing; no value
// of either side vanishes, and none is made of parts; it is valid where both sides are.
func lawful(t testing.TB, m *merge.Merger, base, head, in *record.Version) *record.Version {
	t.Helper()
	read := func(v *record.Version) *element.Tree { return tree(t, v) }
	out := joined(t, m, read, base, head, in)
	for i := range repeats {
		repeated(t, m, base, head, in, out, i)
	}
	return out
}

// joined is lawful without what comes of merging again. read reads a version, once for
// those who keep what it read.
func joined(t testing.TB, m *merge.Merger, read func(*record.Version) *element.Tree, base, head, in *record.Version) *record.Version {
	t.Helper()
	r4 := loadR4(t)
	out, other := merged(t, m, base, head, in), merged(t, m, base, in, head)
	if !alike(out, other) {
		if diff := differ(sum(t, other)+"\n"+losses(other), sum(t, out)+"\n"+losses(out)); diff != "" {
			t.Errorf("not symmetric:%s", diff)
		}
	}
	if paths(out) != paths(other) && born(head) == born(in) {
		t.Errorf("contested %s, but the other way round %s", paths(out), paths(other))
	}
	if issues := r4.Check(value(t, out)); len(issues) > 0 && len(r4.Check(value(t, head))) == 0 && len(r4.Check(value(t, in))) == 0 {
		t.Errorf("merged content is no valid FHIR: %v\n%s", issues, out.Content)
	}
	result, sides := tree(t, out), []*element.Tree{read(head), read(in)}
	asWritten(t, out, result)
	kept(t, result, out, sides[0], in)
	kept(t, result, out, sides[1], head)
	if base != nil {
		sides = append(sides, read(base))
	}
	unmixed(t, result, out, sides)
	return out
}

// repeats is how many ways there are to merge again, for repeated.
const repeats = 8

// repeated merges again what a merge has seen, in one of several ways: that must
// change nothing and lose nothing more.
func repeated(t testing.TB, m *merge.Merger, base, head, in, out *record.Version, way int) {
	t.Helper()
	seen := []*record.Version{head, in}[way%2]
	var again *record.Version
	switch way / 2 {
	case 0:
		again = merged(t, m, base, out, seen)
	case 1:
		again = merged(t, m, base, seen, out)
	case 2:
		again = merged(t, m, seen, out, seen)
	default:
		if way%2 == 0 {
			if again = merged(t, m, base, head, in); again.Digest() != out.Digest() {
				t.Errorf("made twice, it came to\n%s\nand\n%s", out.Content, again.Content)
			}
			return
		}
		seen, again = out, merged(t, m, base, out, out)
	}
	if len(again.Lost) > 0 {
		t.Errorf("merging with %s, which it has seen, lost %s", seen.Name, losses(again))
	}
	again.Lost = out.Lost
	if !alike(again, out) {
		if diff := differ(sum(t, again), sum(t, out)); diff != "" {
			t.Errorf("merging with %s, which it has seen, changed it (way %d):%s", seen.Name, way, diff)
		}
	}
}

// asOne are the lists that are contested as one.
func asOne(t testing.TB, v *record.Version) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, c := range v.Conflicts() {
		for _, k := range c.Values {
			if fields := must(t, k.Value).Fields; len(fields) > 0 && fields[0].Value.Shape == fhir.Array {
				out[c.Path] = true
			}
		}
	}
	return out
}

// alike reports, at little cost, whether two versions are the same to the byte; where
// they are not, sum tells whether they differ.
func alike(a, b *record.Version) bool {
	return a.Deleted == b.Deleted && bytes.Equal(a.Content, b.Content) && reflect.DeepEqual(a.Trace.Marks, b.Trace.Marks) && reflect.DeepEqual(a.Lost, b.Lost)
}

func tree(t testing.TB, v *record.Version) *element.Tree {
	t.Helper()
	out, err := element.Read(loadR4(t), v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// unmixed checks that every value in the result, in a conflict and among the lost is
// just as one of the versions had it: a choice of one type, a primitive with its
// sibling, a decimal with its digits, a list or a thing in one as it was or item by item,
// and what has elements of its own element by element.
func unmixed(t testing.TB, result *element.Tree, out *record.Version, from []*element.Tree) {
	t.Helper()
	had := map[string]bool{"{}": true}
	var node func(n *element.Node)
	value := func(typ string, v *fhir.Value) {
		k := string(fhir.Canonical(v))
		if had[k] {
			return
		}
		had[k] = true
		if !element.Absent(v) && v.Fields[0].Value.Shape == fhir.Array { // a list as one may be told apart again
			for _, x := range v.Fields[0].Value.Items {
				had[string(fhir.Canonical(fhir.NewObject(fhir.Field{Name: v.Fields[0].Name, Value: x})))] = true
			}
			apart, err := element.Birth(loadR4(t), record.Key{Kind: typ}, v, record.Name{})
			if err != nil {
				t.Fatal(err)
			}
			node(apart.Root)
		}
	}
	note := func(typ string, r *element.Register) {
		value(typ, r.Shown)
		if r.Contested() {
			for _, a := range r.Alts {
				value(typ, a.Value)
			}
		}
	}
	item := func(s *element.Slot, it *element.Item) {
		note(s.Type, it.Whole(s.Name))
		if it.Node != nil {
			node(it.Node)
		}
	}
	node = func(n *element.Node) {
		for _, s := range n.Slots {
			if s.List() {
				note(s.Type, s.Whole())
				for _, it := range s.Items {
					item(s, it)
				}
			} else {
				item(s, s.Single())
			}
		}
	}
	for _, tree := range from {
		node(tree.Root)
	}
	check := func(what, path string, v *fhir.Value) {
		if v != nil && !had[string(fhir.Canonical(v))] {
			t.Errorf("%s at %s, %s, is of no version: %s", what, path, fhir.Canonical(v), out.Content)
		}
	}
	result.Each(func(path string, r *element.Register) {
		check("shown", path, r.Shown)
		if r.Contested() {
			for _, a := range r.Alts {
				check("a value", path, a.Value)
			}
		}
	})
	for _, l := range out.Lost {
		check("lost", l.Path, must(t, l.Value))
		check("won", l.Path, must(t, l.Won))
	}
}

// born is the version that the record began with.
func born(v *record.Version) record.Name {
	if v.Trace.Born.IsZero() {
		return v.Name
	}
	return v.Trace.Born
}

// paths are those of the open conflicts.
func paths(v *record.Version) string {
	var out []string
	for _, c := range v.Conflicts() {
		out = append(out, c.Path)
	}
	return strings.Join(out, " ")
}

func merged(t testing.TB, m *merge.Merger, base, head, in *record.Version) *record.Version {
	t.Helper()
	o, err := m.Merge(base, head, in)
	if err != nil {
		t.Fatal(err)
	}
	if o.Contested != o.Version.Contested() {
		t.Errorf("contested: %v, but the version says %v", o.Contested, o.Version.Contested())
	}
	return o.Version
}

// rewritten checks that a version reads back as the tree it was written from.
func rewritten(t testing.TB, v *record.Version) {
	t.Helper()
	asWritten(t, v, tree(t, v))
}

func asWritten(t testing.TB, v *record.Version, tree *element.Tree) {
	t.Helper()
	if got := tree.Content().Bytes(); !bytes.Equal(got, v.Content) && !fhir.Equal(value(t, v), must(t, got)) {
		t.Errorf("content of %s read and written:\n%s\nwas:\n%s", v.Name, got, v.Content)
	}
	again := tree.Trace(v.Name, v)
	if !v.Deleted && !reflect.DeepEqual(again.Marks, v.Trace.Marks) {
		if got, want := fmt.Sprintf("%s", again.Marks), fmt.Sprintf("%s", v.Trace.Marks); got != want {
			t.Errorf("marks of %s read and written:\n%s\nwere:\n%s", v.Name, got, want)
		}
	}
	for _, mark := range v.Trace.Marks {
		for _, n := range mark.By {
			if _, ok := v.Trace.Writer(n); !ok && n != v.Name {
				t.Errorf("%s does not tell who wrote %s at %s", v.Name, n, mark.Path)
			}
		}
	}
}

func must(t testing.TB, b []byte) *fhir.Value {
	t.Helper()
	v, err := element.Parse(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return v
}

// kept checks that no value of a side vanished: each is in the result, in a
// conflict, among the lost, or the other side had seen its setter. It may stand in a
// list that moves as one now, or be set by a later setter too.
func kept(t testing.TB, result *element.Tree, out *record.Version, side *element.Tree, other *record.Version) {
	t.Helper()
	type setter struct {
		by    record.Name
		value string
	}
	var here map[setter]bool   // looked for where the other side did not see a setter
	var pieces map[string]bool // every value at any depth
	var note func(v *fhir.Value)
	note = func(v *fhir.Value) {
		pieces[string(fhir.Canonical(v))] = true
		for _, f := range v.Fields {
			note(f.Value)
		}
		for _, x := range v.Items {
			note(x)
		}
	}
	look := func() {
		here = map[setter]bool{}
		result.Each(func(_ string, r *element.Register) {
			for _, a := range r.Alts {
				for _, by := range a.By {
					here[setter{by, string(fhir.Canonical(a.Value))}] = true
				}
			}
		})
		for _, l := range out.Lost {
			for _, by := range l.By {
				here[setter{by.Name, string(fhir.Canonical(must(t, l.Value)))}] = true
			}
		}
	}
	found := func(path string, v *fhir.Value) bool {
		if element.Absent(v) {
			return element.Absent(result.Shown(path))
		}
		if pieces == nil {
			pieces = map[string]bool{}
			note(value(t, out))
			result.Each(func(_ string, r *element.Register) {
				for _, a := range r.Alts {
					note(a.Value)
				}
			})
			for _, l := range out.Lost {
				note(must(t, l.Value))
			}
		}
		return !slices.ContainsFunc(v.Fields, func(f fhir.Field) bool {
			items := []*fhir.Value{f.Value}
			if f.Value.Shape == fhir.Array {
				items = f.Value.Items
			}
			return slices.ContainsFunc(items, func(x *fhir.Value) bool { return !pieces[string(fhir.Canonical(x))] })
		})
	}
	side.Each(func(path string, r *element.Register) {
		for _, a := range r.Alts {
			for _, by := range a.By {
				if other.Seen.Has(by) {
					continue
				}
				if here == nil {
					look()
				}
				if !here[setter{by, string(fhir.Canonical(a.Value))}] && !found(path, a.Value) && !rebuilt(path) {
					t.Errorf("%s at %s, set by %s, vanished from %s", a.Value.Bytes(), path, by, out.Content)
				}
			}
		}
	})
}

// rebuilt reports whether an element is what the store itself says of a version.
func rebuilt(path string) bool {
	field, below := strings.CutPrefix(plain(path), "meta/")
	return below && field != "profile" && field != "tag" && field != "security" && field != "extension"
}

var identity = regexp.MustCompile(`\{[^}]*\}`)

// plain is a path without the identities of items.
func plain(path string) string { return identity.ReplaceAllString(path, "") }
