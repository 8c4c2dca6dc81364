package merge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/merge"
)

// The files in testdata draw histories, and what comes of them. A line is
//
//	== title                        a new history
//	U0 = Patient birthDate=1961-02-03 phone=a,b   a birth
//	U0 -> A -birthDate gender=male  A is a plain write over U0
//	U0 -> B delete
//	M1 -> D decide birthDate=1961-02-04 closes A,B   a decision; without "closes" it closes all
//	M1 = merge U0 A B               upstream's merge of base, head and incoming; "-" for no base
//	M1 = orphan A P3                upstream's merge of head and incoming, whose base is lost
//	S = preview U0 A B              the same as a station shows it; it has no name
//	M2 = reopen M1                  upstream takes a deletion back
//
// with by:author, at:seconds, off:seconds and doubt for the stamp. What the
// version shows stands indented beneath. -update writes it; read it then. There are
// at least sixty, and each class decides in some of them.
func TestDrawnHistories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files of drawn histories, %v", len(files), err)
	}
	m, drawn, decided := newMerger(t), 0, map[string]map[string]bool{} // class, then history
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for i, history := range strings.Split(string(b), "== ") {
			title, lines, _ := strings.Cut(history, "\n")
			if i == 0 {
				out.WriteString(history)
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+title, func(t *testing.T) {
				got := "== " + history // what it was, should it fail
				defer func() { out.WriteString(got) }()
				h := newHistory(t, m)
				got = fmt.Sprintf("== %s\n%s", title, h.run(lines))
				drawn++
				for class := range h.decided {
					if decided[class] == nil {
						decided[class] = map[string]bool{}
					}
					decided[class][title] = true
				}
			})
		}
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if drawn < 60 {
		t.Errorf("%d drawn histories, want 60", drawn)
	}
	for _, class := range []string{merge.Derived, merge.Administrative, merge.Monotonic, merge.AppendOnly, merge.Safety} {
		if len(decided[class]) < 3 {
			t.Errorf("the class %s decides in %d drawn histories, want 3", class, len(decided[class]))
		}
	}
}

type history struct {
	t       *testing.T
	r4      *fhir.R4
	m       *merge.Merger
	key     record.Key
	clock   int64
	made    map[string]*record.Version
	preview map[string][2]*record.Version // head and pending of it
	labels  map[string]string             // by name
	classes *merge.Classes
	decided map[string]bool // classes that decided what became contested or lost
}

func newHistory(t *testing.T, m *merge.Merger) *history {
	classes, err := merge.DefaultClasses()
	if err != nil {
		t.Fatal(err)
	}
	return &history{t: t, r4: loadR4(t), m: m, classes: classes, decided: map[string]bool{},
		made: map[string]*record.Version{}, preview: map[string][2]*record.Version{}, labels: map[string]string{}}
}

// run plays the lines and returns them with what came of them.
func (h *history) run(text string) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out.WriteString(line + "\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		v := h.step(line)
		if h.t.Failed() {
			h.t.Logf("at: %s", line)
		}
		want := i + 1
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
		}
		got := h.show(v)
		if *update {
			if i >= want || len(v.Includes) > 0 {
				out.WriteString(got)
			}
			continue
		}
		if w := strings.Join(append(lines[want:i+1:i+1], ""), "\n"); (w != "" || len(v.Includes) > 0) && w != got {
			h.t.Errorf("%s\ngot\n%swant\n%s", line, got, w)
		}
	}
	return strings.TrimRight(out.String(), "\n") + "\n\n"
}

func (h *history) step(line string) *record.Version {
	words := tokens(line)
	switch {
	case len(words) > 5 && words[1] == "=" && (words[2] == "merge" || words[2] == "preview"):
		return h.merge(words[0], words[2] == "preview", words[3], words[4], words[5])
	case len(words) == 5 && words[1] == "=" && words[2] == "orphan":
		v := h.merge(words[0], false, "-", words[3], words[4])
		out, err := h.m.Orphan(h.of(words[3]), h.of(words[4]))
		if err != nil {
			h.t.Fatal(err)
		}
		v.Lost = out.Version.Lost // the laws hold without what gave way on the way
		return v
	case len(words) == 4 && words[1] == "=" && words[2] == "reopen":
		v := named(merge.Reopen(h.of(words[3])), h.name(words[0]))
		rewritten(h.t, v)
		h.made[words[0]] = v
		return v
	case len(words) > 2 && words[1] == "=":
		h.key = record.Key{Kind: words[2], ID: "x"}
		return h.write(words[0], "", fhir.NewObject(
			fhir.Field{Name: "resourceType", Value: fhir.NewString(h.key.Kind)},
			fhir.Field{Name: "id", Value: fhir.NewString(h.key.ID)}), words[3:])
	case len(words) > 2 && words[1] == "->":
		return h.write(words[2], words[0], must(h.t, h.of(words[0]).Content), words[3:])
	}
	h.t.Fatalf("no such line: %s", line)
	return nil
}

// tokens splits a line at spaces outside of JSON.
func tokens(line string) []string {
	var out []string
	depth, quoted, from := 0, false, -1
	for i, r := range line + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '{' || r == '[':
			depth++
		case r == '}' || r == ']':
			depth--
		case r == ' ' && depth == 0 && from >= 0:
			out, from = append(out, line[from:i]), -1
			continue
		}
		if r != ' ' && from < 0 {
			from = i
		}
	}
	return out
}

func (h *history) of(label string) *record.Version {
	if label == "-" {
		return nil
	}
	v := h.made[label]
	if v == nil {
		h.t.Fatalf("no version %s", label)
	}
	return v
}

func (h *history) merge(label string, preview bool, base, head, in string) *record.Version {
	v := lawful(h.t, h.m, h.of(base), h.of(head), h.of(in))
	for _, c := range v.Conflicts() {
		h.decided[h.classes.Of(h.key.Kind, c.Path).Name] = true
	}
	for _, l := range v.Lost {
		if l.Path != "" { // of a deletion no class decides
			h.decided[h.classes.Of(h.key.Kind, l.Path).Name] = true
		}
	}
	if preview {
		h.preview[label] = [2]*record.Version{h.of(head), h.of(in)}
	} else {
		v = named(v, h.name(label))
	}
	h.clock++
	v.Stamp = record.Stamp{Unix: h.clock * 1000}
	h.made[label] = v
	return v
}

// name makes "P1" a number of the lineage "pppppppppppppppp".
func (h *history) name(label string) record.Name {
	n, err := strconv.ParseUint("0"+label[1:], 10, 8)
	if err != nil {
		h.t.Fatalf("no label: %s", label)
	}
	out := record.Name{Lineage: record.Lineage(strings.Repeat(strings.ToLower(label[:1]), record.LineageLen)), N: 100 + n}
	h.labels[out.String()] = label
	return out
}

func (h *history) write(label, from string, content *fhir.Value, words []string) *record.Version {
	h.clock++
	w := write{name: h.name(label), author: strings.ToLower(label[:1]), stamp: record.Stamp{Unix: h.clock * 1000}}
	decide, closes := false, []record.Name{}
	for i, word := range words {
		if i > 0 && words[i-1] == "closes" {
			for _, l := range strings.Split(word, ",") {
				closes = append(closes, h.name(l))
			}
			continue
		}
		option, arg, _ := strings.Cut(word, ":")
		field, val, isField := strings.Cut(word, "=")
		seconds := func() int64 { n, _ := strconv.ParseInt(arg, 10, 32); return n * 1000 }
		switch {
		case word == "delete":
			w.remove = true
		case word == "decide":
			decide = true
		case word == "doubt":
			w.stamp.Doubt = true
		case word == "closes":
		case !isField && option == "by":
			w.author = arg
		case !isField && option == "at":
			w.stamp.Unix = seconds()
		case !isField && option == "off":
			w.stamp.Offset = seconds()
		case strings.HasPrefix(word, "-"):
			content = content.With(word[1:], nil)
		case isField && decide:
			w.decisions = append(w.decisions, h.decision(from, field, val))
		case isField:
			field, x := h.field(field, val)
			content = content.With(field, x)
		default:
			h.t.Fatalf("no such word: %s", word)
		}
	}
	if len(closes) > 0 {
		for i := range w.decisions {
			w.decisions[i].Closes = closes
		}
	}
	if !w.remove && !decide {
		w.content = content
	}
	v, err := compose(h.r4, h.key, h.made[from], h.preview[from][0], h.preview[from][1], w)
	if err != nil {
		h.t.Fatalf("%s: %v", label, err)
	}
	if issues := h.r4.Check(value(h.t, v)); len(issues) > 0 {
		h.t.Fatalf("%s is no valid FHIR: %v", label, issues)
	}
	rewritten(h.t, v)
	h.made[label] = v
	return v
}

// field reads one value: JSON, a bare string, or telephone numbers for "phone".
func (h *history) field(name, text string) (string, *fhir.Value) {
	if name == "phone" {
		var items []*fhir.Value
		for _, n := range strings.Split(text, ",") {
			items = append(items, must(h.t, fmt.Appendf(nil, `{"system":"phone","use":"mobile","value":%q}`, n)))
		}
		return "telecom", fhir.NewArray(items...)
	}
	if !json.Valid([]byte(text)) {
		return name, fhir.NewString(text)
	}
	return name, must(h.t, fmt.Appendf(nil, `{"x":%s}`, text)).Get("x")
}

// decision reads "birthDate=1961-02-03", "deceased[x]={…its fields…}" or, for
// nothing, "birthDate=". It closes every setter that its path has.
func (h *history) decision(from, path, text string) record.Decision {
	path = label.ReplaceAllStringFunc(path, func(s string) string { return "{" + h.name(s[1:len(s)-1]).String() + "." })
	d := record.Decision{Path: path, Value: json.RawMessage(text)}
	field := path[strings.LastIndexByte(path, '/')+1:]
	if field, _, _ = strings.Cut(field, "{"); text == "" {
		d.Value = json.RawMessage("{}")
	} else if !strings.HasSuffix(field, "[x]") {
		_, x := h.field(field, text)
		d.Value = fhir.NewObject(fhir.Field{Name: field, Value: x}).Bytes()
	}
	for _, c := range h.of(from).Conflicts() {
		for _, k := range c.Values {
			for _, w := range k.Writers {
				if c.Path == path {
					d.Closes = append(d.Closes, w.Name)
				}
			}
		}
	}
	return d
}

var (
	label = regexp.MustCompile(`\{[A-Z][0-9]?\.`)
	name  = regexp.MustCompile(`([a-z])[a-z]{15}-1(\d\d)`)
)

// show writes what a version shows: its fields, what is contested, what it lost.
func (h *history) show(v *record.Version) string {
	var out []string
	for _, f := range value(h.t, v).Fields {
		if f.Name != "resourceType" && f.Name != "id" {
			out = append(out, fmt.Sprintf("  %s %s", f.Name, f.Value.Bytes()))
		}
	}
	slices.Sort(out)
	if v.Deleted {
		out = append(out, "  deleted")
	}
	for _, c := range v.Conflicts() {
		var values []string
		for _, k := range c.Values {
			var by []string
			for _, w := range k.Writers {
				by = append(by, w.Name.String())
			}
			values = append(values, bare(k.Value)+" by "+strings.Join(by, ","))
		}
		out = append(out, fmt.Sprintf("  contested %s: %s", c.Path, strings.Join(values, " | ")))
	}
	for _, l := range v.Lost {
		var by []string
		for _, w := range l.By {
			by = append(by, w.Name.String())
		}
		out = append(out, strings.Join(strings.Fields(fmt.Sprintf("  lost %s: %s by %s, for %s, %s",
			l.Path, bare(l.Value), strings.Join(by, ","), bare(l.Won), l.Policy)), " "))
		out[len(out)-1] = "  " + out[len(out)-1]
	}
	return name.ReplaceAllStringFunc(strings.Join(append(out, ""), "\n"), func(s string) string {
		if l := h.labels[s]; l != "" {
			return l
		}
		return s
	})
}

// bare is an element's value without the object round it.
func bare(v json.RawMessage) string {
	x, err := fhir.Parse(v, fhir.DefaultLimits())
	switch {
	case err != nil || len(x.Fields) > 1:
		return string(v)
	case len(x.Fields) == 0:
		return "nothing"
	}
	return string(x.Fields[0].Value.Bytes())
}
