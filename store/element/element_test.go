package element_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"tram/store/element"
	"tram/store/fhir"
	"tram/store/record"
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

var key = record.Key{Kind: "Patient", ID: "x"}

// by names a version: "u" is version 1 of lineage "uuuuuuuuuuuuuuuu".
func by(label string) record.Name {
	return record.Name{Lineage: record.Lineage(strings.Repeat(label, record.LineageLen)), N: 1}
}

func patient(t *testing.T, fields string) *fhir.Value {
	t.Helper()
	v, err := element.Parse([]byte(`{"resourceType":"Patient","id":"x"` + fields + `}`))
	if err != nil {
		t.Fatalf("%v: %s", err, fields)
	}
	return v
}

func birth(t *testing.T, fields string) *element.Tree {
	t.Helper()
	tree, err := element.Birth(loadR4(t), key, patient(t, fields), by("u"))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func edit(t *testing.T, base *element.Tree, fields, who string) *element.Tree {
	t.Helper()
	tree, err := element.Edit(loadR4(t), base, patient(t, fields), by(who))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// traced is each mark on a line, with labels for names.
func traced(tree *element.Tree) string {
	var out []string
	for _, m := range tree.Marks() {
		line := m.Path
		for _, n := range m.By {
			line += " " + n.String()
		}
		for _, a := range m.Alts {
			line += fmt.Sprintf(" %s by %s", a.Value, a.By)
		}
		if m.Items != nil {
			line += " items " + strings.Join(m.Items, ",")
		}
		out = append(out, line)
	}
	text := strings.Join(out, "\n")
	for _, l := range "uabc" {
		text = strings.ReplaceAll(text, by(string(l)).String(), string(l))
	}
	return text
}

func TestEditSaysWhoSetWhat(t *testing.T) {
	for _, test := range []struct{ name, base, edit, want string }{
		{"nothing", `,"gender":"male"`, `,"gender":"male"`, ""},
		{"one element", `,"gender":"male","birthDate":"1961"`, `,"gender":"female","birthDate":"1961"`, "gender a"},
		{"removed", `,"gender":"male"`, ``, "gender a"},
		{"added", ``, `,"gender":"male"`, "gender a"},
		{"sibling", `,"birthDate":"1961"`, `,"birthDate":"1961","_birthDate":{"id":"b"}`, "birthDate a"},
		{"choice", `,"deceasedBoolean":true`, `,"deceasedDateTime":"2026"`, "deceased[x] a"},
		{"digits", `,"extension":[{"url":"u","valueDecimal":1.0}]`, `,"extension":[{"url":"u","valueDecimal":1.00}]`, "extension{0} a"},
		{"item edited in its slot", `,"telecom":[{"system":"phone","value":"1"}]`, `,"telecom":[{"system":"phone","value":"2"}]`, "telecom{0} a"},
		{"item added before", `,"telecom":[{"value":"1"}]`, `,"telecom":[{"value":"2"},{"value":"1"}]`, "telecom items a.0,0\ntelecom{a.0} a"},
		{"items turned round", `,"telecom":[{"value":"1"},{"value":"2"}]`, `,"telecom":[{"value":"2"},{"value":"1"}]`, "telecom items 1,0"},
		{"item removed", `,"telecom":[{"value":"1"},{"value":"2"}]`, `,"telecom":[{"value":"2"}]`, "telecom items 1\ntelecom{0} a"},
		{"list removed", `,"telecom":[{"value":"1"}]`, ``, "telecom{0} a"},
		{"inside an item", `,"contact":[{"name":{"text":"a"},"gender":"male"}]`, `,"contact":[{"name":{"text":"a"},"gender":"other"}]`, "contact{0}/gender a"},
		{"no key, so whole", `,"name":[{"text":"a"}]`, `,"name":[{"text":"b"}]`, "name a"},
		{"no key any more", `,"name":[{"use":"usual","text":"a"}]`, `,"name":[{"text":"a"}]`, "name a"},
		{"ambiguous key", `,"extension":[{"url":"u","valueString":"1"}]`, `,"extension":[{"url":"u","valueString":"2"},{"url":"u","valueString":"3"}]`, "extension a"},
		{"meta is taken apart", `,"meta":{"versionId":"1","security":[{"code":"R"}]}`, `,"meta":{"versionId":"2"}`, "meta/security{0} a\nmeta/versionId a"},
		{"primitive list is one", `,"meta":{"profile":["p"]}`, `,"meta":{"profile":["p","q"]}`, "meta/profile a"},
	} {
		tree := edit(t, birth(t, test.base), test.edit, "a")
		if got := traced(tree); got != test.want {
			t.Errorf("%s: marks\n%s\nwant\n%s", test.name, got, test.want)
		}
		if want := patient(t, test.edit); !fhir.Equal(tree.Content(), want) {
			t.Errorf("%s: content %s, want %s", test.name, tree.Content().Bytes(), want.Bytes())
		}
		reread(t, test.name, tree)
	}
}

// reread checks that what is written of a tree reads as the same tree.
func reread(t *testing.T, name string, tree *element.Tree) *element.Tree {
	t.Helper()
	v := &record.Version{Key: key, Name: by("c"), Content: tree.Content().Bytes(), Trace: tree.Trace(by("c"))}
	again, err := element.Read(loadR4(t), v)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := traced(again), traced(tree); got != want || !fhir.Equal(again.Content(), tree.Content()) {
		t.Errorf("%s: read again\n%s\n%s\nwas\n%s\n%s", name, again.Content().Bytes(), got, tree.Content().Bytes(), want)
	}
	return again
}

// contested is a tree in which an element has the values of two versions.
func contested(t *testing.T, tree *element.Tree, path string, values ...string) *element.Tree {
	t.Helper()
	found := false
	tree.Each(func(p string, r *element.Register) {
		if p != path {
			return
		}
		found, r.Alts = true, nil
		for i, text := range values {
			v, err := element.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			r.Alts = append(r.Alts, element.Alt{Value: v, By: []record.Name{by(string(rune('a' + i)))}})
		}
	})
	if !found {
		t.Fatalf("no element %s", path)
	}
	return tree
}

func TestConflictsOutliveAnyPlainWrite(t *testing.T) {
	const list = `,"contact":[{"name":{"text":"n"},"gender":"male"}],"telecom":[{"system":"phone","value":"1"}]`
	gender := []string{"contact{0}/gender", `{"gender":"female"}`, `{"gender":"other"}`}
	phone := []string{"telecom{0}", `{"telecom":{"system":"phone","value":"2"}}`, `{"telecom":{"system":"phone","value":"3"}}`}
	for _, test := range []struct {
		name string
		open []string
		edit string
	}{
		{"untouched", gender, list},
		{"its value written", gender, strings.Replace(list, "male", "unknown", 1)},
		{"one of its values written", gender, strings.Replace(list, "male", "other", 1)},
		{"its item dropped", gender, `,"gender":"male"`},
		{"its item without it", gender, strings.Replace(list, `,"gender":"male"`, ``, 1)},
		{"its list made one", gender, `,"contact":[{"gender":"male","organization":{"display":"o"}}]`},
		{"the item itself dropped", phone, `,"gender":"male"`},
		{"the item itself in a list made one", phone, `,"telecom":[{"rank":1}]`},
	} {
		base := contested(t, birth(t, list), test.open[0], test.open[1:]...)
		tree := reread(t, test.name, edit(t, base, test.edit, "c"))
		var values []string
		tree.Each(func(_ string, r *element.Register) {
			if r.Contested() {
				for _, a := range r.Alts {
					values = append(values, string(a.Value.Bytes()))
				}
			}
		})
		all := strings.Join(values, " ")
		for _, want := range test.open[1:] {
			if want = want[strings.Index(want, ":")+1 : len(want)-1]; !strings.Contains(all, want) {
				t.Errorf("%s: %s is contested no more, but only %s", test.name, want, all)
			}
		}
		if want := patient(t, test.edit); !fhir.Equal(tree.Content(), want) {
			t.Errorf("%s: content %s, want %s", test.name, tree.Content().Bytes(), want.Bytes())
		}
	}
}

func TestDecide(t *testing.T) {
	for _, test := range []struct{ name, path, value, closes, want, err string }{
		{"all closed", "gender", `{"gender":"other"}`, "ab", "gender c", ""},
		{"one left", "gender", `{"gender":"unknown"}`, "a", `gender b c {"gender":"unknown"} by [c] {"gender":"other"} by [b]`, ""},
		{"equal to the one left", "gender", `{"gender":"other"}`, "a", "gender b c", ""},
		{"nothing", "gender", `{}`, "ab", "gender c", ""},
		{"no such path", "birthDate", `{}`, "", "", "no such element"},
		{"another element too", "gender", `{"gender":"other","active":true}`, "ab", "", "not the element's JSON"},
		{"no object", "gender", `"other"`, "ab", "", "not the element's JSON"},
	} {
		tree := contested(t, birth(t, `,"gender":"male"`), "gender", `{"gender":"female"}`, `{"gender":"other"}`)
		d := record.Decision{Path: test.path, Value: []byte(test.value)}
		for _, l := range test.closes {
			d.Closes = append(d.Closes, by(string(l)))
		}
		tree, err := element.Decide(tree, []record.Decision{d}, by("c"))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v, want %q", test.name, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if got := traced(tree); got != test.want {
			t.Errorf("%s: marks %s, want %s", test.name, got, test.want)
		}
	}
}

func TestPairing(t *testing.T) {
	phone := func(v string) string { return `{"system":"phone","use":"home","value":"` + v + `"}` }
	for _, test := range []struct {
		name, base, fresh string
		want              []string // the base index of each, "" for none
		twins             []string
	}{
		{"equal", phone("1") + "," + phone("2"), phone("2") + "," + phone("1"), []string{"1", "0"}, []string{"1", "0"}},
		{"slot, but no twins", phone("1"), phone("2"), []string{"0"}, []string{""}},
		{"strong key", `{"system":"email","value":"e","rank":1}`, `{"system":"email","value":"e","rank":2}`, []string{"0"}, []string{"0"}},
		{"Element.id", `{"id":"i","value":"1"}`, `{"id":"i","value":"2"}`, []string{"0"}, []string{"0"}},
		{"the slot stands twice", phone("1") + "," + phone("2"), phone("3") + "," + phone("4"), []string{"", ""}, []string{"", ""}},
		{"one of two in a slot", phone("1") + "," + phone("2"), phone("1") + "," + phone("4"), []string{"0", "1"}, []string{"0", ""}},
		{"equal ones are as good as each other", phone("1") + "," + phone("1"), phone("1"), []string{"0"}, []string{"0"}},
	} {
		base := birth(t, `,"telecom":[`+test.base+`]`).Root.Slot("telecom").Items
		fresh := birth(t, `,"telecom":[`+test.fresh+`]`).Root.Slot("telecom").Items
		ids := func(items []*element.Item) (out []string) {
			for _, it := range items {
				if it == nil {
					it = &element.Item{}
				}
				out = append(out, it.ID)
			}
			return out
		}
		if got := ids(element.Pair(loadR4(t), "Patient", base, fresh)); !slices.Equal(got, test.want) {
			t.Errorf("%s: pairs %q, want %q", test.name, got, test.want)
		}
		if got := ids(element.Twins(loadR4(t), "Patient", base, fresh)); !slices.Equal(got, test.twins) {
			t.Errorf("%s: twins %q, want %q", test.name, got, test.twins)
		}
	}
}

func TestShownByPath(t *testing.T) {
	tree := birth(t, `,"gender":"male","contact":[{"name":{"text":"n"}}],"meta":{"tag":[{"code":"t"}]}`)
	for path, want := range map[string]string{
		"gender": `{"gender":"male"}`, "birthDate": `{}`, "contact{0}/name": `{"name":{"text":"n"}}`,
		"contact": `{"contact":[{"name":{"text":"n"}}]}`, "contact{0}": `{"contact":{"name":{"text":"n"}}}`,
		"contact{1}": `{}`, "contact{1}/name": `{}`, "gender/x": `{}`, "meta/tag{0}": `{"tag":{"code":"t"}}`,
	} {
		if got := string(tree.Shown(path).Bytes()); got != want {
			t.Errorf("%s shows %s, want %s", path, got, want)
		}
	}
}
