package intake

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tram/store/fhir"
	"tram/sync/status"
)

func fullDisk() error {
	if windows {
		return syscall.Errno(112)
	}
	return syscall.ENOSPC
}

func TestWholeFilesAreTakenAndFiled(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.put("a.JSON", "\xef\xbb\xbf"+patient("a"))
	b.put("b.NdJson", patient("b")+"\r\n\n"+observation("o", "Patient/a")+"\n")
	b.put("c.json", bundle("collection", `{"resource":`+observation("x", "Patient/nobody")+`}`))
	for _, ignored := range []string{".a.json", "~a.json", "a.json.part", "a.json.tmp", "a.txt", "a.json.reason.txt"} {
		b.put(ignored, patient("z"))
	}
	b.settle()
	b.want("records", b.records(), []string{"Bundle/abcdefghijklmno2-1", "Observation/o", "Patient/a", "Patient/b"})
	b.want("files", b.tree(), []string{".a.json", "a.json.part", "a.json.reason.txt", "a.json.tmp", "a.txt",
		"done/2026-11-03/a.JSON", "done/2026-11-03/b.NdJson", "done/2026-11-03/c.json", "done/2026-11-03/c.json.ids.txt", "~a.json"})
	kept, err := os.ReadFile(b.path("records", "Observation/o"))
	if want := observation("o", "Patient/a"); err != nil || string(kept) != want {
		t.Errorf("kept %s, %v; want %s", kept, err, want)
	}
	if h := b.Health(); len(h) != 0 {
		t.Errorf("health %v", h)
	}
}

func TestAFileStillBeingWrittenIsWaitedFor(t *testing.T) {
	b := newBench(t, t.TempDir())
	whole := patient("a")
	b.put("a.json", whole[:20])
	b.pass(0)
	b.pass(settle) // it broke off, but it is young
	b.put("a.json", whole[:50])
	b.pass(quiet) // it changed: its age begins again
	b.pass(settle)
	b.want("while it grows", b.tree(), []string{"a.json"})
	b.put("a.json", whole)
	b.pass(0)
	b.pass(settle - 1)
	b.want("not yet quiet", b.records(), []string{})
	b.pass(1)
	b.want("records", b.records(), []string{"Patient/a"})

	b.put("n.ndjson", patient("b")+"\n") // a whole line, perhaps not a whole file
	b.pass(0)
	b.pass(quiet - 1)
	b.put("n.ndjson", patient("b")+"\n"+patient("c")+"\n")
	b.pass(0)
	b.pass(quiet - 1)
	b.want("half of NDJSON", b.records(), []string{"Patient/a"})
	b.pass(1)
	b.want("all of NDJSON", b.records(), []string{"Patient/a", "Patient/b", "Patient/c"})
	if len(b.events) != 2 || b.events[1].Taken != (Taken{New: 2}) {
		t.Errorf("events %+v", b.events)
	}
}

func TestTheSameBytesAgainDoubleNothing(t *testing.T) {
	b := newBench(t, t.TempDir())
	text := bundle("transaction",
		entry("POST", "Observation", "urn:uuid:1", observation("old", "urn:uuid:2")),
		entry("POST", "Patient", "urn:uuid:2", patient("old")),
		entry("PUT", "Patient/fix", "http://x/Patient/fix", patient("fix")),
		entry("POST", "Observation", "", observation("more", "Patient/old")),
		entry("POST", "Observation", "", observation("last", "http://x/Patient/fix")),
		entry("GET", "Patient/1", "", ""))
	b.put("t.json", text)
	b.settle()
	first := b.records()
	b.want("records", first, []string{"Observation/abcdefghijklmno2-1", "Observation/abcdefghijklmno2-3",
		"Observation/abcdefghijklmno2-4", "Patient/abcdefghijklmno2-2", "Patient/fix"})
	for id, want := range map[string]string{"1": "Patient/abcdefghijklmno2-2", "3": "Patient/abcdefghijklmno2-2", "4": "Patient/fix"} {
		kept, _ := os.ReadFile(b.path("records", "Observation/abcdefghijklmno2-"+id))
		v, err := fhir.Parse(kept, fhir.DefaultLimits())
		if err != nil || v.Str("subject", "reference") != want || v.Str("id") != "abcdefghijklmno2-"+id {
			t.Errorf("Observation %s refers to %q, want %q (%v)", id, v.Str("subject", "reference"), want, err)
		}
	}
	ids, err := os.ReadFile(filepath.Join(b.drop, "done/2026-11-03/t.json.ids.txt"))
	want := "1\tObservation/abcdefghijklmno2-1\r\n2\tPatient/abcdefghijklmno2-2\r\n4\tObservation/abcdefghijklmno2-3\r\n5\tObservation/abcdefghijklmno2-4\r\n"
	if err != nil || string(ids) != want {
		t.Errorf("ids: %q, %v; want %q", ids, err, want)
	}
	b.put("t.json", text)
	b.put("u.json", text)
	b.settle()
	b.want("after the same again", b.records(), first)
	b.want("files", b.tree(), []string{"done/2026-11-03/t (2).json", "done/2026-11-03/t.json", "done/2026-11-03/t.json.ids.txt", "done/2026-11-03/u.json"})
	if len(b.events) != 3 || b.events[1].What != Again || b.events[2].What != Again {
		t.Errorf("events %+v", b.events)
	}
}

func TestIfMatchTellsTheBase(t *testing.T) {
	b := newBench(t, t.TempDir())
	e := strings.Replace(entry("PUT", "Patient/a", "", patient("a")), `"method"`, `"ifMatch":"W/\"v-7\"","method"`, 1)
	got, err := b.Submit(t.Context(), "x.json", []byte(bundle("transaction", e)))
	kept, _ := os.ReadFile(b.path("records", "Patient/a"))
	if err != nil || got.What != Took || !strings.Contains(string(kept), `"meta":{"versionId":"v-7"}`) {
		t.Errorf("%+v, %v: kept %s", got, err, kept)
	}
}

func TestOrderOfFilesDoesNotMatter(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.put("1.json", observation("o", "Patient/a"))
	b.put("2.json", observation("p", "Patient/n"))
	b.put("3.json", patient("a"))
	b.put("9.ndjson", patient("n")) // becomes whole much later
	b.pass(0)
	b.pass(settle)
	b.want("at first", b.records(), []string{"Observation/o", "Patient/a"})
	b.pass(quiet)
	b.want("in the end", b.records(), []string{"Observation/o", "Observation/p", "Patient/a", "Patient/n"})
	b.Tune(0, 0, true)
	b.put("4.json", observation("q", "Patient/nobody"))
	b.settle()
	if !slices.Contains(b.records(), "Observation/q") {
		t.Error("a lenient intake does not take a reference to nothing")
	}
}

// A relative reference in an entry means the entry of that name where the file comes from, not
// whoever bears the same id here (FHIR R4 bundle.html#references).
func TestARelativeReferenceMeansTheEntryBesideIt(t *testing.T) {
	st := newStation(t)
	st.register("1", `"name":[{"text":"Y"}]`)
	who := `{"resourceType":"Patient","name":[{"text":"X"}]}`
	e, err := st.Submit(t.Context(), "x.json", []byte(bundle("transaction",
		entry("POST", "Patient", "http://x/fhir/Patient/1", who),
		entry("POST", "Observation", "http://x/fhir/Observation/2", observation("2", "Patient/1")))))
	if err != nil || e.What != Took {
		t.Fatalf("%+v, %v", e, err)
	}
	if got, want := st.all("Observation")[0].Str("subject", "reference"), e.Assigned[0].Key.String(); got != want {
		t.Errorf("the result is about %s, want %s", got, want)
	}
}

// A reference in the form of our own fullUrl is one to the record here, in each kind of file.
func TestAReferenceUnderOurOwnAddressNamesTheRecordHere(t *testing.T) {
	st := newStation(t)
	st.o.Here = func() []string { return []string{"http://127.0.0.1:8642/fhir", "https://192.168.1.10:8643/fhir"} }
	st.register("p", `"identifier":[{"system":"urn:example:cccd","value":"079001"}]`)
	const own, network = "http://127.0.0.1:8642/fhir/Patient/p", "https://192.168.1.10:8643/fhir/Patient/p"
	st.put("a.json", observation("a", own))
	st.put("b.ndjson", observation("b", network)+"\n")
	st.put("c.json", bundle("transaction", entry("PUT", "Patient/p2", own+"2", patient("p2")), entry("PUT", "Observation/c", "", observation("c", own))))
	st.put("d.map.toml", "[person]\nset = {\"identifier.system\" = \"urn:example:cccd\"}\ntake = {\"identifier.value\" = \"n\"}\n"+
		"[[record]]\nkind = \"Observation\"\nset = {status = \"final\", \"code.text\" = \"x\"}\ntake = {\"performer.reference\" = \"by\"}\n")
	st.put("d.csv", "n,by\n079001,"+own+"\n")
	st.settle()
	for _, e := range st.events {
		if e.What != Took {
			t.Errorf("%s: %+v", e.File, e)
		}
	}
	all := st.all("Observation")
	for _, v := range all {
		for _, r := range st.o.R4.Refs(v) {
			if r.Literal != "Patient/p" {
				t.Errorf("%s refers to %q", v.Str("id"), r.Literal)
			}
		}
	}
	if len(all) != 4 {
		t.Errorf("%d observations, want 4", len(all))
	}
	for name, literal := range map[string]string{"nobody here": own + "3", "a search": "http://127.0.0.1:8642/fhir/Patient?x=y"} {
		if e, err := st.Submit(t.Context(), "x.json", []byte(observation("x", literal))); err != nil || e.What != Aside {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if e, err := st.Submit(t.Context(), "x.json", []byte(observation("x", "http://127.0.0.1:86420/fhir/Patient/p"))); err != nil || e.What != Took {
		t.Errorf("another server's: %+v, %v", e, err)
	}
}

func TestNamesThatAreTakenGetANumber(t *testing.T) {
	b := newBench(t, t.TempDir())
	long := strings.Repeat("ắ", 80) + ".json" // 245 bytes: no room for the note's suffix
	for range 3 {
		b.put("a.json", "{}")
		b.settle()
	}
	b.put(long, "{}")
	b.settle()
	want := []string{}
	for _, name := range []string{"a (2).json", "a (3).json", "a.json", strings.Repeat("ắ", 65) + ".json"} {
		want = append(want, "aside/"+name, "aside/"+name+noteSuffix)
	}
	b.want("files", b.tree(), want)
}

func TestLinksAreNotFollowed(t *testing.T) {
	b := newBench(t, t.TempDir())
	outside := filepath.Join(filepath.Dir(b.drop), "outside")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(outside, "p.json")
	if err := os.WriteFile(target, []byte(patient("out")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"l.json": target, "done": outside} {
		if err := os.Symlink(to, filepath.Join(b.drop, name)); err != nil {
			t.Fatal(err)
		}
	}
	b.put("a.json", patient("a"))
	b.settle()
	b.want("records", b.records(), []string{"Patient/a"})
	b.want("files", b.tree(), []string{"a.json", "aside/l.json", "aside/l.json" + noteSuffix, "done"})
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Errorf("outside the folder: %v", left)
	}
	if h := b.Health(); !slices.Equal(h, []status.Code{status.DropUnreadable, status.FileAside}) {
		t.Errorf("health %v", h)
	}
	if err := os.Remove(filepath.Join(b.drop, "done")); err != nil {
		t.Fatal(err)
	}
	b.settle()
	b.want("once the link is gone", b.tree(), []string{"aside/l.json", "aside/l.json" + noteSuffix, "done/2026-11-03/a.json"})
	if n := len(slices.DeleteFunc(b.events, func(e Event) bool { return e.What != Took })); n != 1 {
		t.Errorf("taken %d times", n)
	}
}

func TestAFileSwappedDuringTheTakeIsTakenToo(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.put("a.json", patient("a"))
	b.then = func() {
		b.then = nil
		b.put("a.json.part", patient("b"))
		if err := os.Rename(filepath.Join(b.drop, "a.json.part"), filepath.Join(b.drop, "a.json")); err != nil {
			t.Error(err)
		}
	}
	b.pass(0)
	b.pass(settle)
	b.want("after the first", b.tree(), []string{"a.json"})
	b.settle()
	b.want("records", b.records(), []string{"Patient/a", "Patient/b"})
	b.want("files", b.tree(), []string{"done/2026-11-03/a.json"})
}

func TestTooLargeIsNotRead(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.put("a.json", "{")
	if err := os.Truncate(filepath.Join(b.drop, "a.json"), MaxBytes+1); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if len(b.events) != 1 || b.events[0].Refusal.Code != TooLarge {
		t.Errorf("events %+v", b.events)
	}
}

func TestALostFolderIsToldAndComesBack(t *testing.T) {
	b := newBench(t, t.TempDir())
	if err := os.Rename(b.drop, b.drop+"-off"); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if h := b.Health(); !slices.Equal(h, []status.Code{status.DropUnreadable}) {
		t.Errorf("health %v", h)
	}
	if err := os.Rename(b.drop+"-off", b.drop); err != nil {
		t.Fatal(err)
	}
	b.put("a.json", patient("a"))
	b.settle()
	if len(b.events) != 3 || b.events[0].What != FolderLost || b.events[1].What != FolderBack || b.events[2].What != Took {
		t.Errorf("events %+v", b.events)
	}
}

func TestKilledBetweenTakeAndMove(t *testing.T) {
	const where = "TRAM_INTAKE_TEST_DIR"
	text := bundle("transaction", entry("POST", "Observation", "urn:uuid:1", observation("o", "urn:uuid:2")),
		entry("POST", "Patient", "urn:uuid:2", patient("p")))
	if dir := os.Getenv(where); dir != "" { // the one that is killed
		b := newBench(t, dir)
		b.then = func() {
			p, _ := os.FindProcess(os.Getpid())
			p.Kill()
			select {}
		}
		b.settle()
		t.Fatal("still alive")
	}
	dir := t.TempDir()
	b := newBench(t, dir)
	b.put("t.json", text)
	if err := again(t, where+"="+dir); err == nil {
		t.Fatal("the process was not killed")
	}
	b.want("files after the kill", b.tree(), []string{"t.json"})
	first := b.records()
	if len(first) != 2 {
		t.Fatalf("records after the kill: %q", first)
	}
	b.settle()
	b.want("records after the retake", b.records(), first)
	b.want("files", b.tree(), []string{"done/2026-11-03/t.json", "done/2026-11-03/t.json.ids.txt"})
	if len(b.events) != 1 || b.events[0].Taken != (Taken{Same: 2}) {
		t.Errorf("events %+v", b.events)
	}
}

func TestRunSeesFilesByNewsAndByPolling(t *testing.T) {
	for name, c := range map[string]struct {
		poll  time.Duration
		blind bool
	}{"told by the system": {time.Hour, false}, "polling": {20 * time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			events, ended := make(chan Event, 8), make(chan error, 1)
			b := newBench(t, t.TempDir(), func(o *Options) {
				o.Now, o.Poll, o.Events = time.Now, c.poll, func(e Event) { events <- e }
				o.Folder = filepath.Join(o.Folder, "made by run")
			})
			b.drop, b.blind = b.o.Folder, c.blind
			ctx, stop := context.WithCancel(t.Context())
			b.put0(t, "first.json", patient("a"))
			go func() { ended <- b.Run(ctx) }()
			if e := next(t, events); e.What != Took || e.File != "first.json" {
				t.Errorf("first: %+v", e)
			}
			b.put("second.json", patient("b"))
			if e := next(t, events); e.What != Took || e.File != "second.json" {
				t.Errorf("second: %+v", e)
			}
			stop()
			if err := next(t, ended); err != nil {
				t.Errorf("Run ended with %v", err)
			}
		})
	}
}

func FuzzFile(f *testing.F) {
	r4, err := fhir.Load()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "{}", patient("a"), patient("a") + "\n" + observation("o", "#x"),
		bundle("transaction", entry("POST", "Patient", "urn:uuid:1", patient("a")), entry("GET", "x", "", "")),
		bundle("batch", `{"request":{"method":"PUT","url":"/"}}`, `{}`), `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{}}]}`} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, many bool) {
		name := "a.json"
		if many {
			name = "a.ndjson"
		}
		units, err := parse(name, []byte(text))
		if err == nil {
			err = check(r4, units)
		}
		if err != nil {
			return
		}
		items, err := unpack(r4, units, func() string { return "new" })
		if err != nil {
			return
		}
		for _, it := range items {
			if !it.key.Valid() || it.value.Str("id") != it.key.ID || it.value.Str("resourceType") != it.key.Kind {
				t.Errorf("%q gives %v with id %q", text, it.key, it.value.Str("id"))
			}
		}
	})
}

// again runs the present test in a process of its own.
func again(t *testing.T, env string) error {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), env)
	return cmd.Run()
}

// put0 makes the folder before its first file.
func (b *bench) put0(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(b.drop, 0o700); err != nil {
		t.Fatal(err)
	}
	b.put(name, text)
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told")
		panic("unreachable")
	}
}

// What lies in done lies there in the clear: it goes after its time, and nothing else does.
func TestTakenFilesGoAfterTheirTime(t *testing.T) {
	b := newBench(t, t.TempDir(), func(o *Options) { o.Done = 48 * time.Hour })
	b.put("a.json", `{"resourceType":"Patient"}`)
	b.settle()
	for _, dir := range []string{"done/2026-11-03 old", "aside"} {
		if err := os.Mkdir(filepath.Join(b.drop, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.put("done/2026-11-03 old/x.json", "theirs")
	b.put("done/notes.txt", "theirs")
	b.put("aside/y.json", "nobody looked yet")
	here := []string{"aside/y.json", "done/2026-11-03/a.json", "done/2026-11-03/a.json.ids.txt", "done/2026-11-03 old/x.json", "done/notes.txt"}
	for _, at := range []time.Time{time.Date(2026, 11, 5, 23, 0, 0, 0, time.UTC), time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)} {
		b.now = at
		b.look(t.Context())
		b.want("at "+at.String(), b.tree(), here)
	}
	b.now = time.Date(2026, 11, 6, 0, 0, 0, 0, time.UTC)
	b.Tune(0, 0, false)
	b.look(t.Context())
	b.want("kept for ever", b.tree(), here)
	b.Tune(0, 48*time.Hour, false)
	b.look(t.Context())
	b.want("two days after", b.tree(), []string{"aside/y.json", "done/2026-11-03 old/x.json", "done/notes.txt"})
}
