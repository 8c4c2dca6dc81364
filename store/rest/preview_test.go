package rest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/store/rest"
)

// over shows a preview of one record: upstream's head with the pending version
// laid over it and an open conflict. Written to, it remembers the base.
type over struct {
	*store.Store
	shown *record.Stand
	base  string
}

func (o *over) Get(key record.Key) (*record.Stand, error) {
	if o.shown != nil && key == o.shown.Key {
		return o.shown, nil
	}
	return o.Store.Get(key)
}

func (o *over) Put(_ context.Context, w ...store.Write) ([]*record.Version, error) {
	o.base = w[0].Base
	return []*record.Version{o.shown.Head}, nil
}

// head -> pending, shown as a preview while a conflict is open.
func TestPreviewAndConflictAreTold(t *testing.T) {
	o := &over{}
	f := serve(t, func(opt *rest.Options) { o.Store = opt.Backend.(*store.Store); opt.Backend = o })
	key := record.Key{Kind: "Patient", ID: "p1"}
	head := &record.Version{Key: key, Name: record.Name{Lineage: "abcdefghijklmno2", N: 3}, Content: []byte(withID(patient, "p1"))}
	pending := record.Name{Lineage: "bcdefghijklmnop3", N: 7}
	preview := *head
	preview.Name = record.Name{}
	preview.Trace.Marks = []record.Mark{{Path: "birthDate", Alts: []record.Alt{{Value: json.RawMessage(`{"birthDate":"1961-02-03"}`)}, {Value: json.RawMessage(`{"birthDate":"1962-02-03"}`)}}}}
	o.shown = &record.Stand{Key: key, Head: head, Pending: []record.Ref{{Name: pending}}, Shown: &preview}

	r := f.want(200, "GET", "/Patient/p1", "")
	tag := "abcdefghijklmno2-3.bcdefghijklmnop3-7"
	if got := r.body.Str("meta", "versionId"); got != tag || r.head.Get("ETag") != `W/"`+tag+`"` {
		t.Errorf("versionId %s, ETag %s, want %s", got, r.head.Get("ETag"), tag)
	}
	if got := first(r.body.Get("meta").Get("tag")); got.Str("system") != "urn:tram:state" || got.Str("code") != "conflict" {
		t.Errorf("an open conflict is not told: %s", r.raw)
	}
	if issues := f.r4.Check(r.body); len(issues) > 0 {
		t.Errorf("not valid R4: %v", issues)
	}
	f.want(200, "GET", "/Patient/p1/_history/"+tag, "")
	f.want(412, "PUT", "/Patient/p1", withID(patient, "p1"), "If-Match", `W/"abcdefghijklmno2-3"`)
	for _, sent := range []string{tag, strings.Replace(tag, ".", "~", 1)} {
		f.want(200, "PUT", "/Patient/p1", withID(patient, "p1"), "If-Match", `W/"`+sent+`"`)
		if want := "abcdefghijklmno2-3~bcdefghijklmnop3-7"; o.base != want {
			t.Errorf("If-Match %s writes on %q, want %q", sent, o.base, want)
		}
	}
	preview.Trace.Marks = nil
	if r := f.want(200, "GET", "/Patient/p1", ""); r.body.Get("meta").Get("tag") != nil {
		t.Errorf("a conflict that is not: %s", r.raw)
	}
}
