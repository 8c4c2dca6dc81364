package intake

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"tram/store/fhir"
)

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
