package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/audit"
	"tram/store/record"
)

// refuse lets the centre's answer come in: it did not take some versions.
func (s *station) refuse(why record.Reason, vs ...*record.Version) {
	s.t.Helper()
	var said []record.Answer
	for _, v := range vs {
		said = append(said, record.Answer{Key: v.Key, Ref: v.Ref(), Verdict: record.Parked, Reason: why})
		why = record.BaseParked
	}
	if err := s.store.Apply(context.Background(), record.Stretch{Peer: store.Upstream, Answers: said}); err != nil {
		s.t.Fatal(err)
	}
}

// arrive lets a version come down, or the word that a record is gone here.
func (s *station) arrive(seq uint64, key record.Key, v *record.Version, on record.Ref, preview *record.Version) {
	s.t.Helper()
	c := record.Change{Seq: seq, Key: key, Ref: v.Ref(), Version: v, Gone: v == nil}
	err := s.store.Apply(context.Background(), record.Stretch{Cursor: &record.Cursor{Feed: record.OwnFeed, Epoch: "e", Seq: seq},
		Arrived: []record.Arrival{{Change: c, On: on, Preview: preview}}})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestTakenIDGetsANumberOfItsOwn(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	edit := s.put(store.Write{Key: v.Key, Base: v.Name.String(), Content: edited(v, "1961-02-03", "1961-02-04"), Author: "quang"})
	b := s.as("trang")
	at := "/record/" + v.Key.String()
	if code, _, _ := b.post(at+"/reissue", url.Values{"base": {edit.Name.String()}}); code != http.StatusConflict {
		t.Errorf("a number that nobody took is given up: %d", code)
	}
	s.refuse(record.IDTaken, v, edit)
	for _, path := range []string{"/waiting", "/conflicts"} {
		_, page, _ := b.get(path)
		want(t, path, page, "Hồ sơ khác đã dùng số này", "Số lần sửa sau đang chờ mục này: 1", "Nguyễn Văn Quang", at+"/mend")
	}
	_, page, _ := b.get(at)
	want(t, "record", page, "Cần bạn", "Hồ sơ khác đã dùng số này", at+"/mend")
	_, page, _ = b.get(at + "/mend")
	want(t, "mend", page, "Là một hay là hai?", "Là hai: cấp số mới", "Hồ sơ kia không có trên máy này")
	if strings.Contains(page, at+"/same") || strings.Contains(page, at+"/giveup") || strings.Contains(page, "/edit") {
		t.Error("the page offers what does not help")
	}
	if code, _, _ := b.post(at+"/reissue", url.Values{"base": {v.Name.String()}}); code != http.StatusConflict {
		t.Errorf("over what nobody saw: %d", code)
	}
	code, _, to := b.post(at+"/reissue", hidden(t, page, at+"/reissue"))
	if code != http.StatusSeeOther || to == at {
		t.Fatalf("reissue: %d to %s", code, to)
	}
	if code, _, _ := b.get(at); code != http.StatusNotFound {
		t.Errorf("under the old number: %d", code)
	}
	if _, page, _ := b.get(to); !strings.Contains(page, "Hoà") || !strings.Contains(page, "04/02/1961") {
		t.Errorf("under the new number, %s: the person is not there", to)
	}
}

// TestTakenIDIsOneOrGivenUp lets another person under the same id come down:
//
//	theirs(1970), mine(1961)
func TestTakenIDIsOneOrGivenUp(t *testing.T) {
	for _, act := range []string{"same", "giveup"} {
		s := open(t)
		v := s.born("Patient", hoa, "trang")
		s.refuse(record.IDTaken, v)
		theirs := &record.Version{Key: v.Key, Name: record.Name{Lineage: "centrecentrecent", N: 3}, Author: "minh", Stamp: v.Stamp, Content: edited(v, "1961", "1970")}
		theirs.Seen = record.Seen{}.With(theirs.Name)
		both := *theirs
		both.Name, both.Seen, both.Content = record.Name{}, theirs.Seen.Union(v.Seen), edited(v, "1961", "1970")
		s.arrive(1, v.Key, theirs, v.Ref(), &both)
		b := s.as("trang")
		at := "/record/" + v.Key.String()
		_, page, _ := b.get(at + "/mend")
		want(t, "mend", page, "Chỗ hai bản khác nhau", "03/02/1970", "03/02/1961", "Là một: gộp lại")
		edit := "/person/" + v.Key.ID + "/edit"
		_, form, _ := b.get(edit)
		f := with(hidden(t, form, edit), "name", "Đặng Thị Hoà", "birth", "03/02/1970")
		if code, page, _ := b.post(edit, with(f, "phone", "0911111111", "sex", "female")); code != http.StatusConflict || !strings.Contains(page, "Trung tâm chưa nhận phần đã ghi") || !strings.Contains(page, "0911111111") {
			t.Errorf("edited before it was said whether they are one: %d", code)
		}
		code, _, to := b.post(at+"/"+act, hidden(t, page, at+"/"+act))
		if said := map[string]string{"same": "same", "giveup": "given-up"}[act]; code != http.StatusSeeOther || to != at+"?said="+said {
			t.Fatalf("%s: %d to %q", act, code, to)
		}
		st, err := s.store.Get(v.Key)
		if err != nil || st.Parked != "" || !strings.Contains(string(st.Shown.Content), "1970") || st.Shown.Author != "trang" {
			t.Fatalf("%s: %+v, %v", act, st, err)
		}
		if st.Shown.Base != theirs.Ref() || (len(st.Shown.Includes) == 1) != (act == "same") {
			t.Errorf("%s: made from %s, with %s", act, st.Shown.Base, st.Shown.Includes)
		}
		if _, page, _ := b.get(at + "/mend"); !strings.Contains(page, "không có gì phải sửa") {
			t.Errorf("%s: the page still has something to mend", act)
		}
	}
}

func TestRefusedEntryIsCorrected(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "trang")
	o := s.born("Observation", `,"status":"final","code":{"coding":[{"code":"8867-4"}],"text":"Mạch"},"subject":{"reference":"`+p.Key.String()+`"},"valueQuantity":{"value":72,"unit":"bpm"},"note":[{"text":"dài"}],"device":{"display":"x"}`, "quang")
	s.refuse(record.TooLarge, o)
	b := s.as("quang")
	at := "/record/" + o.Key.String()
	_, page, _ := b.get(at + "/mend")
	want(t, "mend", page, "Mục này quá lớn", `value="Mạch"`, "Sửa rồi lưu lại", "bỏ ô này")
	f := hidden(t, page, at+"/mend")
	for name, c := range map[string]struct {
		form url.Values
		code int
		text string
	}{
		"nothing":      {url.Values{}, http.StatusUnprocessableEntity, "Chưa có gì thay đổi"},
		"no number":    {url.Values{"value[x]": {"nhiều"}}, http.StatusUnprocessableEntity, "không hợp với ô này"},
		"must be":      {url.Values{"without:status": {"1"}}, http.StatusUnprocessableEntity, "Vẫn chưa hợp lệ"},
		"not as shown": {url.Values{"base": {"x"}}, http.StatusConflict, "Hồ sơ vừa đổi"},
	} {
		for k, v := range f {
			if !c.form.Has(k) {
				c.form[k] = v
			}
		}
		if code, page, _ := b.post(at+"/mend", c.form); code != c.code || !strings.Contains(page, c.text) {
			t.Errorf("%s: %d, want %d and %q", name, code, c.code, c.text)
		}
	}
	f.Set("value[x]", "84")
	f.Set("code", "Mạch") // as it was
	f.Set("without:note{0}", "1")
	s.pass(5 * time.Minute) // the screen locks meanwhile
	if code, _, _ := b.post(at+"/mend", f); code != http.StatusUnauthorized {
		t.Fatalf("sent to a locked screen: %d", code)
	}
	b.post("/signin", url.Values{"user": {"quang"}, "pin": {pin}, "next": {at + "/mend"}})
	_, page, _ = b.get(at + "/mend")
	want(t, "mend after unlocking", page, `value="84"`, `name="without:note{0}" value="1" checked`, "chưa lưu")
	if code, _, to := b.post(at+"/mend", f); code != http.StatusSeeOther || to != at+"?said=saved" {
		t.Fatalf("corrected: %d to %q", code, to)
	}
	if got := s.content(o.Key); !strings.Contains(got, `"value":84,"unit":"bpm"`) || strings.Contains(got, "note") || !strings.Contains(got, `"8867-4"`) {
		t.Errorf("saved %s", got)
	}
	if list, err := s.store.ParkedList(5); err != nil || len(list) != 0 {
		t.Errorf("still parked: %+v, %v", list, err)
	}
	if _, page, _ := b.get("/waiting"); strings.Contains(page, "Mục này quá lớn") {
		t.Error("the page still names it")
	}
}

func TestGivenUpBirthGoes(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "trang")
	o := s.born("Observation", `,"status":"final","code":{"text":"Mạch"},"subject":{"reference":"`+p.Key.String()+`"}`, "quang")
	s.refuse(record.TooLarge, p)
	s.refuse(record.TooLarge, o)
	b := s.as("quang")
	for _, c := range []struct {
		key  record.Key
		code int
	}{{p.Key, http.StatusConflict}, {o.Key, http.StatusSeeOther}, {p.Key, http.StatusSeeOther}} {
		at := "/record/" + c.key.String()
		_, page, _ := b.get(at + "/mend")
		code, page, to := b.post(at+"/giveup", hidden(t, page, at+"/giveup"))
		if code != c.code || code == http.StatusSeeOther && to != "/waiting?said=given-up" {
			t.Errorf("%s: %d to %q, want %d", c.key, code, to, c.code)
		}
		if code == http.StatusConflict && !strings.Contains(page, "Có mục ghi ở đây thuộc về hồ sơ này") {
			t.Error("the page does not say what belongs to it")
		}
	}
	if list, err := s.store.ParkedList(5); err != nil || len(list) != 0 {
		t.Errorf("still parked: %+v, %v", list, err)
	}
}

// TestKeptOfWhoLeft edits a person who then leaves. Only what was written here is shown,
// to those who may see it, and each look is in the audit.
func TestKeptOfWhoLeft(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	o := s.born("Observation", `,"status":"final","code":{"text":"Mạch"},"subject":{"reference":"`+v.Key.String()+`"}`, "quang")
	s.arrive(1, v.Key, v, v.Ref(), nil)
	edit := s.put(store.Write{Key: v.Key, Base: v.Name.String(), Content: edited(v, "0912345678", "0987654321"), Author: "quang"})
	for i, k := range []record.Key{v.Key, o.Key} {
		s.arrive(uint64(i+2), k, nil, record.Ref{}, nil)
	}
	b := s.as("quang")
	for _, path := range []string{"/waiting", "/conflicts"} {
		_, page, _ := b.get(path)
		want(t, path, page, "Còn giữ của người đã chuyển đi", "/kept/1", "/kept/2", "Đã lưu ở đây")
		if strings.Contains(page, "Hoà") || strings.Contains(page, "0987") || strings.Contains(page, "/record/"+v.Key.String()) {
			t.Errorf("%s shows a record that is not here any more", path)
		}
	}
	_, page, _ := b.get("/people")
	want(t, "the menu", page, `<b class="count hot">2</b>`)
	_, page, _ = b.get("/kept/1")
	want(t, "kept", page, "0987654321", "không còn do trạm quản lý", "Nguyễn Văn Quang", "máy tự gửi về trung tâm", "/kept/1/dismiss", `action="/sync"`, "readonly")
	if strings.Contains(page, "Hoà") || strings.Contains(page, "1961") {
		t.Error("more is shown than what was written here")
	}
	// Who was typing when the person left keeps what they typed.
	for _, form := range []string{"edit", "visit"} {
		code, page, _ := b.post("/person/"+v.Key.ID+"/"+form, url.Values{"base": {edit.Name.String()}, "name": {"đang gõ"}, "note": {"đang gõ"}})
		if code != http.StatusNotFound || !strings.Contains(page, "đang gõ") || !strings.Contains(page, "chưa lưu gì") {
			t.Errorf("%s of who left: %d without what was typed", form, code)
		}
	}
	b.get("/kept/1")
	acts, err := s.store.AuditOf(v.Key, 1)
	if err != nil || len(acts) != 1 || acts[0].Action != audit.Read || acts[0].Who != "quang" {
		t.Errorf("who looked: %+v, %v", acts, err)
	}
	if code, _, _ := s.as("lan").get("/kept/2"); code != http.StatusForbidden {
		t.Errorf("a clerk sees an observation: %d", code)
	}
	if _, page, _ := s.as("lan").get("/waiting"); strings.Contains(page, "/kept/2") {
		t.Error("a clerk is shown an observation in the list")
	}
	s.refuse(record.Disowned, edit)
	s.arrive(4, v.Key, v, record.Ref{}, nil) // and the person comes back
	_, page, _ = b.get("/record/" + v.Key.String() + "/mend")
	want(t, "came back", page, "Hồ sơ đã đi tiếp mà không có lần sửa này", "/giveup", "không gửi nữa")
	if strings.Contains(page, "/edit") || strings.Contains(page, `/mend" class`) {
		t.Error("what the record goes on without is offered for correction")
	}
	_, page, _ = b.get("/kept/1")
	want(t, "came back", page, "Người này lại do trạm quản lý")
	s.arrive(5, v.Key, nil, record.Ref{}, nil)
	_, page, _ = b.get("/kept/1")
	want(t, "refused", page, "Mục bạn nhập vẫn được giữ", "sẽ không còn trên máy")
	if code, _, to := b.post("/kept/1/dismiss", nil); code != http.StatusSeeOther || to != "/waiting?said=dismissed" {
		t.Errorf("dismiss: %d to %q", code, to)
	}
	if code, _, _ := b.post("/kept/1/dismiss", nil); code != http.StatusNotFound {
		t.Errorf("dismissed again: %d", code)
	}
	if c, err := s.store.Waiting(); err != nil || c.Parked != 0 {
		t.Errorf("counts %+v, %v", c, err)
	}
}
