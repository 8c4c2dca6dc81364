package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"tram/store/record"
)

const lin = record.Lineage("abcdefghijklmno2")

func frames() []*Frame {
	birth := &record.Version{Key: record.Key{Kind: "Patient", ID: "a"}, Name: record.Name{Lineage: lin, N: 2}, Seen: record.Seen{lin: 2},
		Author: "hoa", Stamp: record.Stamp{Unix: 5}, Content: []byte(`{"resourceType":"Patient","x":1.0,"div":"<b>&"}`)}
	edit := &record.Version{Key: birth.Key, Name: record.Name{Lineage: lin, N: 3}, Base: birth.Ref(), Seen: record.Seen{lin: 3}, Author: "hoa",
		Deleted: true, Content: []byte(`{}`), Trace: record.Trace{Born: birth.Name, Marks: []record.Mark{{Path: "x", By: []record.Name{{Lineage: lin, N: 3}}}}}}
	named := &record.Version{Key: record.Key{Kind: "Patient", ID: "b"}, Name: record.Name{Lineage: lin, N: 4}, Seen: record.Seen{lin: 4},
		Author: "hoa", Content: []byte(`{"resourceType":"Patient","id":"b"}`)}
	return []*Frame{
		{Hello: &Hello{Protocol: 1, Replica: "a", Life: lin, Cursors: []record.Cursor{{Feed: "own", Seq: 3}}, Report: []byte(`{"a":1}`)}},
		{Change: &record.Change{Key: birth.Key, Ref: birth.Ref(), Version: birth}},
		{Change: &record.Change{Key: named.Key, Ref: named.Ref(), Version: named}},
		{Change: &record.Change{Key: edit.Key, Ref: edit.Ref(), Prev: 2, Version: edit}},
		{Change: &record.Change{Seq: 9, Key: edit.Key, Ref: edit.Ref()}},
		{Change: &record.Change{Seq: 10, Key: edit.Key, Ref: edit.Ref(), Gone: true, Waits: true}},
		{Mark: &Mark{Cursor: &record.Cursor{Feed: "own", Seq: 10}}},
		{End: &End{More: true}},
	}
}

func encode(t *testing.T, form Form, fs []*Frame) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, form, After{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fs {
		if err := w.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decode(form Form, b []byte) (out []*Frame, err error) {
	r, err := NewReader(bytes.NewReader(b), form, After{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		f, err := r.Read()
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
}

func TestFramesArriveAsSent(t *testing.T) {
	for _, form := range []Form{Plain, Packed} {
		want := frames()
		got, err := decode(form, encode(t, form, want))
		if !errors.Is(err, ErrCut) || !reflect.DeepEqual(got, want) {
			t.Errorf("form %d: got %+v, %v", form, got, err)
		}
		for i, f := range got {
			if f.Change != nil && f.Change.Version != nil && f.Change.Version.Digest() != want[i].Change.Version.Digest() {
				t.Errorf("form %d: frame %d: another digest", form, i)
			}
		}
	}
}

func TestEveryCutIsACut(t *testing.T) {
	for _, form := range []Form{Plain, Packed} {
		b := encode(t, form, frames())
		for n := range len(b) {
			if got, err := decode(form, b[:n]); err == nil || len(got) > len(frames()) || errors.Is(err, io.EOF) {
				t.Errorf("form %d: cut at %d: %v", form, n, err)
			}
		}
	}
}

func pack(t *testing.T, s string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll([]byte(s), nil)
}

func TestUnknownThingsArePassedOver(t *testing.T) {
	got, err := decode(Plain, pack(t, `{"weather":{"rain":1}}`+"\n"+`{"mark":{"cursor":null,"phase":2},"more":[]}`+"\n"))
	if !errors.Is(err, ErrCut) || len(got) != 2 || got[1].Mark == nil || !reflect.DeepEqual(*got[0], Frame{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNonsenseIsSaidToBeNonsense(t *testing.T) {
	for name, in := range map[string][]byte{
		"not compressed":  []byte("<html>proxy login</html>"),
		"not JSON":        pack(t, "hello\n"),
		"no record":       pack(t, `{"change":{"k":""}}`+"\n"),
		"wrong form":      pack(t, `{"mark":7}`+"\n"),
		"an endless line": pack(t, strings.Repeat("a", MaxLine+1)),
	} {
		if _, err := decode(Plain, in); !errors.Is(err, ErrNonsense) {
			t.Errorf("%s: got %v, want ErrNonsense", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"change":{"k":"Patient/a","v":"abcdefghijklmno2-2"}}` + "\n{}\n"))
	f.Add([]byte(`{"hello":{"protocol":1,"cursors":[{"feed":"own"}]}}` + "\n"))
	z, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := decode(Plain, z.EncodeAll(in, nil))
		if err == nil {
			t.Fatal("no error at the end")
		}
		for _, fr := range got {
			if fr.Change != nil && !fr.Change.Key.Valid() {
				t.Fatalf("an invalid key came through: %q", in)
			}
		}
	})
}

func FuzzPackedReader(f *testing.F) {
	block := known().Another().Pack(nil, [][]byte{[]byte(`{"change":{"v":"abcdefghijklmno2-2"}}`), []byte(`{"resourceType":"Patient","id":"a"}`), []byte(`{"mark":{}}`)})
	f.Add(append([]byte{byte(len(block))}, block...))
	f.Add([]byte{7, 1, 5, 0, 0, 0, 0, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in), Packed, After{})
		if err != nil {
			t.Fatal(err)
		}
		for {
			fr, err := r.Read()
			if err != nil {
				return
			}
			if fr.Change != nil && !fr.Change.Key.Valid() {
				t.Fatalf("an invalid key came through: %q", in)
			}
		}
	})
}
