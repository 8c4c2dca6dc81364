package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/account"
	"tram/store/record"
	"tram/sync/proof"
)

func TestCertificateOfTheDayIsPrinted(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "quang")
	s.pass(time.UnixMilli(1_790_000_000_000).Sub(s.clock()))
	b := s.as("lan")
	_, page, _ := b.get("/waiting")
	want(t, "waiting", page, `href="/waiting/proof"`)
	_, page, _ = b.get("/waiting/proof")
	want(t, "the certificate", page, "trạm tram-a, ngày 21/09/2026", "Ghi 1 mục, trung tâm đã nhận 0, còn chờ 1.", "Người dân 1", "Chưa gửi", "Chưa so sánh lần nào", "data-print")
	if strings.Contains(page, "Hoà") || strings.Contains(page, v.Key.ID) {
		t.Error("the certificate names a person")
	}
	if code, _, _ := b.post("/language", url.Values{"lang": {"en"}, "back": {"/people"}}); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	_, page, _ = b.get("/waiting/proof?day=2026-09-20")
	want(t, "the day before", page, "station tram-a, 20/09/2026", "0 entries, 0 received", "1 entries of other days wait")
	code, file, _ := b.get("/waiting/proof.json?day=2026-09-21")
	c, _, err := proof.Decode([]byte(file))
	if code != http.StatusOK || err != nil || c.Entries != 1 || c.Waiting[0].Names[0] != v.Name {
		t.Errorf("the file: %d, %+v, %v", code, c, err)
	}
	if code, _, _ := b.get("/waiting/proof?day=soon"); code != http.StatusBadRequest {
		t.Errorf("a day that is none: %d", code)
	}
	if code, _, to := s.browser().get("/waiting/proof.json"); code == http.StatusOK {
		t.Errorf("the certificate is open to nobody in particular: %d %s", code, to)
	}
}

// TestDecisionTellsWhoGaveWay lets trang decide against what quang wrote. He is told
// on his start page, which names the value and leads to the record's own, until he
// has seen it; nothing keeps him from working.
func TestDecisionTellsWhoGaveWay(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	s.meet(v, edited(v, "1961-02-03", "1961-03-02"), edited(v, "1961-02-03", "1962-02-03"))
	decider := s.as("trang")
	at := "/conflicts/" + v.Key.String()
	_, page, _ := decider.get(at)
	f := hidden(t, page, at)
	if code, _, _ := decider.post(at, with(f, "choice", "other", "other", "4/5/1963")); code != http.StatusSeeOther {
		t.Fatalf("decide: %d", code)
	}
	b := s.as("quang")
	vault := "/record/" + v.Key.String() + "/vault"
	_, page, _ = b.get("/people")
	want(t, "the start page", page, `href="`+vault+`"`, "Ngày sinh: 02/03/1961, đã nhường chỗ", "Đặng Thị Hoà", "Một người đã quyết định dùng giá trị khác", `name="q"`)
	_, page, _ = b.get(vault)
	want(t, "the record's values", page, "Bạn đã ghi giá trị này", "02/03/1961", "03/02/1962", "04/05/1963", `aria-current="page">Giá trị đã nhường chỗ`)
	_, form, _ := strings.Cut(page, "Bạn đã ghi giá trị này")
	_, form, _ = strings.Cut(form, `action="/vault/`)
	id, _, _ := strings.Cut(form, "/")
	if code, _, _ := b.get("/people/new"); code != http.StatusOK {
		t.Errorf("a notice keeps from work: %d", code)
	}
	if code, _, to := b.post("/vault/"+id+"/seen", url.Values{"back": {vault}}); code != http.StatusSeeOther || to != vault+"?said=seen" {
		t.Errorf("seen: %d to %q", code, to)
	}
	if _, page, _ = b.get("/people"); strings.Contains(page, "đã nhường chỗ") {
		t.Error("it is told again")
	}
	if code, _, _ := b.post("/vault/"+id+"/restore", nil); code != http.StatusSeeOther {
		t.Errorf("brought back: %d", code)
	}
	want(t, "the record", s.content(v.Key), `"birthDate":"1961-03-02"`)
}

// The notice of a value that somebody's role no longer sees is not shown.
func TestNoticeKeepsToTheRole(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "trang")
	o := s.born("Observation", `,"status":"final","code":{"text":"Mạch"},"subject":{"reference":"`+p.Key.String()+`"},"valueInteger":72`, "trang")
	s.meet(o, edited(o, ":72", ":80"), edited(o, ":72", ":90"))
	st, err := s.store.Get(o.Key)
	if err != nil || !st.Shown.Contested() {
		t.Fatalf("not contested: %v", err)
	}
	d := record.Decision{Path: st.Shown.Conflicts()[0].Path, Value: []byte(`{"valueInteger":85}`)}
	for _, v := range st.Shown.Conflicts()[0].Values {
		for _, w := range v.Writers {
			d.Closes = append(d.Closes, w.Name)
		}
	}
	s.put(store.Write{Key: o.Key, Base: st.Tag(), Decisions: []record.Decision{d}, Author: "trang"})
	_, page, _ := s.as("quang").get("/people")
	want(t, "the doctor's start page", page, "/record/"+o.Key.String()+"/vault")
	if err := s.web.Accounts().Add(t.Context(), "minh", "Minh", account.Clerk, pin, "trang"); err != nil {
		t.Fatal(err)
	}
	if _, page, _ = s.as("minh").get("/people"); strings.Contains(page, "đã nhường chỗ") {
		t.Error("a clerk is told of a measurement")
	}
}

// A third value of a code is typed in words, and what FHIR does not know is refused
// by the store with words beside what was typed.
func TestThirdValueOfACode(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	s.meet(v, edited(v, "female", "male"), edited(v, "female", "other"))
	b := s.as("quang")
	at := "/conflicts/" + v.Key.String()
	_, page, _ := b.get(at)
	f := hidden(t, page, at)
	if code, page, _ := b.post(at, with(f, "choice", "other", "other", "hoa sen")); code != http.StatusUnprocessableEntity || !strings.Contains(page, words(t, "vi")["fault.no-meaning"]) || !strings.Contains(page, "hoa sen") {
		t.Errorf("no code of FHIR: %d", code)
	}
	st, err := s.store.Get(v.Key)
	if err != nil || !st.Shown.Contested() {
		t.Errorf("what was refused decided something: %v", err)
	}
	if code, _, _ := b.post(at, with(f, "choice", "other", "other", "nữ ")); code != http.StatusSeeOther {
		t.Errorf("a code in words: %d", code)
	}
	want(t, "the record", s.content(v.Key), `"gender":"female"`)
	if _, page, _ = b.get("/people"); strings.Contains(page, "đã nhường chỗ") {
		t.Error("who decided against a value of their own is told of it")
	}
}
