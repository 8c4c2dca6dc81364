package central

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"tram/store"
	"tram/store/audit"
	"tram/store/record"
)

// chained are entries of an audit from the first one on, as they are handed in.
func chained(t *testing.T, who ...string) (seg audit.Segment) {
	t.Helper()
	seg.From = 1
	for i, name := range who {
		text, err := json.Marshal(audit.Entry{At: int64(i), Who: name, Action: audit.Read, Key: record.Key{Kind: "Patient", ID: "p1"}})
		must(t, err)
		seg.Acts = append(seg.Acts, text)
		seg.After = audit.LinkText(seg.After, audit.Entry{}, text).Chain
	}
	return seg
}

// The answer to the first segment is lost, and a longer one comes: each entry is listed once.
func TestEntriesThatCameTwiceAreListedOnce(t *testing.T) {
	s := newSite(t)
	s.enrolledPC("tram-a")
	for _, seg := range []audit.Segment{chained(t, "hoa", "lan"), chained(t, "hoa", "lan"), chained(t, "hoa", "lan", "mai")} {
		must(t, acts{s.Centre}.Keep(t.Context(), "tram-a", seg))
	}
	if kept := (acts{s.Centre}).Kept("tram-a"); kept != 3 {
		t.Errorf("%d are kept", kept)
	}
	list, err := s.Acts("tram-a", "p1")
	must(t, err)
	if len(list) != 3 || list[2].Who != "mai" || list[2].N != 3 || list[0].Broken || list[2].Broken {
		t.Errorf("listed: %+v", list)
	}
}

// Who asks for what was done with a person's record hears of what belongs to it, also where the
// person was registered twice.
func TestActsOfAPersonAreThoseOfItsRecords(t *testing.T) {
	s := newSite(t)
	a := s.enrolledPC("tram-a")
	k, other := a.born(""), a.born("")
	twin := record.Key{Kind: "Patient", ID: "twin"}
	test := record.Key{Kind: "Observation", ID: "o1"}
	_, err := a.Store.Put(t.Context(),
		store.Write{Key: twin, Author: "lan", Content: []byte(`{"resourceType":"Patient","id":"twin","link":[{"other":{"reference":"` + k.String() + `"},"type":"seealso"}]}`)},
		store.Write{Key: test, Author: "lan", Content: []byte(`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"HIV"},"subject":{"reference":"` + k.String() + `"}}`)})
	must(t, err)
	a.sync()
	var seg audit.Segment
	seg.From = 1
	for _, key := range []record.Key{test, other, twin, {}} {
		text, err := json.Marshal(audit.Entry{At: 1, Who: "program:x", Action: audit.Read, Key: key})
		must(t, err)
		seg.Acts = append(seg.Acts, text)
		seg.After = audit.LinkText(seg.After, audit.Entry{}, text).Chain
	}
	must(t, acts{s.Centre}.Keep(t.Context(), "tram-a", seg))
	listed := func(when string) {
		t.Helper()
		for _, id := range []string{k.ID, twin.ID} {
			list, err := s.Acts("", id)
			must(t, err)
			if len(list) != 2 || list[0].Key != test || list[1].Key != twin {
				t.Errorf("%s, of %s: %+v", when, id, list)
			}
		}
	}
	listed("there")
	_, err = a.Store.Put(t.Context(), store.Write{Key: test, Base: store.Any, Author: "lan", Delete: true})
	must(t, err)
	a.sync()
	listed("deleted")
}

// A file that does not open stands for what it held, and stops neither the others nor the
// rotation of keys.
func TestSegmentThatDoesNotOpenStopsNothing(t *testing.T) {
	s := newSite(t)
	s.enrolledPC("tram-a")
	s.enrolledPC("tram-b")
	must(t, acts{s.Centre}.Keep(t.Context(), "tram-a", chained(t, "hoa")))
	must(t, acts{s.Centre}.Keep(t.Context(), "tram-b", chained(t, "lan")))
	files, err := filepath.Glob(filepath.Join(s.actsDir(), "tram-a", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	sealed, err := os.ReadFile(files[0])
	must(t, err)
	sealed[len(sealed)-1]++
	must(t, os.WriteFile(files[0], sealed, 0o600))
	must(t, s.Store().Rotate(t.Context()))
	list, err := s.Acts("", "")
	must(t, err)
	if len(list) != 2 || !list[0].Broken || list[1].Broken || list[1].Who != "lan" {
		t.Errorf("listed: %+v", list)
	}
}
