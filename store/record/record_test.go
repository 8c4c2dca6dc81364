package record

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

const lin = Lineage("abcdefghijklmno2")

func TestKeyRefusesWhatFHIRDoes(t *testing.T) {
	for in, ok := range map[string]bool{
		"Patient/1": true, "Patient/a.b-C": true, "patient/1": false, "Patient": false,
		"Patient/": false, "/1": false, "Patient/a/b": false, "Patient/a b": false,
		"Patient/" + strings.Repeat("x", 64): true, "Patient/" + strings.Repeat("x", 65): false,
	} {
		k, err := ParseKey(in)
		if (err == nil) != ok {
			t.Errorf("ParseKey(%q) = %v, %v; want ok %v", in, k, err, ok)
		}
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for _, in := range []string{string(lin) + "-1", string(lin) + "-18446744073709551615"} {
		n, err := ParseName(in)
		if err != nil || n.String() != in {
			t.Errorf("ParseName(%q) = %v, %v", in, n, err)
		}
	}
	for _, in := range []string{"", "x-1", string(lin), string(lin) + "-", string(lin) + "-0", string(lin) + "-01", string(lin) + "--1"} {
		if n, err := ParseName(in); err == nil {
			t.Errorf("ParseName(%q) = %v, want an error", in, n)
		}
	}
}

func TestVersionEncodingKeepsDigest(t *testing.T) {
	v := Version{
		Key: Key{"Patient", "a"}, Name: Name{lin, 7}, Base: Ref{Name{lin, 3}, Sum([]byte("x"))},
		Includes: []Ref{{Name{lin, 5}, Sum([]byte("y"))}}, Seen: Seen{lin: 7}, Author: "hoa",
		Stamp: Stamp{Unix: 1, Offset: -5, Doubt: true}, Content: []byte(`{"a":1.0,"t":"<b>"}`),
		Trace: Trace{Born: Name{lin, 3}, Marks: []Mark{{Path: "p", By: []Name{{lin, 7}}, Items: []string{"0"},
			Alts: []Alt{{json.RawMessage(`{"a":1.0}`), []Name{{lin, 7}}}}}}},
		Lost: []Lost{{Path: "q", Value: json.RawMessage(`{}`), Won: json.RawMessage(`{"q":1}`), Policy: "later"}},
	}
	b, err := json.Marshal(&v)
	if err != nil {
		t.Fatal(err)
	}
	var got Version
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	got.Content = v.Content
	if got.Digest() != v.Digest() || !reflect.DeepEqual(got, v) {
		t.Errorf("got %+v, want %+v", got, v)
	}
	got.Content = []byte(`{"a":1,"t":"<b>"}`)
	if got.Digest() == v.Digest() {
		t.Error("another content has the same digest")
	}
}

func TestChainTellsOrderAndContent(t *testing.T) {
	a, b := Sum([]byte("a")), Sum([]byte("b"))
	start := Link{Lineage: lin}
	one := start.Next(1, a).Next(2, b)
	for name, other := range map[string]Link{
		"other order":  start.Next(1, b).Next(2, a),
		"a gap":        start.Next(2, b),
		"other number": start.Next(1, a).Next(3, b),
	} {
		if other.Chain == one.Chain {
			t.Errorf("%s: the chain is the same", name)
		}
	}
}

func TestNothingClinicalReachesALog(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	v := &Version{Key: Key{"Patient", "a"}, Name: Name{lin, 1}, Author: "hoa", Content: []byte(`{"name":"secret"}`)}
	log.Info("saved", "version", v, "key", v.Key, "name", v.Name)
	if s := out.String(); strings.Contains(s, "secret") || !strings.Contains(s, "Patient/a") {
		t.Errorf("log line: %s", s)
	}
}

func ExampleSeen() {
	a := Seen{lin: 3}
	b := a.With(Name{lin, 5})
	fmt.Println(a.Has(Name{lin, 5}), b.Has(Name{lin, 4}), b.Covers(a), a.Covers(b))
	// Output: false true true false
}
