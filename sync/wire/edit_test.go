package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"tram/store/record"
)

func version(n uint64, base *record.Version, content string) *record.Version {
	v := &record.Version{Key: record.Key{Kind: "Patient", ID: "a"}, Name: record.Name{Lineage: lin, N: n}, Author: "hoa", Stamp: record.Stamp{Unix: int64(n)}, Content: []byte(content)}
	if base != nil {
		v.Base, v.Seen = base.Ref(), base.Seen
		v.Trace = record.Trace{Born: base.Trace.Born, Writers: base.Trace.Writers}
		if v.Trace.Born.IsZero() {
			v.Trace.Born, v.Trace.Writers = base.Name, []record.Writer{{Name: base.Name, Author: base.Author, Stamp: base.Stamp}}
		}
	}
	v.Seen = v.Seen.With(v.Name)
	return v
}

func changeOf(v *record.Version) *record.Change {
	return &record.Change{Seq: v.Name.N, Key: v.Key, Ref: v.Ref(), Prev: v.Name.N - 1, Version: v}
}

func TestEditsAreToldByTheirBase(t *testing.T) {
	base := version(1, nil, `{"name":"Hoà","phone":"0911"}`)
	second := version(2, base, `{"name":"Hoá","phone":"0911"}`)
	second.Trace.Marks = []record.Mark{{Path: "name", By: []record.Name{second.Name}}}
	third := version(3, second, `{"name":"Hoá","phone":"0911","more":"é"}`)
	third.Trace.Marks = append(third.Trace.Marks, record.Mark{Path: "more", By: []record.Name{third.Name}}, second.Trace.Marks[0])
	third.Trace.Writers = append(third.Trace.Writers, record.Writer{Name: second.Name, Author: second.Author, Stamp: second.Stamp})
	for name, pair := range map[string][2]*record.Version{
		"a letter":         {base, second},
		"something behind": {second, third},
		"all":              {base, version(2, base, `[]`)},
		"nothing":          {base, version(2, base, string(base.Content))},
		"half of it":       {base, version(2, base, `{"name":"Hoà"`)},
		"twice the same":   {version(1, nil, `aaaa`), version(2, version(1, nil, `aaaa`), `aaaaaa`)},
		"letters apart":    {version(1, nil, "à"), version(2, version(1, nil, "à"), "á")},
	} {
		c := changeOf(pair[1])
		e := Shorten(c, pair[0])
		if e == nil {
			t.Errorf("%s: is not told", name)
			continue
		}
		lines, err := Lines(&Frame{Edit: e}, Packed)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(Packed, encode(t, Packed, []*Frame{{Edit: e}, {End: &End{}}}))
		if !errors.Is(err, ErrCut) || len(got) != 2 {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		back, err := got[0].Edit.Change(pair[0])
		if err != nil || !reflect.DeepEqual(back.Version, c.Version) || back.Ref != c.Ref || back.Seq != c.Seq || back.Prev != c.Prev {
			t.Errorf("%s: %s came back as %+v, %v", name, lines[0], back, err)
		}
	}
	for name, spoil := range map[string]func(*record.Change){
		"a tombstone": func(c *record.Change) { c.Version.Deleted = true },
		"a merge":     func(c *record.Change) { c.Version.Includes = []record.Ref{base.Ref()} },
		"an orphan":   func(c *record.Change) { c.Orphan = true },
		"handed back": func(c *record.Change) { c.Relayed = true },
		"of who saw more": func(c *record.Change) {
			c.Version.Seen = c.Version.Seen.With(record.Name{Lineage: "otherotherother2", N: 1})
		},
	} {
		v := *second
		c := changeOf(&v)
		spoil(c)
		c.Ref = v.Ref()
		if e := Shorten(c, base); e != nil {
			t.Errorf("%s is told as an edit", name)
		}
	}
}

func TestEditsOfNoBaseAreNonsense(t *testing.T) {
	base := version(1, nil, `{"a":1}`)
	good := Edit{Key: base.Key, Name: record.Name{Lineage: lin, N: 2}, Base: base.Name, Head: 3, Middle: "x", Tail: 3}
	if _, err := good.Change(base); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Edit){
		"begins before it": func(e *Edit) { e.Head = -1 },
		"ends before it":   func(e *Edit) { e.Tail = -1 },
		"more of it":       func(e *Edit) { e.Head = 5 },
		"much more of it":  func(e *Edit) { e.Tail = math.MaxInt },
		"another record":   func(e *Edit) { e.Key.ID = "b" },
		"no record":        func(e *Edit) { e.Key = record.Key{} },
		"another base":     func(e *Edit) { e.Base.N = 7 },
	} {
		e := good
		spoil(&e)
		if _, err := e.Change(base); !errors.Is(err, ErrNonsense) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContentTypes(t *testing.T) {
	if sum := sha256.Sum256(knownLines); hex.EncodeToString(sum[:6]) != knownSum {
		t.Errorf("what is known has the sum %x, not %s: make known", sum[:6], knownSum)
	}
	for _, form := range []Form{Plain, Packed} {
		if got, ok := FormOf(form.MediaType()); !ok || got != form {
			t.Errorf("%q is read as form %d, %t", form.MediaType(), got, ok)
		}
	}
	for _, other := range []string{"", "application/json", packed + "0123456789ab", strings.ToUpper(mediaType)} {
		if _, ok := FormOf(other); ok {
			t.Errorf("%q is known", other)
		}
	}
}
