package merge_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
)

// FuzzMerge merges two contents written over one, of any JSON that has no fields
// but R4's, valid in all else or not, and holds the result against the laws.
func FuzzMerge(f *testing.F) {
	for _, s := range [][3]string{
		{`{"birthDate":"1961-02-01","telecom":[{"value":"a"}]}`, `{"birthDate":"1961-02-03","telecom":[{"value":"a"},{"value":"b"}]}`, `{"telecom":[{"value":"c"}]}`},
		{`{"contact":[{"name":{"text":"a"},"telecom":[{"value":"1"}]}]}`, `{"contact":[{"name":{"text":"a"}}]}`, `{}`},
		{`{"extension":[{"url":"u"},{"url":"u","valueString":"x"}]}`, `{"extension":[{"url":"u","valueString":"y"}]}`, `{"extension":7}`},
		{`{"deceasedBoolean":true,"_deceasedBoolean":{"id":"d"}}`, `{"deceasedDateTime":"2026"}`, `{"deceasedBoolean":null}`},
		{`{"meta":{"security":[{"code":"R"}]},"text":{}}`, `{"meta":[]}`, `{"meta":{},"text":{"div":"x"}}`},
		{`{"contained":[{"id":"a"}],"_contact":1}`, `{"contained":[{"id":"a"},{"id":"a"}]}`, `{"contained":[],"contact":{}}`},
	} {
		f.Add(s[0], s[1], s[2])
	}
	r4, m := loadR4(f), newMerger(f)
	key := record.Key{Kind: "Patient", ID: "x"}
	f.Fuzz(func(t *testing.T, base, a, b string) {
		if len(base)+len(a)+len(b) > 3000 {
			return // the laws look at each pair of values
		}
		var vs [3]*record.Version
		for i, text := range []string{base, a, b} {
			content, err := fhir.Parse([]byte(text), fhir.DefaultLimits())
			if err == nil && content.Shape == fhir.Object {
				content = fhir.NewObject(append([]fhir.Field{
					{Name: "resourceType", Value: fhir.NewString(key.Kind)}, {Name: "id", Value: fhir.NewString(key.ID)}},
					content.With("resourceType", nil).With("id", nil).Fields...)...)
			}
			if err != nil || content.Shape != fhir.Object || slices.ContainsFunc(r4.Check(content), unnamed) {
				return
			}
			by := string(rune('a' + i))
			w := write{name: record.Name{Lineage: record.Lineage(strings.Repeat(by, record.LineageLen)), N: 1}, author: by, content: content}
			if vs[i], err = compose(r4, key, vs[0], nil, nil, w); err != nil {
				t.Fatal(err)
			}
		}
		lawful(t, m, vs[0], vs[1], vs[2])
	})
}

// unnamed says that R4 has no such field: paths are made of fields' names.
func unnamed(i fhir.Issue) bool { return i.Key == fhir.IssueUnknownElement }

// FuzzTrace reads versions whose trace a stranger wrote: they may come to
// anything, but must not stop the program, nor fail to be written again.
func FuzzTrace(f *testing.F) {
	f.Add(`{"contact":[{"name":{"text":"a"}}]}`, `[{"p":"contact{0}/name","by":["aaaaaaaaaaaaaaaa-1"],"alts":[{"v":{},"by":["aaaaaaaaaaaaaaaa-2"]}]}]`)
	f.Add(`{}`, `[{"p":"contact{0}/telecom{x}","by":["aaaaaaaaaaaaaaaa-1"]},{"p":"/{}/","by":["aaaaaaaaaaaaaaaa-1"]}]`)
	f.Add(`{"telecom":[{"value":"a"}]}`, `[{"p":"telecom","items":["0","0"]},{"p":"telecom{0}","by":["aaaaaaaaaaaaaaaa-3"]}]`)
	m := newMerger(f)
	f.Fuzz(func(t *testing.T, content, marks string) {
		v := &record.Version{Key: record.Key{Kind: "Patient", ID: "x"}, Name: record.Name{Lineage: "bbbbbbbbbbbbbbbb", N: 1}, Content: []byte(content)}
		if json.Unmarshal([]byte(marks), &v.Trace.Marks) != nil {
			return // no version at all
		}
		w := *v
		w.Name.N, w.Trace.Marks = 2, nil
		for _, pair := range [][3]*record.Version{{nil, v, &w}, {&w, &w, v}, {v, v, &w}} {
			if out, err := m.Merge(pair[0], pair[1], pair[2]); err == nil && out.Version.Digest().IsZero() {
				t.Errorf("the merge cannot be written: %s %s", out.Version.Content, out.Version.Trace.Marks)
			}
		}
	})
}

// BenchmarkMerge merges edits of different elements of one record: of practice
// records of each kind, and of one that is 2 kB long.
func BenchmarkMerge(b *testing.B) {
	kinds := map[string]bool{}
	var near []byte // to 2 kB
	away := func(r []byte) int { return max(len(r)-2000, 2000-len(r)) }
	st := practice.New(7, practice.Options{People: 600})
	for _, e := range slices.Concat(st.Day(0), st.Day(1), st.Day(2)) {
		mine, _ := practice.EditSafety(e.Resource, 1)
		other, _ := practice.EditAdministrative(e.Resource, 2)
		if mine == nil || other == nil {
			continue
		}
		if near == nil || away(e.Resource) < away(near) {
			near = e.Resource
		}
		if !kinds[e.Kind] && len(e.Resource) >= 1000 {
			kinds[e.Kind] = true
			b.Run(e.Kind, func(b *testing.B) { benchmarkMerge(b, e.Resource) })
		}
	}
	if away(near) > 200 {
		b.Fatalf("the record next to 2 kB has %d bytes", len(near))
	}
	b.Run("2kB", func(b *testing.B) { benchmarkMerge(b, near) })
}

func benchmarkMerge(b *testing.B, resource []byte) {
	r4, m, content := loadR4(b), newMerger(b), must(b, resource)
	mine, _ := practice.EditSafety(resource, 1)
	other, _ := practice.EditAdministrative(resource, 2)
	key := record.Key{Kind: content.Str("resourceType"), ID: content.Str("id")}
	var vs [3]*record.Version
	for i, content := range [][]byte{resource, mine, other} {
		by := string(rune('a' + i))
		w := write{name: record.Name{Lineage: record.Lineage(strings.Repeat(by, record.LineageLen)), N: 1}, author: by, content: must(b, content)}
		var err error
		if vs[i], err = compose(r4, key, vs[0], nil, nil, w); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Merge(vs[0], vs[1], vs[2]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(resource)), "bytes")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "µs/merge")
}
