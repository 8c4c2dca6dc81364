package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"tram/store/account"
	"tram/store/audit"
	"tram/store/record"
	"tram/store/scope"
)

func TestWrongEntryIsWithdrawn(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "trang")
	about := `"reference":"` + p.Key.String() + `"}`
	pulse := s.born("Observation", `,"status":"final","code":{"text":"Mạch sai"},"subject":{`+about+`,"valueInteger":9`, "trang")
	allergy := s.born("AllergyIntolerance", `,"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},`+
		`"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"confirmed"}]},"code":{"text":"Tôm"},"patient":{`+about, "trang")
	b := s.as("quang")
	for name, c := range map[string]struct {
		v    *record.Version
		want string
	}{
		"status":       {pulse, `"status":"entered-in-error"`},
		"verification": {allergy, `"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"entered-in-error"}]}`},
	} {
		at := "/record/" + c.v.Key.String()
		_, page, _ := b.get(at)
		f := hidden(t, page, at+"/wrong")
		if code, page, _ := b.post(at+"/wrong", url.Values{"base": {"x"}}); code != http.StatusConflict || !strings.Contains(page, "chưa ghi gì") {
			t.Errorf("%s, over what nobody saw: %d, want 409", name, code)
		}
		if code, _, to := b.post(at+"/wrong", f); code != http.StatusSeeOther || to != at+"?said=wrong" {
			t.Errorf("%s: %d to %q", name, code, to)
		}
		st, err := s.store.Get(c.v.Key)
		if err != nil || st.Shown.Author != "quang" || !strings.Contains(string(st.Shown.Content), c.want) || strings.Contains(string(st.Shown.Content), "clinicalStatus") {
			t.Errorf("%s: %s by %s (%v), want %s", name, st.Shown.Content, st.Shown.Author, err, c.want)
		}
		if _, page, _ = b.get(at); !strings.Contains(page, "ghi nhầm, không dùng") || strings.Contains(page, at+"/wrong") {
			t.Errorf("%s: the page does not tell, or offers it again", name)
		}
	}
	s.born("Basic", `,"code":{"coding":[{"system":"`+scope.System+`","code":"`+scope.Code+`"}]},"subject":{`+about, "tram")
	_, page, _ := b.get("/person/" + p.Key.ID)
	if strings.Contains(page, "/record/Basic/") {
		t.Error("the person's page shows a record of which stations look after them")
	}
	want(t, "the person", page, "<s><a", "ghi nhầm", "Chưa ghi nhận dị ứng")
	if code, _, _ := b.post("/record/"+p.Key.String()+"/wrong", url.Values{"base": {p.Name.String()}}); code != http.StatusBadRequest {
		t.Errorf("a person as such is withdrawn: %d, want 400", code)
	}
}

// However many newer ones there are, wrong or right, an allergy stands above all; only the
// list is cut.
func TestOldAllergyStaysAboveAll(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "lan")
	about := `,"patient":{"reference":"` + p.Key.String() + `"}`
	wrong := `,"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"entered-in-error"}]}`
	s.born("AllergyIntolerance", `,"code":{"text":"Penicillin"},"criticality":"high","recordedDate":"2001-01-01"`+about, "lan")
	for i := range 15 {
		s.born("AllergyIntolerance", fmt.Sprintf(`,"code":{"text":"Nhầm %d"},"recordedDate":"2020-01-%02d"`, i, i+1)+wrong+about, "lan")
	}
	b := s.as("quang")
	alerts := func() (string, string) {
		_, page, _ := b.get("/person/" + p.Key.ID)
		_, above, _ := strings.Cut(page, `<section class="alerts">`)
		above, list, _ := strings.Cut(above, `</section>`)
		return above, list
	}
	above, list := alerts()
	want(t, "beside what was entered in error", above, "Penicillin")
	want(t, "the list", list, "Còn 1 mục nữa")
	if strings.Contains(above, "Nhầm") {
		t.Error("what was entered in error stands above all")
	}
	for i := range 15 {
		s.born("AllergyIntolerance", fmt.Sprintf(`,"code":{"text":"Tôm %d"},"recordedDate":"2021-01-%02d"`, i, i+1)+about, "lan")
	}
	above, _ = alerts()
	want(t, "beside what is right", above, "Penicillin", "Tôm 0", "Tôm 14")
}

// Where somebody is named who died, that is said: on their page, in a search, over a form.
func TestDeathIsSaid(t *testing.T) {
	s := open(t)
	for deceased, said := range map[string]string{
		`,"deceasedDateTime":"2019-07-08"`: "Đã mất 08/07/2019", `,"deceasedBoolean":true`: "Đã mất</b>", `,"deceasedBoolean":false`: "", "": "",
	} {
		p := s.born("Patient", strings.Replace(hoa, "Đặng", "Đỗ", 2)+deceased, "lan")
		b := s.as("quang")
		b.post("/people", url.Values{"q": {"do thi hoa"}})
		_, list, _ := b.get("/people")
		_, row, _ := strings.Cut(list, "/person/"+p.Key.ID)
		row, _, _ = strings.Cut(row, "</tr>")
		_, page, _ := b.get("/person/" + p.Key.ID)
		head, _, _ := strings.Cut(page, "</h1>")
		_, form, _ := b.get("/person/" + p.Key.ID + "/visit")
		for name, text := range map[string]string{"list": row, "head": head, "form": form} {
			if !strings.Contains(text, said) || said == "" && strings.Contains(text, "Đã mất") {
				t.Errorf("%s: the %s does not say %q", deceased, name, said)
			}
		}
	}
}

func TestNamesStandInPlaceOfNumbers(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "program:khongbiet")
	about := `"subject":{"reference":"` + p.Key.String() + `"}`
	visit := s.born("Encounter", `,"status":"finished","class":{"code":"AMB"},`+about, "trang")
	s.born("Observation", `,"status":"final","code":{"text":"Mạch của lượt này"},`+about+`,"encounter":{"reference":"`+visit.Key.String()+`"},"valueInteger":72`, "trang")
	s.born("Observation", `,"status":"final","code":{"text":"Mạch lúc khác"},`+about+`,"valueInteger":80,"performer":[{"reference":"Organization/not-held"}]`, "trang")
	b := s.as("quang")
	_, page, _ := b.get("/record/" + visit.Key.String())
	want(t, "the visit", page, `<a href="/record/`+p.Key.String()+`">Đặng Thị Hoà</a>`, "Ghi trong lượt khám này", "Mạch của lượt này")
	if strings.Contains(page, "Mạch lúc khác") {
		t.Error("the visit shows what was measured elsewhere")
	}
	_, page, _ = b.get("/record/" + p.Key.String() + "/history")
	want(t, "the history", page, "phần mềm khongbiet")
}

// A list that tells of people's records leaves word of each person, once, with who looked.
func TestEveryListLeavesAnEntryOfWhomItShows(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	s.meet(v, edited(v, "0912345678", "0911111111"), edited(v, "0912345678", "0922222222"))
	lost, err := s.store.Vault(record.Key{}, 10)
	if err != nil || len(lost) != 1 {
		t.Fatalf("vault: %v, %v", lost, err)
	}
	if err := s.web.Accounts().Add(t.Context(), "minh", "Minh", account.Nurse, pin, "trang"); err != nil {
		t.Fatal(err)
	}
	p := s.born("Patient", hoa, "trang")
	ill := s.born("Condition", `,"code":{"text":"HIV"},"subject":{"reference":"`+p.Key.String()+`"}`, "trang")
	searches := func(key record.Key, who string) (n int) {
		list, err := s.store.AuditOf(key, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.Action == audit.Search && e.Who == who {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		who, path, shown string
		key              record.Key
		want             int
	}{
		{"quang", "/waiting", "HIV", p.Key, 1}, // the person and the illness
		{"quang", "/waiting", "HIV", ill.Key, 0},
		{"lan", "/waiting", "Hoà", p.Key, 1},
		{"quang", "/conflicts", "0911111111", v.Key, 1},
		{lost[0].Lost.By[0].Author, "/people", "không được dùng sau khi gộp", v.Key, 1},
	} {
		before := searches(c.key, c.who)
		_, page, _ := s.as(c.who).get(c.path)
		want(t, c.path+" of "+c.who, page, c.shown)
		if n := searches(c.key, c.who) - before; n != c.want {
			t.Errorf("%s, which shows %s to %s, left %d entries, want %d", c.path, c.key.Kind, c.who, n, c.want)
		}
	}
}

// Who does not see a person's clinical entries is not told that there are none, nor that
// their conflicts need them.
func TestClerkIsToldWhatIsNotShown(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "quang")
	o := s.born("Observation", `,"status":"final","code":{"text":"Mạch"},"subject":{"reference":"`+p.Key.String()+`"},"valueInteger":72`, "quang")
	s.meet(o, edited(o, ":72", ":80"), edited(o, ":72", ":90"))
	_, page, _ := s.as("lan").get("/person/" + p.Key.ID)
	want(t, "the clerk's page", page, "Phần khám chữa không hiện ở đây")
	if strings.Contains(page, "Chưa có mục nào") || strings.Contains(page, "count hot") {
		t.Error("the clerk is told that there is nothing, or of a conflict that is not shown")
	}
	_, page, _ = s.as("quang").get("/person/" + p.Key.ID)
	want(t, "the doctor's page", page, `<b class="count hot">1</b>`)
	if strings.Contains(page, "không hiện ở đây") {
		t.Error("the doctor is told that something is not shown")
	}
}

// A task belongs to whom it is for, as the list of their entries has it.
func TestTaskLeadsBackToThePerson(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "quang")
	task := s.born("Task", `,"status":"requested","intent":"order","description":"Gọi lại","for":{"reference":"`+p.Key.String()+`"}`, "quang")
	b := s.as("quang")
	_, page, _ := b.get("/person/" + p.Key.ID)
	want(t, "the person", page, "/record/"+task.Key.String())
	_, page, _ = b.get("/record/" + task.Key.String())
	want(t, "the task", page, `<a href="/person/`+p.Key.ID+`">← Đặng Thị Hoà</a>`)
}
