package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"tram/agent/intake"
	"tram/store"
	"tram/store/record"
)

const broughtHere = "Tin đã mang mục này đến"

// taken takes a result of a person and is the document that holds the message.
func (s *station) taken(b *browser, who record.Key, text string) record.Key {
	s.t.Helper()
	at := "/incoming/" + s.wait(text)
	_, page, _ := b.get(at)
	if code, _, _ := b.post(at, with(hidden(s.t, page, at), "act", "attach", "person", who.ID)); code != http.StatusSeeOther {
		s.t.Fatalf("attach: %d", code)
	}
	return s.all("DocumentReference")[0].Key
}

// A record's page asks for the message among what is about its person: however many reports
// and documents the station has of others, it is as fast.
func TestRecordPageReadsItsPersonAlone(t *testing.T) {
	s := open(t)
	b := s.as("quang")
	an := s.born("Patient", hoa, "quang")
	letter := s.taken(b, an.Key, oru("1", hoaPID))
	at := "/record/" + s.all("Observation")[0].Key.String()
	page := func() float64 { return testing.AllocsPerRun(3, func() { b.get(at) }) }
	before, beforeLetter := page(), testing.AllocsPerRun(3, func() { b.get("/record/" + letter.String()) })
	other := s.born("Patient", `,"name":[{"text":"Lê Văn Tám"}]`, "quang")
	for i := range 150 {
		about := fmt.Sprintf(`,"code":{"text":"%d"},"subject":{"reference":"%s"}`, i, other.Key)
		s.born("DiagnosticReport", `,"status":"final"`+about, "quang")
		s.born("DocumentReference", `,"status":"current","content":[{"attachment":{"title":"x"}}],"subject":{"reference":"`+other.Key.String()+`"}`, "quang")
	}
	if after := page(); after > 1.5*before {
		t.Errorf("%.0f allocations for a result among many of others, %.0f before", after, before)
	}
	if after := testing.AllocsPerRun(3, func() { b.get("/record/" + letter.String()) }); after > 1.5*beforeLetter {
		t.Errorf("%.0f allocations for a message among many of others, %.0f before", after, beforeLetter)
	}
	_, text, _ := b.get(at)
	want(t, "the result", text, broughtHere, letter.String())
}

// A document that only names a record, and a message that came after it, did not bring it.
func TestOnlyTheMessageThatBroughtARecordIsNamed(t *testing.T) {
	s := open(t)
	b := s.as("quang")
	an := s.born("Patient", hoa, "quang")
	visit := s.born("Encounter", `,"status":"finished","class":{"code":"AMB"},"subject":{"reference":"`+an.Key.String()+`"}`, "quang")
	letter := s.taken(b, an.Key, oru("1", hoaPID))
	report := s.all("DiagnosticReport")[0].Key
	names := func(key record.Key) string { return `{"reference":"` + key.String() + `"}` }
	s.put(store.Write{Key: letter, Base: s.all("DocumentReference")[0].Tag(), Author: "drop",
		Content: []byte(strings.Replace(s.content(letter), names(report), names(report)+","+names(visit.Key), 1))})
	s.born("DocumentReference", `,"status":"current","content":[{"attachment":{"title":"Giấy ra viện"}}],"subject":`+names(an.Key)+
		`,"context":{"related":[`+names(visit.Key)+","+names(report)+`]}`, "quang")
	if _, page, _ := b.get("/record/" + visit.Key.String()); strings.Contains(page, broughtHere) {
		t.Error("a message brought the visit that was here before it")
	}
	_, page, _ := b.get("/record/" + report.String())
	want(t, "the report", page, `<a href="/record/`+letter.String()+`">`+broughtHere)
}

// A message that joined two numbers is not taken back: the two are parted on the page of the
// person, and the page says so.
func TestAMergeIsPartedAndNotTakenBack(t *testing.T) {
	s := open(t)
	b := s.as("quang")
	an := s.born("Patient", hoa, "quang")
	letter := s.taken(b, an.Key, "MSH|^~\\&|HIS|BVH|Tram|TYT|20261005080000||ADT^A40|2|P|2.5\r"+hoaPID+"\rMRG|079002^^^BYT\r")
	at := "/record/" + letter.String()
	_, page, _ := b.get(at)
	want(t, "the merge", page, "tách hai hồ sơ", `<a href="/person/`+an.Key.ID+`">Đến trang`)
	if strings.Contains(page, at+"/back") {
		t.Error("a merge is offered to be taken back")
	}
	f := url.Values{"base": {s.all("DocumentReference")[0].Tag()}}
	if code, _, _ := b.post(at+"/back", f); code != http.StatusConflict || len(s.waits()) != 0 {
		t.Errorf("a merge taken back: %d, waits %v", code, s.waits())
	}
}

// Where the list of what waits is full, taking back is refused in words, and nothing is
// withdrawn.
func TestNothingIsTakenBackOntoAFullList(t *testing.T) {
	s := open(t)
	b := s.as("quang")
	letter := s.taken(b, s.born("Patient", hoa, "quang").Key, oru("1", hoaPID))
	full := make([]intake.Waiting, intake.MaxWaiting)
	for i := range full {
		full[i] = intake.Waiting{ID: fmt.Sprint(i), Why: intake.Unknown}
	}
	list, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.SetSetting(t.Context(), "intake/waiting", list); err != nil {
		t.Fatal(err)
	}
	at, was := "/record/"+letter.String(), s.content(letter)
	_, page, _ := b.get(at)
	code, page, _ := b.post(at+"/back", hidden(t, page, at+"/back"))
	if code != http.StatusConflict || s.content(letter) != was {
		t.Errorf("%d, and the message now: %s", code, s.content(letter))
	}
	want(t, "the page", page, "Đã có 500 tin đang chờ")
}
