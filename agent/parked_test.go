package agent

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
)

func keyOf(kind, id string) record.Key { return record.Key{Kind: kind, ID: id} }

// TestOneRefusedAmongTenThousand lets a station make 10,000 records of which the centre
// refuses one, whose id another station's person has, with two edits made from it:
//
//	... -> card-17 -> edit -> edit, and observations about that person -> ...
//
// What only refers to it goes up; after the exchange that brings it the page names
// it and the two, and in the end all others are green.
func TestOneRefusedAmongTenThousand(t *testing.T) {
	const records = 10_000
	c, centre := startCentre(t)
	other := openWard(t, c, centre, "tram-b", "hoa")
	ctx := context.Background()
	if _, err := other.a.Store().Put(ctx, birth("Patient", "card-17", `,"birthDate":"1970-01-01"`)); err != nil {
		t.Fatal(err)
	}
	other.settle()

	w := openWard(t, c, centre, "tram-a", "mai", "nam")
	s := w.a.Store()
	wrong := keyOf("Patient", "card-17")
	var keys []record.Key
	var writes []store.Write
	began := time.Now()
	flush := func() {
		t.Helper()
		if _, err := s.Put(ctx, writes...); err != nil {
			t.Fatal(err)
		}
		writes = nil
	}
	for n := 0; n < records; n++ {
		var one store.Write
		switch id := s.NewID(); {
		case n == 200: // in the midst of the first exchange
			one = birth(wrong.Kind, wrong.ID, `,"name":[{"text":"Lê Văn Tám"}],"birthDate":"1961-01-01"`)
		case n == 201:
			one = birth("Observation", id, `,"status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/card-17"},"valueInteger":72`)
		case n%5 == 0:
			one = birth("Patient", id, fmt.Sprintf(`,"name":[{"text":"Người %d"}],"birthDate":"1980"`, n))
		default:
			one = birth("Observation", id, fmt.Sprintf(`,"status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/%s"},"valueInteger":%d`, keys[n-n%5].ID, 50+n%60))
		}
		if n == 200 {
			flush()
		}
		keys, writes = append(keys, one.Key), append(writes, one)
		if len(writes) == 250 || n == records-1 {
			flush()
		}
		if n == 200 {
			flush()
			for i, more := range []string{`,"gender":"male"`, `,"gender":"male","telecom":[{"system":"phone","value":"0912"}]`} {
				edit := birth(wrong.Kind, wrong.ID, `,"name":[{"text":"Lê Văn Tám"}],"birthDate":"1961-01-01"`+more)
				edit.Base, edit.Author = store.Any, []string{"mai", "nam"}[i]
				writes = append(writes, edit)
				flush()
			}
		}
	}
	wrote := time.Since(began)

	began = time.Now()
	first := w.exchange()
	named := func(when string) {
		t.Helper()
		text := strings.Join(pageText(w.get("nam", "/waiting")), "\n")
		for _, want := range []string{"Not taken by the centre", "Person Lê Văn Tám (time) · Mai", "Another record has the same number.",
			"Later changes that wait for it: 2\n(time) · Mai\n(time) · Nam", "Mend"} {
			if !strings.Contains(text, want) {
				t.Fatalf("%s the page lacks %q:\n%.3000s", when, want, text)
			}
		}
		if strings.Count(text, "Later changes") != 1 {
			t.Errorf("%s more than one entry is named as not taken:\n%.3000s", when, text)
		}
	}
	named("after the first exchange")
	rounds := 1 + w.settle()
	took := time.Since(began)
	named("in the end")

	counts, err := s.Waiting()
	if err != nil || counts.Waiting != 0 || counts.Parked != 3 || counts.Records < records {
		t.Fatalf("counts %+v, %v", counts, err)
	}
	green, missing := 0, 0
	for _, k := range keys {
		if k == wrong {
			continue
		}
		st, err := s.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		if place, err := s.Place(st); err == nil && place == record.Centre {
			green++
		}
		if _, err := c.Store().Get(k); err != nil {
			missing++
		}
	}
	if green != records-1 || missing != 0 {
		t.Errorf("%d of %d others are green, %d are not at the centre", green, records-1, missing)
	}
	if st, err := c.Store().Get(wrong); err != nil || !strings.Contains(string(st.Shown.Content), "1970-01-01") {
		t.Errorf("the other station's person: %v", err)
	}
	t.Logf("%d records written in %v; the first exchange brought %d changes (parked %d) and the page named the wrong one and its 2; %d of %d others green and at the centre after %d exchanges, %v",
		records, wrote.Round(time.Millisecond), first.Sent, first.Parked, green, records-1, rounds, took.Round(time.Millisecond))

	// It is mended by a person: they are two. All that was made here goes with it.
	at := "/record/" + wrong.String()
	code, page := w.post("nam", at+"/reissue", w.filled(w.get("nam", at+"/mend"), at+"/reissue"))
	if code != http.StatusOK || !strings.Contains(page, "It has a number of its own now") {
		t.Fatalf("a number of its own: %d", code)
	}
	w.settle()
	if counts, err := s.Waiting(); err != nil || counts.Waiting != 0 || counts.Parked != 0 {
		t.Errorf("mended: %+v, %v", counts, err)
	}
	if st, err := c.Store().Get(keys[201]); err != nil || strings.Contains(string(st.Shown.Content), "card-17") {
		t.Errorf("what was measured still stands with the other person: %v", err)
	}
	if text := strings.Join(pageText(w.get("nam", "/waiting")), "\n"); strings.Contains(text, "Not taken") {
		t.Errorf("the page still names it:\n%.2000s", text)
	}
}
