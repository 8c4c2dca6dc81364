package web_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tram/agent/intake"
	"tram/store"
	"tram/store/audit"
	"tram/store/query"
	"tram/store/record"
)

// oru is a result of 13.4 g/dL about the person of a PID.
func oru(control, pid string) string {
	return "MSH|^~\\&|LIS|BVH|Tram|TYT|20261005080000||ORU^R01|" + control + "|P|2.5\r" + pid +
		"\rOBR|1|||718-7^Hb^LN|||20261005073000|||||||||||||||||||F\rOBX|1|NM|718-7^Hb^LN||13.40|g/dL|12.0-16.0|L|||F\rNTE|1||mẫu hơi vỡ\r"
}

// send drops a file of messages and tells what became of it.
func (s *station) send(text string) intake.Event {
	s.t.Helper()
	e, err := s.intake.Submit(s.t.Context(), "x.hl7", []byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// wait drops a message that must wait, and names it.
func (s *station) wait(text string) string {
	s.t.Helper()
	before := s.waits()
	if e := s.send(text); e.What != intake.Waits {
		s.t.Fatalf("the message does not wait: %+v", e)
	}
	for _, id := range s.waits() {
		if !slices.Contains(before, id) {
			return id
		}
	}
	s.t.Fatal("the message is on no list")
	return ""
}

func (s *station) waits() []string {
	s.t.Helper()
	list, err := s.intake.Waiting()
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, w := range list {
		out = append(out, w.ID)
	}
	return out
}

// all lists the records of a kind.
func (s *station) all(kind string) []*record.Stand {
	s.t.Helper()
	res, err := s.store.Search(query.Query{Kind: kind, Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	return res.Stands
}

// acts counts what somebody did with a record.
func (s *station) acts(who string, action audit.Action, key record.Key) int {
	s.t.Helper()
	n := 0
	list, err := s.store.ActsBefore(0, 10_000)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range list {
		if e.Who == who && e.Action == action && e.Key == key {
			n++
		}
	}
	return n
}

// raw is under which name the audit has a message.
func (s *station) raw(id string) record.Key {
	s.t.Helper()
	list, err := s.intake.Waiting()
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(w intake.Waiting) bool { return w.ID == id })
	if i < 0 {
		s.t.Fatal("it does not wait")
	}
	return record.Key{Kind: "Binary", ID: list[i].Raw}
}

const hoaPID = "PID|1||079001^^^BYT||Đặng^Hoà^Thị||19610203|F|||||0912345678"

// A result comes under a number that nobody has. A nurse sees who it may be, and what
// differs; what she chooses is hers, and the next one comes by itself.
func TestAMessageIsTakenForWhomSomebodyChose(t *testing.T) {
	s := open(t)
	hers := s.born("Patient", hoa+`,"identifier":[{"system":"urn:x","value":"17"}]`, "quang")
	other := s.born("Patient", `,"name":[{"text":"Đặng Thị Hoà"}],"birthDate":"1961-11-30","gender":"male"`, "quang")
	id := s.wait(oru("1", hoaPID))
	at, key := "/incoming/"+id, s.raw(id)
	b := s.as("quang")
	for _, path := range []string{"/people", "/conflicts"} {
		_, page, _ := b.get(path)
		want(t, path, page, "1 tin chờ biết là của ai", `href="/incoming"`)
	}
	_, page, _ := b.get("/incoming")
	want(t, "the list", page, "Kết quả xét nghiệm", "Đặng Hoà Thị", "03/02/1961", "079001", "Không ai ở đây có mã số", at)
	_, page, _ = b.get(at)
	want(t, "the message", page, "13,40 g/dL", "12.0-16.0", "mẫu hơi vỡ", "OBX|1|NM|718-7", "17", "cùng tên và ngày sinh", "cùng tên, năm sinh không khác",
		`value="`+hers.Key.ID+`"`, `value="`+other.Key.ID+`"`)
	if n := strings.Count(page, "≠ khác"); n != 2 {
		t.Errorf("%d things differ, want the other's birth and sex", n)
	}
	if regexp.MustCompile(`(radio|checkbox)"[^>]*checked`).MatchString(page) {
		t.Error("the page chooses by itself")
	}
	if s.acts("quang", audit.Read, key) != 1 || s.acts("quang", audit.Read, hers.Key) != 1 || s.acts("quang", audit.Read, other.Key) != 1 {
		t.Error("not every look is in the audit")
	}
	form := with(hidden(t, page, at), "act", "attach")
	if code, page, _ := b.post(at, form); code != http.StatusUnprocessableEntity || !strings.Contains(page, "Hãy chọn một người") {
		t.Errorf("nobody chosen: %d", code)
	}
	s.put(store.Write{Key: hers.Key, Base: hers.Name.String(), Content: edited(hers, "0912345678", "0900000000"), Author: "lan"})
	form = with(form, "person", hers.Key.ID, "remember", "1")
	code, page, _ := b.post(at, form)
	if code != http.StatusConflict || len(s.all("DiagnosticReport")) != 0 {
		t.Fatalf("chosen as the record was before: %d", code)
	}
	want(t, "shown anew", page, "vừa đổi nên chưa ghi gì", "0900000000", `value="`+hers.Key.ID+`" checked`, `name="remember" value="1" checked`)
	form = with(hidden(t, page, at), "act", "attach", "person", hers.Key.ID, "remember", "1")
	if code, _, to := b.post(at, form); code != http.StatusSeeOther || to != "/person/"+hers.Key.ID+"?said=attached" {
		t.Fatalf("attach: %d to %s", code, to)
	}
	reports := s.all("DiagnosticReport")
	if len(reports) != 1 || reports[0].Shown.Author != "quang" || !strings.Contains(string(reports[0].Shown.Content), hers.Key.String()) {
		t.Errorf("what came of it: %+v", reports)
	}
	if s.acts("quang", audit.Decide, key) != 1 || s.acts("quang", audit.Decide, hers.Key) != 1 {
		t.Error("the choice is not in the audit")
	}
	_, page, _ = b.get("/person/" + hers.Key.ID + "?said=attached")
	want(t, "the person", page, "Đã nhận tin vào hồ sơ này", "13,40 g/dL")
	if !strings.Contains(s.content(hers.Key), "079001") {
		t.Error("the number is not remembered")
	}
	for _, path := range []string{at, at + "/reject"} {
		if code, page, _ := b.get(path); code != http.StatusNotFound || !strings.Contains(page, "Đã có người xử lý tin này") {
			t.Errorf("%s afterwards: %d", path, code)
		}
		if code, page, _ := b.post(path, form); code != http.StatusConflict || !strings.Contains(page, "Đã có người xử lý tin này") {
			t.Errorf("%s once more: %d", path, code)
		}
	}
	if e := s.send(oru("2", hoaPID)); e.What != intake.Took {
		t.Errorf("the next one: %+v", e)
	}
}

// Whom the list does not name is looked for by name; the search does not undo a choice.
func TestSomebodyElseIsFoundForAMessage(t *testing.T) {
	s := open(t)
	hers := s.born("Patient", hoa, "quang")
	at := "/incoming/" + s.wait(oru("1", "PID|1||079001^^^BYT||Lê^Na||1990|F"))
	b := s.as("quang")
	_, page, _ := b.get(at)
	want(t, "before", page, "Ở đây không có ai giống")
	code, page, to := b.post(at, url.Values{"act": {"search"}, "q": {"hoa dang"}})
	if code != http.StatusOK || to != "" {
		t.Fatalf("search: %d to %s", code, to)
	}
	want(t, "found", page, `value="`+hers.Key.ID+`"`, "Đặng Thị Hoà")
	form := with(hidden(t, page, at), "q", "nobody at all", "person", hers.Key.ID)
	_, page, _ = b.post(at, with(form, "act", "search"))
	want(t, "sought again", page, "Không tìm thấy ai", `value="`+hers.Key.ID+`" checked`)
	// Name and birth date differ: that is asked once more, for this person alone.
	other := s.born("Patient", `,"name":[{"text":"Trần Tám"}],"birthDate":"1955"`, "quang")
	for _, sure := range []string{"", "1", other.Key.ID} {
		code, page, _ := b.post(at, with(form, "act", "attach", "sure", sure))
		if code != http.StatusUnprocessableEntity || len(s.waits()) != 1 {
			t.Fatalf("another name, %q: %d, waits %v", sure, code, s.waits())
		}
		want(t, "asked", page, "khác với trong tin", `name="sure" value="`+hers.Key.ID+`"`, "đúng là Đặng Thị Hoà, 03/02/1961")
	}
	if code, _, to := b.post(at, with(form, "act", "attach", "sure", hers.Key.ID)); code != http.StatusSeeOther || to != "/person/"+hers.Key.ID+"?said=attached" {
		t.Errorf("attach: %d to %s", code, to)
	}
	if strings.Contains(s.content(hers.Key), "079001") {
		t.Error("the number is remembered, and nobody asked for it")
	}
}

func TestAMessageRegistersANewPerson(t *testing.T) {
	s := open(t)
	at := "/incoming/" + s.wait(oru("1", hoaPID))
	b := s.as("quang")
	if code, _, to := b.post(at, url.Values{"act": {"attach"}, "person": {"new"}}); code != http.StatusSeeOther || to != "/incoming?said=registered" {
		t.Fatalf("register: %d to %s", code, to)
	}
	born := s.all("Patient")
	if len(born) != 1 || born[0].Shown.Author != "quang" || !strings.Contains(string(born[0].Shown.Content), "079001") || len(s.waits()) != 0 {
		t.Errorf("registered %+v, waits %v", born, s.waits())
	}
}

// The person who was chosen is gone by now, or never was here.
func TestNobodyIsChosenWhoIsNotHere(t *testing.T) {
	s := open(t)
	hers := s.born("Patient", hoa, "quang")
	at := "/incoming/" + s.wait(oru("1", hoaPID))
	b := s.as("quang")
	_, page, _ := b.get(at)
	form := with(hidden(t, page, at), "act", "attach")
	s.put(store.Write{Key: hers.Key, Base: hers.Name.String(), Delete: true, Author: "quang"})
	for _, who := range []string{hers.Key.ID, "nobody-1", "../x", strings.Repeat("x", 1000)} {
		code, page, _ := b.post(at, with(form, "person", who))
		if code != http.StatusConflict || !strings.Contains(page, "không còn ở máy này") || len(s.waits()) != 1 {
			t.Errorf("%.20s: %d, waits %v", who, code, s.waits())
		}
	}
}

func TestAMessageOfNobodyIsSetAside(t *testing.T) {
	s := open(t)
	id := s.wait(oru("1", hoaPID))
	at, key := "/incoming/"+id+"/reject", s.raw(id)
	b := s.as("quang")
	_, page, _ := b.get(at)
	want(t, "the question", page, "Tin này không của ai ở đây?", "drop/aside", "Đặng Hoà Thị", "13,40 g/dL")
	if len(s.waits()) != 1 || s.acts("quang", audit.Read, key) != 1 {
		t.Fatal("to ask was enough, or the look is not in the audit")
	}
	if code, _, to := b.post(at, nil); code != http.StatusSeeOther || to != "/incoming?said=rejected" || len(s.waits()) != 0 {
		t.Fatalf("reject: %d to %s, waits %v", code, to, s.waits())
	}
	kept, err := os.ReadFile(filepath.Join(s.drop, "aside", id+".hl7"))
	if err != nil || !strings.Contains(string(kept), "079001") {
		t.Errorf("what is kept aside: %q, %v", kept, err)
	}
	if s.acts("quang", audit.Dismiss, key) != 1 {
		t.Error("the audit does not have it")
	}
}

// Where it cannot be set aside it waits on, and the page says what to do.
func TestAMessageThatCannotBeSetAsideWaitsOn(t *testing.T) {
	s := open(t)
	id := s.wait(oru("1", hoaPID))
	if err := os.WriteFile(filepath.Join(s.drop, "aside"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, page, _ := s.as("quang").post("/incoming/"+id+"/reject", nil)
	if code != http.StatusInternalServerError || !strings.Contains(page, "nên tin vẫn chờ") || len(s.waits()) != 1 {
		t.Errorf("%d, waits %v", code, s.waits())
	}
}

// Who may not see clinical records sees nothing of what came in, not even that it did.
func TestIncomingIsForThoseWhoTreat(t *testing.T) {
	s := open(t)
	at := "/incoming/" + s.wait(oru("1", hoaPID))
	b := s.as("lan")
	for _, path := range []string{"/incoming", at, at + "/reject"} {
		if code, page, _ := b.get(path); code != http.StatusForbidden || strings.Contains(page, "079001") {
			t.Errorf("%s: %d", path, code)
		}
	}
	for _, path := range []string{at, at + "/reject"} {
		if code, _, _ := b.post(path, url.Values{"act": {"attach"}, "person": {"new"}}); code != http.StatusForbidden || len(s.waits()) != 1 {
			t.Errorf("%s: %d", path, code)
		}
	}
	for _, path := range []string{"/people", "/conflicts"} {
		if _, page, _ := b.get(path); strings.Contains(page, `href="/incoming"`) || strings.Contains(page, "count hot") {
			t.Errorf("%s leads there, or says that something needs this user", path)
		}
	}
	if code, _, _ := s.browser().get(at); code != http.StatusUnauthorized {
		t.Errorf("without sign-in: %d", code)
	}
}

// Whoever sends a message makes up all that is in it.
func TestHostileMessageStaysText(t *testing.T) {
	s := open(t)
	const evil = `"><script>alert(1)</script><a href="javascript:x">` + "\u202e"
	text := strings.NewReplacer("Đặng", evil, "mẫu hơi vỡ", "</pre>"+evil, "13.40|g/dL", "13.40|"+evil, "718-7^Hb^LN", "x^"+evil+"^L").Replace(oru("1", hoaPID))
	id := s.wait(text + strings.Repeat("OBX|1|ST|a^b^L||"+strings.Repeat("w", 300)+"\r", 400))
	b := s.as("quang")
	b.post("/incoming/"+id, url.Values{"act": {"search"}, "q": {evil}, "person": {evil}})
	for _, path := range []string{"/incoming", "/incoming/" + id, "/incoming/" + id + "/reject"} {
		code, page, _ := b.get(path)
		if code != http.StatusOK || strings.Contains(page, "<script>alert") || strings.Contains(page, `href="javascript`) || strings.Contains(page, "</pre>&#34;") {
			t.Errorf("%s: %d, or what it shows is not text alone", path, code)
		}
		want(t, path, page, "&lt;script&gt;alert(1)")
		if path != "/incoming" {
			want(t, path, page, "Còn 102 dòng nữa", "Tin dài hơn phần hiện ở đây")
		}
		if len(page) > 512<<10 {
			t.Errorf("%s has %d bytes", path, len(page))
		}
	}
}

// What is no result says what it is.
func TestOtherMessagesThatWait(t *testing.T) {
	s := open(t)
	head := "MSH|^~\\&|HIS|BVH|Tram|TYT|20261005080000||"
	for _, c := range []struct{ name, text, what, says string }{
		{"an update", head + "ADT^A08|1|P|2.5\r" + hoaPID + "\rPV1|1|O\r", "Thông tin người bệnh", "những chỗ còn trống cũng được bổ sung"},
		{"a merge", head + "ADT^A40|2|P|2.5\r" + hoaPID + "\rMRG|079002^^^BYT\r", "Gộp hai mã số", "Tin này báo hai mã số là của một người"},
	} {
		at := "/incoming/" + s.wait(c.text)
		_, page, _ := s.as("quang").get(at)
		want(t, c.name, page, c.what, c.says)
		if c.name == "a merge" {
			want(t, c.name, page, "079002")
			if strings.Contains(page, `name="remember"`) {
				t.Error("a merge asks whether to remember its numbers")
			}
		}
	}
}

func TestReportOfADay(t *testing.T) {
	s := open(t)
	b := s.as("quang")
	_, page, _ := b.get("/incoming")
	want(t, "nothing yet", page, "Ngày này không có gì đến", "Không có tin nào chờ", "/incoming?day=2026-10-04")
	s.intake.Receive(t.Context(), []byte(oru("1", hoaPID)))
	s.intake.Receive(t.Context(), []byte(strings.Replace(oru("2", hoaPID), "ORU^R01", "ORM^O01", 1)))
	_, page, _ = b.get("/incoming")
	want(t, "today", page, "Đã đến ngày 05/10/2026", "Tin qua mạng", "Kết quả xét nghiệm", "<small>ORU^R01</small></td><td>0</td><td>0</td><td><b>1</b></td><td>0</td>",
		"<small>ORM^O01</small></td><td>0</td><td>0</td><td>0</td><td><b class=\"hot\">1</b></td>", "1 × Đây không phải loại tin mà Tram nhận;")
	if strings.Contains(page, "2026-10-06") {
		t.Error("the page leads to tomorrow")
	}
	_, page, _ = b.get("/incoming?day=2026-10-04")
	want(t, "yesterday", page, "Đã đến ngày 04/10/2026", "Ngày này không có gì đến", "/incoming?day=2026-10-03", "/incoming?day=2026-10-05")
	for _, day := range []string{"x", "2026-13-01", "../../key"} {
		if code, _, _ := b.get("/incoming?day=" + url.QueryEscape(day)); code != http.StatusNotFound {
			t.Errorf("day %s: %d", day, code)
		}
	}
}

// A result went to the wrong person, whose the number is now too. All that it brought is
// withdrawn in one act, and it waits for the right one.
func TestAMessageIsTakenBack(t *testing.T) {
	s := open(t)
	wrong := s.born("Patient", hoa+`,"identifier":[{"system":"urn:x","value":"17"}]`, "quang")
	visit := s.born("Encounter", `,"status":"finished","class":{"code":"AMB"},"subject":{"reference":"`+wrong.Key.String()+`"}`, "quang")
	at := "/incoming/" + s.wait(oru("1", hoaPID))
	b := s.as("quang")
	_, page, _ := b.get(at)
	form := with(hidden(t, page, at), "act", "attach", "person", wrong.Key.ID, "remember", "1")
	if code, _, _ := b.post(at, form); code != http.StatusSeeOther {
		t.Fatalf("attach: %d", code)
	}
	// A visit that was here before the message came is not what it brought.
	letter, report := s.all("DocumentReference")[0].Key, s.all("DiagnosticReport")[0].Key.String()
	s.put(store.Write{Key: letter, Base: s.all("DocumentReference")[0].Tag(), Author: "drop",
		Content: []byte(strings.Replace(s.content(letter), `{"reference":"`+report+`"}`, `{"reference":"`+report+`"},{"reference":"`+visit.Key.String()+`"}`, 1))})
	for _, kind := range []string{"Observation", "DiagnosticReport"} {
		_, page, _ := b.get("/record/" + s.all(kind)[0].Key.String())
		want(t, kind, page, `<a href="/record/`+letter.String()+`">Tin đã mang mục này đến`)
	}
	back := "/record/" + letter.String() + "/back"
	_, page, _ = b.get("/record/" + letter.String())
	want(t, "the message", page, "Tin này không phải của người này?", "Điện thoại, địa chỉ và những gì khác", "13,40 g/dL", "Bỏ cả mã số của tin khỏi người này: 079001", `name="numbers" value="1" checked`)
	if code, _, _ := s.as("lan").post(back, nil); code != http.StatusForbidden {
		t.Errorf("by a clerk: %d", code)
	}
	if code, _, _ := b.post(back, nil); code != http.StatusConflict || len(s.waits()) != 0 {
		t.Errorf("a form without a version: %d, waits %v", code, s.waits())
	}
	if code, _, to := b.post(back, with(hidden(t, page, back), "numbers", "1")); code != http.StatusSeeOther || to != at+"?said=taken-back" {
		t.Fatalf("taken back: %d to %s", code, to)
	}
	for _, kind := range []string{"Observation", "DiagnosticReport", "DocumentReference"} {
		if st := s.all(kind); len(st) != 1 || st[0].Shown.Author != "quang" || !strings.Contains(string(st[0].Shown.Content), `"status":"entered-in-error"`) {
			t.Errorf("%s: %s", kind, st[0].Shown.Content)
		}
	}
	if s.content(visit.Key) != string(visit.Content) {
		t.Errorf("the visit from before: %s", s.content(visit.Key))
	}
	if now := s.content(wrong.Key); strings.Contains(now, "079001") || !strings.Contains(now, `"17"`) {
		t.Errorf("the numbers of the wrong person: %s", now)
	}
	_, page, _ = b.get(at + "?said=taken-back")
	want(t, "it waits again", page, "Đã rút tin khỏi người đó", "đã được nhận nhầm cho người khác", "13,40 g/dL")
	if code, _, _ := b.post(back, with(hidden(t, page, at), "base", s.all("DocumentReference")[0].Tag())); code != http.StatusConflict || len(s.waits()) != 1 {
		t.Errorf("once more: %d, waits %v", code, s.waits())
	}
	right := s.born("Patient", hoa, "quang")
	_, page, _ = b.get(at)
	if code, _, _ := b.post(at, with(hidden(t, page, at), "act", "attach", "person", right.Key.ID)); code != http.StatusSeeOther || len(s.waits()) != 0 {
		t.Fatalf("attach to the right one: %d, waits %v", code, s.waits())
	}
	if n := len(s.all("Observation")); n != 2 {
		t.Errorf("%d results, want the withdrawn one and the right one's", n)
	}
	if e := s.send(oru("1", hoaPID)); e.What != intake.Again {
		t.Errorf("the same file afterwards: %+v", e)
	}
}

func TestOneIsCountedAsOne(t *testing.T) {
	s := open(t)
	b := s.as("quang")
	b.post("/language", url.Values{"lang": {"en"}, "back": {"/people"}})
	for i, text := range []string{"1 message waits for somebody to say whose it is.", "2 messages wait for somebody to say whose they are."} {
		s.wait(oru(string(rune('1'+i)), hoaPID))
		_, page, _ := b.get("/people")
		want(t, "the start page", page, text)
	}
}
