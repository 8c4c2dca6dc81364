package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"tram/store/audit"
	"tram/store/record"
)

// One person came in twice. The page says so, a person compares and joins, both
// records' entries stand together, and parted all is as it was.
func TestTwoRecordsOfOnePerson(t *testing.T) {
	s := open(t)
	one := s.born("Patient", `,"name":[{"text":"Trần Thị Hoà"}],"birthDate":"1961-02-03","identifier":[{"value":"001161002345"}]`, "quang").Key
	two := s.born("Patient", `,"name":[{"text":"TRAN THI HOA"}],"birthDate":"1961-02-03","identifier":[{"value":"DN-4-0017"}]`, "quang").Key
	s.born("AllergyIntolerance", `,"patient":{"reference":"`+two.String()+`"},"code":{"text":"Penicillin"}`, "quang")
	flag := s.born("Flag", `,"status":"active","code":{"text":"Té ngã"},"subject":{"reference":"`+one.String()+`"}`, "quang").Key
	was := s.content(one) + s.content(two)
	b := s.as("quang")
	at := "/person/" + one.ID
	_, page, _ := b.get(at)
	want(t, "the hint", page, "Có thể cùng một người với", at+"/same/"+two.ID, "cùng tên và ngày sinh")
	if n := s.acts("quang", audit.Search, record.Key{}); n != 1 {
		t.Errorf("that another person was shown is told %d times", n)
	}
	if strings.Contains(page, "Penicillin") {
		t.Error("the program joined them by itself")
	}
	_, page, _ = b.get(at + "/same")
	want(t, "the way to another", page, at+"/same/"+two.ID)
	_, page, _ = b.post(at+"/same", url.Values{"q": {"dn40017"}})
	want(t, "who is sought", page, at+"/same/"+two.ID)
	_, page, _ = b.get(at + "/same/" + two.ID)
	want(t, "side by side", page, `Số giấy tờ <b class="mark hot">≠ khác</b></th><td><div>001161002345</div></td><td><div>DN-4-0017</div></td>`)
	if n := strings.Count(page, "≠ khác"); n != 1 {
		t.Errorf("%d things differ, want the number alone", n)
	}
	bases := url.Values{}
	for _, m := range regexp.MustCompile(`name="(base-[^"]*)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		bases.Set(m[1], m[2])
	}
	if code, _, _ := b.post(at+"/same/"+two.ID, nil); code != http.StatusConflict || s.content(one)+s.content(two) != was {
		t.Errorf("joined without having been looked at: %d", code)
	}
	if code, _, to := b.post(at+"/same/"+two.ID, bases); code != http.StatusSeeOther || to != at+"?said=joined" {
		t.Fatalf("join: %d to %s", code, to)
	}
	for _, k := range []record.Key{one, two} {
		_, page, _ := b.get("/person/" + k.ID)
		want(t, "joined", page, "Người này có nhiều hồ sơ", "Penicillin", "Té ngã", "từ hồ sơ", "001161002345", "DN-4-0017")
		if strings.Contains(page, "Có thể cùng một người với") {
			t.Error("the page still asks whether they are the same")
		}
	}
	for _, text := range []string{"001161002345", "DN-4-0017"} {
		b.post("/people", url.Values{"q": {text}})
		_, page, _ := b.get("/people")
		want(t, "found by "+text, page, "cùng người:", "001161002345", "DN-4-0017")
	}
	b.post("/people", url.Values{"q": {"hoa 1961"}})
	if _, page, _ := b.get("/people"); strings.Count(page, `class="row-link" href="/person/`) != 1 {
		t.Error("one person stands in the list twice")
	}
	looks, err := s.store.AuditOf(two, 1)
	if err != nil || len(looks) != 1 || looks[0].Action != audit.Read || looks[0].Who != "quang" {
		t.Errorf("who saw the other record: %+v, %v", looks, err)
	}
	_, page, _ = b.get("/record/" + two.String())
	want(t, "the other's details", page, `href="/person/`+two.ID+`"`, "Hồ sơ khác của người này", "cùng một người")
	if code, _, to := b.post("/person/"+two.ID+"/part/"+one.ID, nil); code != http.StatusSeeOther || to != "/person/"+two.ID+"?said=parted" {
		t.Fatalf("part: %d to %s", code, to)
	}
	if got := s.content(one) + s.content(two); got != was {
		t.Errorf("parted there is %s, was %s", got, was)
	}
	if v, err := s.store.History(flag); err != nil || len(v) != 1 {
		t.Errorf("what refers to one was written: %d versions, %v", len(v), err)
	}
	if _, page, _ := b.get(at); strings.Contains(page, "Penicillin") {
		t.Error("parted, the entries still stand together")
	}
}
