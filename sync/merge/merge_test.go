package merge_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/merge"
)

var update = flag.Bool("update", false, "write what the drawn histories come to into testdata")

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
// value, and which base depends on who came first; without security labels: no merge
// removes one, so one stays that upstream had before it heard of its removal; and with
// equal items of a list once: two of them that were added apart may be one.
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
	content := tree.Content()
	if meta := content.Get("meta"); meta != nil {
		if meta = meta.With("security", nil); len(meta.Fields) == 0 {
			meta = nil
		}
		content = content.With("meta", meta)
	}
	return summed(t, v, once(content))
}

// once is a value with the equal items of each list once.
func once(v *fhir.Value) *fhir.Value {
	switch v.Shape {
	case fhir.Array:
		var items []*fhir.Value
		for _, x := range v.Items {
			x = once(x)
			if !slices.ContainsFunc(items, func(have *fhir.Value) bool { return fhir.Equal(have, x) }) {
				items = append(items, x)
			}
		}
		return fhir.NewArray(items...)
	case fhir.Object:
		fields := slices.Clone(v.Fields)
		for i := range fields {
			fields[i].Value = once(fields[i].Value)
		}
		return fhir.NewObject(fields...)
	}
	return v
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
