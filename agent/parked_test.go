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
	"tram/store/scope"
	"tram/sync/engine"
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

// TestUnsentEditOfWhoMovedAway ends a station's access to a person about whom it has an
// edit that the centre has not when the station hears of it. The edit is handed in all the same, the station gets
// nothing, and its staff see what they wrote, and no more, until one has done with it.
func TestUnsentEditOfWhoMovedAway(t *testing.T) {
	c, centre := startCentre(t)
	a, b := openWard(t, c, centre, "tram-a", "mai"), openWard(t, c, centre, "tram-b", "hoa")
	ctx := context.Background()
	p := birth("Patient", a.a.Store().NewID(), `,"name":[{"text":"Lê Văn Tám"}],"birthDate":"1961-01-01"`)
	if _, err := a.a.Store().Put(ctx, p); err != nil {
		t.Fatal(err)
	}
	a.settle()
	if _, err := c.Grant(ctx, "tram-b", "", []string{p.Key.ID}, "admin"); err != nil {
		t.Fatal(err)
	}
	b.settle()
	scopes, _, err := c.Store().HistoryAll(store.Since{Kinds: []string{"Basic"}, Limit: 1})
	if err != nil || len(scopes) != 1 {
		t.Fatal(err)
	}
	only := strings.Replace(string(scopes[0].Content), `,{"url":"`+scope.StationURL+`","valueString":"tram-b"}`, "", 1)
	if _, err := c.Store().Put(ctx, store.Write{Key: scopes[0].Key, Base: store.Any, Content: []byte(only), Author: "admin"}); err != nil {
		t.Fatal(err)
	}
	// More than an exchange after cuts takes lies before the edit.
	b.a.link.pace = engine.Pace{Up: 256, Down: 1024, Stretch: 32}
	var before []store.Write
	for range 600 {
		before = append(before, birth("Location", b.a.Store().NewID(), `,"name":"x"`))
	}
	if _, err := b.a.Store().Put(ctx, before...); err != nil {
		t.Fatal(err)
	}
	at := "/person/" + p.Key.ID + "/edit"
	f := b.filled(b.get("hoa", at), at)
	f.Set("phone", "0912345678")
	if code, _ := b.post("hoa", at, f); code != http.StatusOK {
		t.Fatalf("edit: %d", code)
	}
	for n := 0; ; n++ { // until it hears of it
		b.exchange()
		if _, err := b.a.Store().Get(p.Key); err != nil {
			break
		}
		if n == 5 {
			t.Fatal("the station still holds who moved away")
		}
	}
	said := func(path string) string { return strings.Join(pageText(b.get("hoa", path)), "\n") }
	if text := said("/kept/1"); !strings.Contains(text, "It waits to be handed in") || !strings.Contains(text, "[Send now]") {
		t.Errorf("before it is handed in:\n%s", text)
	}
	b.settle()
	if st, err := c.Store().Get(p.Key); err != nil || !strings.Contains(string(st.Shown.Content), "0912345678") {
		t.Errorf("the edit is not at the centre: %v", err)
	}
	if text := said("/waiting"); !strings.Contains(text, "Kept of people who left") || strings.Contains(text, "Tám") {
		t.Errorf("the list:\n%s", text)
	}
	text := said("/kept/1")
	for _, want := range []string{"This person is no longer looked after here.", "0912345678", "It was handed in: the centre has it.", "[Done, take it from the list]"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Tám") || strings.Contains(text, "1961") {
		t.Errorf("more is shown than was written here:\n%s", text)
	}
	if code, page := b.post("hoa", "/kept/1/dismiss", nil); code != http.StatusOK || strings.Contains(page, "/kept/1") {
		t.Errorf("done with: %d", code)
	}
	a.settle()
	if st, err := a.a.Store().Get(p.Key); err != nil || !strings.Contains(string(st.Shown.Content), "0912345678") {
		t.Errorf("who looks after the person now does not have the edit: %v", err)
	}
}
