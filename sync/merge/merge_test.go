package merge_test

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/merge"
)

var (
	update = flag.Bool("update", false, "write what the drawn histories come to into testdata")
	seed   = flag.Uint64("seed", 0, "the seed of the laws; 0 takes a fixed set of them")
)

var tables = sync.OnceValues(fhir.Load)

func loadR4(t testing.TB) *fhir.R4 {
	t.Helper()
	r4, err := tables()
	if err != nil {
		t.Fatal(err)
	}
	return r4
}

func newMerger(t testing.TB) *merge.Merger {
	t.Helper()
	classes, err := merge.DefaultClasses()
	if err != nil {
		t.Fatal(err)
	}
	return merge.New(loadR4(t), classes)
}

// write is a version as a store makes it: from what is shown, and by what name.
type write struct {
	name      record.Name
	author    string
	stamp     record.Stamp
	content   *fhir.Value
	remove    bool
	decisions []record.Decision
}

// compose makes a version just as the store does. Where old is a preview, head
// and pending are what it was made of.
func compose(r4 *fhir.R4, key record.Key, old, head, pending *record.Version, w write) (*record.Version, error) {
	v := &record.Version{Key: key, Name: w.name, Author: w.author, Stamp: w.stamp, Deleted: w.remove}
	if old == nil {
		tree, err := element.Birth(r4, key, w.content, v.Name)
		if err != nil {
			return nil, err
		}
		v.Seen, v.Content, v.Trace = record.Seen{}.With(v.Name), w.content.Bytes(), tree.Trace(v.Name)
		return v, nil
	}
	v.Seen, v.Base = old.Seen.With(v.Name), old.Ref()
	if old.Name.IsZero() {
		v.Base, v.Includes = head.Ref(), []record.Ref{pending.Ref()}
	}
	tree, err := element.Read(r4, old)
	switch {
	case err != nil || w.remove:
	case len(w.decisions) > 0:
		tree, err = element.Decide(tree, w.decisions, v.Name)
	default:
		tree, err = element.Edit(r4, tree, w.content, v.Name)
	}
	if err != nil {
		return nil, err
	}
	v.Content = tree.Content().Bytes()
	if w.content != nil {
		v.Content = w.content.Bytes()
	}
	v.Trace = tree.Trace(v.Name, old)
	return v, nil
}

// named is a merge as the upstream takes it: with a name of its own.
func named(v *record.Version, name record.Name) *record.Version {
	out := *v
	out.Name, out.Seen = name, v.Seen.With(name)
	return &out
}

// value reads the content of a version.
func value(t testing.TB, v *record.Version) *fhir.Value {
	t.Helper()
	x, err := element.Parse(v.Content)
	if err != nil {
		t.Fatalf("%s: %v\n%s", v.Name, err, v.Content)
	}
	return x
}

// plainOf is a value with the items of all lists sorted, to compare results by.
func plainOf(v *fhir.Value) string {
	switch v.Shape {
	case fhir.Array:
		var items []string
		for _, x := range v.Items {
			items = append(items, plainOf(x))
		}
		slices.Sort(items)
		return "[" + strings.Join(items, ",") + "]"
	case fhir.Object:
		var fields []string
		for _, f := range v.Fields {
			fields = append(fields, f.Name+":"+plainOf(f.Value))
		}
		slices.Sort(fields)
		return "{" + strings.Join(fields, ",") + "}"
	}
	return string(v.Bytes())
}

// sum is what a version comes to for people: its content up to the order of
// lists, what is contested with who set it, and whether it is deleted.
func sum(t testing.TB, v *record.Version) string {
	t.Helper()
	return summed(t, v, value(t, v))
}

// settled is sum without what contested elements show meanwhile: that is base's
// value, and which base depends on who came first.
func settled(t testing.TB, v *record.Version) string {
	t.Helper()
	tree, err := element.Read(loadR4(t), v)
	if err != nil {
		t.Fatal(err)
	}
	tree.Each(func(_ string, r *element.Register) {
		if r.Contested() {
			r.Shown = fhir.NewObject()
		}
	})
	return summed(t, v, tree.Content())
}

func summed(t testing.TB, v *record.Version, content *fhir.Value) string {
	t.Helper()
	out := []string{fmt.Sprint("deleted ", v.Deleted)}
	for _, f := range content.Fields {
		out = append(out, f.Name+": "+plainOf(f.Value))
	}
	for _, c := range v.Conflicts() {
		var values []string
		for _, k := range c.Values {
			x, err := element.Parse(k.Value)
			if err != nil {
				t.Fatal(err)
			}
			var by []string
			for _, w := range k.Writers {
				by = append(by, w.Name.String())
			}
			values = append(values, plainOf(x)+" by "+strings.Join(by, ","))
		}
		slices.Sort(values)
		out = append(out, "contested "+plain(c.Path)+": "+strings.Join(values, " | "))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// differ lists the lines that only one of two sums has; nothing if they are equal.
func differ(got, want string) string {
	var out strings.Builder
	for _, s := range [][3]string{{"got  ", got, want}, {"want ", want, got}} {
		for _, line := range strings.Split(s[1], "\n") {
			if !slices.Contains(strings.Split(s[2], "\n"), line) {
				out.WriteString("\n" + s[0] + line)
			}
		}
	}
	return out.String()
}

// losses are the values that a version lost, sorted.
func losses(v *record.Version) string {
	var out []string
	for _, l := range v.Lost {
		var by []string
		for _, w := range l.By {
			by = append(by, w.Name.String()+" "+w.Author)
		}
		out = append(out, fmt.Sprintf("%s %s %s by %s", plain(l.Path), l.Policy, l.Value, strings.Join(by, ",")))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// lawful holds one merge against the laws that every merge obeys.
func lawful(t testing.TB, m *merge.Merger, base, head, in *record.Version) *record.Version {
	t.Helper()
	r4 := loadR4(t)
	out := merged(t, m, base, head, in)
	other := merged(t, m, base, in, head)
	if diff := differ(sum(t, other)+"\n"+losses(other), sum(t, out)+"\n"+losses(out)); diff != "" {
		t.Errorf("not symmetric:%s", diff)
	}
	if paths(out) != paths(other) && born(head) == born(in) {
		t.Errorf("contested %s, but the other way round %s", paths(out), paths(other))
	}
	if sound := len(r4.Check(value(t, head))) == 0 && len(r4.Check(value(t, in))) == 0; sound {
		if issues := r4.Check(value(t, out)); len(issues) > 0 {
			t.Errorf("merged content is no valid FHIR: %v\n%s", issues, out.Content)
		}
	}
	rewritten(t, out)
	kept(t, head, in, out)
	for _, seen := range []*record.Version{head, in} {
		for _, again := range []*record.Version{merged(t, m, base, out, seen), merged(t, m, base, seen, out), merged(t, m, seen, out, seen)} {
			if diff := differ(sum(t, again), sum(t, out)); diff != "" || len(again.Lost) > 0 {
				t.Errorf("merging with %s, which it has seen, changed it:%s\nlost %s", seen.Name, diff, losses(again))
			}
		}
	}
	if diff := differ(sum(t, merged(t, m, base, out, out)), sum(t, out)); diff != "" {
		t.Errorf("merging it with itself changed it:%s", diff)
	}
	return out
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
	tree, err := element.Read(loadR4(t), v)
	if err != nil {
		t.Fatal(err)
	}
	if got := tree.Content().Bytes(); !fhir.Equal(value(t, v), must(t, got)) {
		t.Errorf("content of %s read and written:\n%s\nwas:\n%s", v.Name, got, v.Content)
	}
	again := tree.Trace(v.Name, v)
	if got, want := fmt.Sprintf("%s", again.Marks), fmt.Sprintf("%s", v.Trace.Marks); got != want && !v.Deleted {
		t.Errorf("marks of %s read and written:\n%s\nwere:\n%s", v.Name, got, want)
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

// kept checks that no value of either side vanished: each is in the result, in
// a conflict, among the lost, or the other side had seen its setter.
func kept(t testing.TB, head, in, out *record.Version) {
	t.Helper()
	r4 := loadR4(t)
	here := map[string]bool{} // setters with their value
	note := func(by record.Name, v *fhir.Value) { here[by.String()+string(fhir.Canonical(v))] = true }
	result, err := element.Read(r4, out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(out.Content)
	result.Each(func(_ string, r *element.Register) {
		for _, a := range r.Alts {
			text += string(a.Value.Bytes())
			for _, by := range a.By {
				note(by, a.Value)
			}
		}
	})
	for _, l := range out.Lost {
		text += string(l.Value)
		for _, by := range l.By {
			note(by.Name, must(t, l.Value))
		}
	}
	check := func(v, other *record.Version) {
		tree, err := element.Read(r4, v)
		if err != nil {
			t.Fatal(err)
		}
		tree.Each(func(path string, r *element.Register) {
			for _, a := range r.Alts {
				// it may be in a list that moves as one now, set by a later one too, or gone with what it was in
				found := element.Absent(a.Value) && element.Absent(result.Shown(path))
				if !element.Absent(a.Value) {
					found = strings.Contains(text, strings.Trim(string(a.Value.Fields[0].Value.Bytes()), "[]"))
				}
				for _, by := range a.By {
					if !other.Seen.Has(by) && !here[by.String()+string(fhir.Canonical(a.Value))] && !found && !strings.HasPrefix(path, "meta/") {
						t.Errorf("%s at %s, set by %s, vanished from %s", a.Value.Bytes(), path, by, text)
					}
				}
			}
		})
	}
	check(head, in)
	check(in, head)
}

var identity = regexp.MustCompile(`\{[^}]*\}`)

// plain is a path without the identities of items.
func plain(path string) string { return identity.ReplaceAllString(path, "") }
