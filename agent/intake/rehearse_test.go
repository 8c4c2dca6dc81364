package intake

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"tram/store/fhir"
)

// What TestFilesWholeAndBroken takes in, and how often it breaks each.
var (
	dataFlag   = flag.String("data", "hl7v2/testdata", "folder of HL7 version 2 files")
	brokenFlag = flag.Int("broken", 6, "broken variants of each file")
	seedFlag   = flag.Uint64("seed", 1, "seed of the variants")
)

// breaking is one way to break a file.
type breaking struct {
	name string
	do   func(r *rand.Rand, b []byte) []byte
}

func breakings() []breaking {
	lines := func(b []byte) []string {
		return strings.Split(strings.NewReplacer("\r\n", "\r", "\n", "\r").Replace(string(b)), "\r")
	}
	joined := func(all []string) []byte { return []byte(strings.Join(all, "\r")) }
	at := func(r *rand.Rand, b []byte) int { return r.IntN(len(b) + 1) }
	put := func(r *rand.Rand, b []byte, more string) []byte {
		return slices.Insert(slices.Clone(b), at(r, b), []byte(more)...)
	}
	return []breaking{
		{"huge", func(_ *rand.Rand, b []byte) []byte {
			return append(slices.Clone(b), bytes.Repeat([]byte("x"), 50<<20)...)
		}},
		{"cut", func(r *rand.Rand, b []byte) []byte { return b[:at(r, b)] }},
		{"another delimiter", func(r *rand.Rand, b []byte) []byte {
			return bytes.ReplaceAll(b, []byte{"|^~&"[r.IntN(4)]}, []byte{";|^x~"[r.IntN(5)]})
		}},
		{"BOM", func(r *rand.Rand, b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }},
		{"UTF-16", func(_ *rand.Rand, b []byte) []byte {
			out := []byte{0xff, 0xfe}
			for _, c := range b {
				out = append(out, c, 0)
			}
			return out
		}},
		{"another character set", func(r *rand.Rand, b []byte) []byte { return put(r, b, "\xf4\xe0\xff") }},
		{"MSH-18", func(r *rand.Rand, b []byte) []byte {
			return bytes.Replace(b, []byte("|2."), []byte("|2.5||||||BIG-5|2."), 1)
		}},
		{"noise", func(r *rand.Rand, b []byte) []byte {
			b = slices.Clone(b)
			for range 1 + len(b)/50 {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
			return b
		}},
		{"all noise", func(r *rand.Rand, b []byte) []byte {
			b = slices.Clone(b)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			return b
		}},
		{"one byte", func(r *rand.Rand, b []byte) []byte {
			b = slices.Clone(b)
			b[r.IntN(len(b))] = byte(' ' + r.IntN(95))
			return b
		}},
		{"a segment twice", func(r *rand.Rand, b []byte) []byte {
			all := lines(b)
			i := r.IntN(len(all))
			return joined(slices.Insert(all, i, all[i]))
		}},
		{"a segment often", func(r *rand.Rand, b []byte) []byte {
			all := lines(b)
			i := r.IntN(len(all))
			return joined(slices.Insert(all, i, slices.Repeat(all[i:i+1], 300)...))
		}},
		{"no PID", func(_ *rand.Rand, b []byte) []byte {
			return joined(slices.DeleteFunc(lines(b), func(s string) bool { return strings.HasPrefix(s, "PID") }))
		}},
		{"a segment less", func(r *rand.Rand, b []byte) []byte {
			all := lines(b)
			i := r.IntN(len(all))
			return joined(slices.Delete(all, i, i+1))
		}},
		{"two segments in turn", func(r *rand.Rand, b []byte) []byte {
			all := lines(b)
			i, j := r.IntN(len(all)), r.IntN(len(all))
			all[i], all[j] = all[j], all[i]
			return joined(all)
		}},
		{"a long value", func(r *rand.Rand, b []byte) []byte { return put(r, b, strings.Repeat("9", 2<<20)) }},
		{"many repetitions", func(r *rand.Rand, b []byte) []byte { return put(r, b, strings.Repeat("~1^2&3", 10_000)) }},
		{"broken escapes", func(r *rand.Rand, b []byte) []byte { return put(r, b, "\\X0\\\\XZZ\\\\.br\\\\") }},
		{"NUL", func(r *rand.Rand, b []byte) []byte { return put(r, b, "\x00") }},
		{"nothing", func(_ *rand.Rand, b []byte) []byte { return nil }},
	}
}

// TestFilesWholeAndBroken takes every file of a folder through the drop folder into a
// store, and then broken variants of each. None may crash, be taken by half, or be lost.
func TestFilesWholeAndBroken(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(*dataFlag, "*.hl7"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no files in %s: %v", *dataFlag, err)
	}
	st := newStation(t)
	st.o.Rules.Trials = true
	files := map[string][]byte{}
	var order []string
	for _, path := range found {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		order = append(order, name)
		files[name] = b
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, name := range order {
		e := st.drop1(map[string][]byte{name: files[name]})[0]
		what := string(e.What)
		if e.Refusal != nil {
			what += ": " + e.Refusal.Text("en")
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", name, e.Kind, e.Taken.New, e.Waits, what)
	}
	table.Flush()
	list, err := st.Waiting()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list {
		fmt.Fprintf(&text, "waits: %s: %s\n", w.Kind, w.Why.Text("en"))
	}
	t.Logf("file, type, new records, waiting, what became of it\n%s%s", &text, st.tally())

	st.events = nil
	all := breakings()
	for i, name := range order {
		r := rand.New(rand.NewPCG(*seedFlag, uint64(i)))
		broken := map[string][]byte{}
		for n := range *brokenFlag {
			// Those of all files together are all ways; a file is made huge once.
			b := all[(n+i**brokenFlag)%len(all)]
			if n >= len(all) {
				b = all[1+n%(len(all)-1)]
			}
			broken[fmt.Sprintf("%d-%s.hl7", n, b.name)] = b.do(r, files[name])
		}
		st.drop1(broken)
		if t.Failed() {
			t.Fatalf("variants of %s, seed %d", name, *seedFlag)
		}
		if err := st.keepWaiting(t.Context(), nil); err != nil { // or the list is soon full
			t.Fatal(err)
		}
	}
	t.Logf("%d broken variants of %d files, seed %d: 0 crashed, 0 taken by half, 0 lost\n%s", len(order)**brokenFlag, len(order), *seedFlag, st.tally())
}

// drop1 drops files, waits until each has found its place, and holds that each is told of
// once, that the store grew by what was told, and that nothing refers to nothing.
func (st *station) drop1(files map[string][]byte) []Event {
	st.t.Helper()
	before, err := st.s.Waiting()
	if err != nil {
		st.t.Fatal(err)
	}
	had := len(st.events)
	for name, b := range files {
		st.put(name, string(b))
	}
	st.settle()
	after, err := st.s.Waiting()
	if err != nil {
		st.t.Fatal(err)
	}
	told := st.events[had:]
	born, waits := 0, 0
	for _, e := range told {
		born += e.Taken.New
		waits += e.Waits
		for _, a := range e.Assigned {
			v, err := st.s.Get(a.Key)
			if err != nil {
				st.t.Errorf("%s: %s is not there: %v", e.File, a.Key, err)
				continue
			}
			content, err := fhir.Parse(v.Shown.Content, fhir.DefaultLimits())
			if err != nil {
				st.t.Fatal(err)
			}
			if bad, err := refersNowhere(st.o.R4, []item{{value: content}}, st.o.Exists); bad != nil || err != nil {
				st.t.Errorf("%s: %s: %v, %v", e.File, a.Key, bad, err)
			}
		}
	}
	if len(told) != len(files) || after.Records-before.Records != born {
		st.t.Errorf("%d files, %d told of; %d records told of, %d there", len(files), len(told), born, after.Records-before.Records)
	}
	list, err := st.Waiting()
	if err != nil {
		st.t.Fatal(err)
	}
	for _, w := range list[len(list)-min(waits, len(list)):] {
		if _, err := st.Message(w.ID); err != nil {
			st.t.Errorf("a message that waits is gone: %v", err)
		}
	}
	st.cleared(len(files))
	return told
}

// cleared counts what lies in done/ and aside/, and takes it away.
func (st *station) cleared(want int) {
	st.t.Helper()
	n := 0
	for _, name := range st.tree() {
		if strings.HasPrefix(name, "done/") && !strings.HasSuffix(name, ".ids.txt") || strings.HasPrefix(name, "aside/") && !strings.HasSuffix(name, noteSuffix) {
			n++
		}
		if err := os.Remove(filepath.Join(st.drop, name)); err != nil {
			st.t.Fatal(err)
		}
	}
	if n != want {
		st.t.Errorf("%d files were dropped, and %d lie in done/ or aside/", want, n)
	}
}

// tally counts the events by what became of the file.
func (st *station) tally() string {
	count := map[string]int{}
	for _, e := range st.events {
		what := string(e.What)
		if e.Refusal != nil {
			what += " " + string(e.Refusal.Code)
		}
		count[what]++
	}
	var out []string
	for what, n := range count {
		out = append(out, fmt.Sprintf("%5d %s", n, what))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
