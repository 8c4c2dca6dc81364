package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"tram/agent/health"
	"tram/agent/intake"
	"tram/agent/web/entry"
	"tram/store"
	"tram/store/account"
	"tram/store/audit"
	"tram/store/practice"
	"tram/store/record"
)

// load puts a practice day into the store and returns somebody with a record.
func (s *station) load() (patient string, some record.Key) {
	s.t.Helper()
	p := practice.New(3, practice.Options{People: 80})
	seen := map[record.Key]bool{}
	var writes []store.Write
	for _, e := range append(p.Shared(), p.Day(0)...) {
		k := record.Key{Kind: e.Kind, ID: e.ID}
		if seen[k] {
			continue
		}
		seen[k] = true
		writes = append(writes, store.Write{Key: k, Content: e.Resource, Author: e.Author})
		if e.Kind == "MedicationRequest" {
			patient, some = e.Patient, k
		}
	}
	if _, err := s.store.Put(s.t.Context(), writes...); err != nil {
		s.t.Fatal(err)
	}
	return patient, some
}

func TestEveryPageAnswersInBothLanguages(t *testing.T) {
	s := open(t)
	patient, some := s.load()
	v := s.born("Patient", hoa, "quang")
	s.meet(v, edited(v, "1961-02-03", "1961-03-02"), edited(v, "1961-02-03", "1962-02-03"))
	message := "/incoming/" + s.wait(oru("1", "PID|1||9^^^BYT||Đặng^Hoà^Thị||19610203|F"))
	b := s.as("trang")
	b.post("/people", url.Values{"q": {"nguyen"}})
	raw := regexp.MustCompile(`\b(nav|said|signin|setup|account|me|role|people|person|field|choice|form|fault|doubt|record|history|audit|action|author|waiting|sticks|proof|parked|mend|kept|clock|conflicts?|vault|policy|state|staff|program|incoming|letter|source|error)\.[a-z-]+\b`)
	kinds := regexp.MustCompile(`[{}]|%!|\[object|&lt;nil|ZgotmplZ`)
	titles := map[string]map[string]bool{}
	for _, path := range []string{"/people", "/people/new", "/person/" + patient, "/person/" + patient + "?kind=Observation", "/person/" + patient + "/edit",
		"/person/" + patient + "/visit", "/person/" + patient + "/allergy", "/record/" + some.String(), "/record/" + some.String() + "?raw", "/record/" + some.String() + "/history",
		"/record/" + some.String() + "/audit", "/record/Patient/" + patient + "/audit", "/record/" + v.Key.String() + "/vault", "/waiting", "/waiting/proof", "/conflicts", "/conflicts/" + v.Key.String(), "/incoming", message, message + "/reject", "/state", "/me", "/staff", "/programs", "/signin", "/nothing"} {
		titles[path] = map[string]bool{}
		for _, lang := range []string{"vi", "en"} {
			if code, _, _ := b.post("/language", url.Values{"lang": {lang}, "back": {"/people"}}); code != http.StatusSeeOther {
				t.Fatalf("language: %d", code)
			}
			code, page, to := b.get(path)
			if path == "/signin" && to == "/people" {
				continue
			}
			if want := map[bool]int{true: 404, false: 200}[path == "/nothing"]; code != want {
				t.Errorf("%s in %s: %d, want %d", path, lang, code, want)
			}
			want(t, path, page, `<html lang="`+lang+`">`)
			text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")
			if k := raw.FindString(text); k != "" && !strings.Contains(path, "raw") {
				t.Errorf("%s in %s shows the key %q", path, lang, k)
			}
			if k := kinds.FindString(text); k != "" && !strings.Contains(path, "raw") {
				t.Errorf("%s in %s shows %q", path, lang, k)
			}
			titles[path][page[strings.Index(page, "<title>"):strings.Index(page, "</title>")]] = true
		}
		if path != "/signin" && len(titles[path]) != 2 {
			t.Errorf("%s has one title in two languages: %v", path, titles[path])
		}
	}
}

// words reads a catalogue by "section.key".
func words(t *testing.T, lang string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("pages/texts_" + lang + ".toml")
	if err != nil {
		t.Fatal(err)
	}
	var sections map[string]map[string]string
	if err := toml.Unmarshal(raw, &sections); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for s, list := range sections {
		for k, text := range list {
			out[s+"."+k] = text
		}
	}
	return out
}

func TestCataloguesAreComplete(t *testing.T) {
	vi, en := words(t, "vi"), words(t, "en")
	places := regexp.MustCompile(`\{\d\}`)
	for k, text := range vi {
		if en[k] == "" || text == "" {
			t.Errorf("%s has no words in both languages", k)
		}
		if a, b := len(places.FindAllString(text, -1)), len(places.FindAllString(en[k], -1)); a != b {
			t.Errorf("%s has %d places in Vietnamese and %d in English", k, a, b)
		}
	}
	for k := range en {
		if vi[k] == "" {
			t.Errorf("%s has no Vietnamese", k)
		}
	}
	used := map[string]bool{}
	files, err := os.ReadDir("pages")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".html") {
			continue
		}
		b, err := os.ReadFile("pages/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\bt "([a-z.-]+)"`).FindAllStringSubmatch(string(b), -1) {
			used[m[1]] = true
		}
	}
	go1 := regexp.MustCompile(`"((?:signin|setup|account|me|clock|conflict|fault|error|state|person|said|form|waiting|staff|audit|history|record|people|mend|kept|parked|program)\.[a-z-]+)"`)
	src, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range src {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range go1.FindAllStringSubmatch(string(b), -1) {
			used[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`return http\.Status\w+, "([a-z-]+)"|c\.refuse\(http\.Status\w+, "([a-z-]+)"`).FindAllStringSubmatch(string(b), -1) {
			used["error."+m[1]+m[2]+".title"], used["error."+m[1]+m[2]+".todo"] = true, true
		}
	}
	for _, fields := range [][]entry.Field{entry.PersonFields(), entry.VisitFields(), entry.AllergyFields()} {
		for _, f := range fields {
			used["field."+f.Name] = true
			for _, c := range f.Choices {
				used["choice."+f.Name+"-"+c] = true
			}
		}
	}
	for _, c := range []string{entry.Missing, entry.TooLong, entry.NoDate, entry.NoNumber, entry.NoChoice, entry.OneOfTwo, entry.Nothing, entry.NoMeaning,
		entry.NoMoment, entry.NoDay, entry.NoYear, entry.NoPhone, entry.Beyond} {
		used["fault."+c] = true
	}
	for _, c := range []string{entry.Unusual, entry.Future, entry.Old, entry.Unborn, entry.Swapped} {
		used["doubt."+c] = true
	}
	for _, r := range account.Roles() {
		used["role."+string(r)] = true
	}
	for _, a := range []audit.Action{audit.Read, audit.Search, audit.Create, audit.Update, audit.Delete, audit.Decide, audit.SignIn, audit.Refuse, audit.Export, audit.GiveUp, audit.Dismiss, audit.Date, audit.Review} {
		used["action."+string(a)] = true
	}
	for _, p := range []string{"later", "further", "edit-lives", "referred", "derived", "decided", "replaced"} {
		used["policy."+p] = true
	}
	for _, b := range []health.Basis{health.Measured, health.Likely, health.Unknown} {
		used["clock."+string(b)+"-why"] = true
	}
	for _, from := range []intake.Source{intake.JSON, intake.Lines, intake.HL7, intake.Network, intake.Table} {
		used["source."+string(from)] = true
	}
	if len(used) < 200 {
		t.Fatalf("only %d keys were found in templates and code", len(used))
	}
	for k := range used {
		if k != "error.internal.go" && vi[k] == "" {
			t.Errorf("%s is used and has no words", k)
		}
	}
}

func TestNoPatientsDataInAddresses(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "quang")
	b := s.as("quang")
	code, _, to := b.post("/people", url.Values{"q": {"dang hoa 1961"}})
	if code != http.StatusSeeOther || to != "/people" {
		t.Fatalf("search: %d to %q", code, to)
	}
	_, page, _ := b.get("/people")
	want(t, "the search", page, "/person/"+v.Key.ID, "Đặng Thị Hoà", "03/02/1961", "0912345678")
	_, page2, _ := b.get("/person/" + v.Key.ID)
	for _, m := range regexp.MustCompile(`(?:href|action)="([^"]*)"`).FindAllStringSubmatch(page+page2, -1) {
		at, err := url.QueryUnescape(m[1])
		if err != nil || regexp.MustCompile(`(?i)đặng|hoà|hoa|1961|0912`).MatchString(strings.ReplaceAll(at, v.Key.ID, "")) {
			t.Errorf("the address %q says something of a person", at)
		}
	}
}

func TestNewPersonAndHint(t *testing.T) {
	s := open(t)
	s.born("Patient", hoa, "trang")
	b := s.as("quang")
	_, page, _ := b.get("/people/new")
	f := with(hidden(t, page, "/people/new"), "name", "dang thi  hoà", "birth", "1961")
	code, page, _ := b.post("/people/new", f)
	if code != http.StatusUnprocessableEntity {
		t.Fatalf("somebody similar: %d, want to be asked back", code)
	}
	want(t, "the hint", page, "Có người giống", "Đặng Thị Hoà", "dang thi  hoà")
	code, _, to := b.post("/people/new", with(f, "sure", "1"))
	if code != http.StatusSeeOther {
		t.Fatalf("sure: %d", code)
	}
	key := record.Key{Kind: "Patient", ID: strings.TrimSuffix(strings.TrimPrefix(to, "/person/"), "?said=saved")}
	st, err := s.store.Get(key)
	if err != nil || st.Shown.Author != "quang" {
		t.Fatalf("the new person: %v by %q", err, st.Shown.Author)
	}
	if got := s.content(key); !strings.Contains(got, `"birthDate":"1961"`) || !strings.Contains(got, `"family":"dang","given":["thi","hoà"]`) {
		t.Errorf("saved %s", got)
	}
	// The same form again saves nothing twice; a changed one is not lost.
	if code, _, again := b.post("/people/new", f); code != http.StatusSeeOther || again != to {
		t.Errorf("sent twice: %d to %q", code, again)
	}
	if found, err := s.store.People("hoa", 10); err != nil || len(found) != 2 {
		t.Errorf("%d people, %v, want 2", len(found), err)
	}
	code, page, _ = b.post("/people/new", with(f, "name", "Dang Thi Hoa Hai"))
	if code != http.StatusConflict || !strings.Contains(page, "Dang Thi Hoa Hai") || strings.Contains(page, f.Get("ids")) {
		t.Errorf("a changed form under a taken id: %d", code)
	}
	for name, c := range map[string]struct{ field, value, text string }{
		"no name":    {"name", " ", "Hãy ghi mục này"},
		"no date":    {"birth", "31/02/1961", "không có trong lịch"},
		"to come":    {"birth", "01/01/2031", "chưa đến"},
		"no choice":  {"sex", "purple", "Hãy chọn"},
		"hostile id": {"birth", "x", "Hãy ghi như"},
	} {
		g := with(url.Values{"ids": {"aaaaaaaaaaaaaaaa-1"}, "name": {"Lê Văn Tám"}}, c.field, c.value)
		if code, page, _ := b.post("/people/new", g); code != http.StatusUnprocessableEntity || !strings.Contains(page, c.text) || strings.Contains(page, "aaaaaaaaaaaaaaaa") {
			t.Errorf("%s: %d without %q", name, code, c.text)
		}
	}
}

func TestStaleEditLosesNothing(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	edit := "/person/" + v.Key.ID + "/edit"
	b := s.as("quang")
	_, page, _ := b.get(edit)
	f := with(hidden(t, page, edit), "name", "Đặng Thị Hoa", "birth", "03/02/1961", "sex", "female", "phone", "0912345678")
	s.put(store.Write{Key: v.Key, Base: v.Name.String(), Author: "trang",
		Content: []byte(strings.NewReplacer("Đặng Thị Hoà", "Đặng Thị Hòa", "0912345678", "0900000000").Replace(string(v.Content)))})
	code, page, _ := b.post(edit, f)
	if code != http.StatusConflict {
		t.Fatalf("a stale edit: %d, want 409", code)
	}
	want(t, "the stale form", page, `value="Đặng Thị Hoa"`, "Người khác vừa ghi:", "<b>Đặng Thị Hòa</b>", `value="0900000000"`)
	if got := s.content(v.Key); strings.Contains(got, `"Đặng Thị Hoa"`) {
		t.Error("a stale edit was written")
	}
	f = with(hidden(t, page, edit), "name", "Đặng Thị Hoa", "birth", "03/02/1961", "sex", "female", "phone", "0900000000")
	if code, _, _ = b.post(edit, f); code != http.StatusSeeOther {
		t.Fatalf("saved after seeing both: %d", code)
	}
	want(t, "the record", s.content(v.Key), `"Đặng Thị Hoa"`, "0900000000")
}

func TestConflictIsDecidedByAPerson(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	s.meet(v, edited(v, "1961-02-03", "1961-03-02"), edited(v, "1961-02-03", "1962-02-03"))
	b := s.as("quang")
	_, page, _ := b.get("/conflicts")
	want(t, "the list", page, "/conflicts/"+v.Key.String(), "Ngày sinh", "Đặng Thị Hoà")
	_, page, _ = b.get("/record/" + v.Key.String() + "/history")
	want(t, "the history", page, "Ngày sinh: ghi khác nhau", "<li>02/03/1961 <span", "· Nguyễn Văn Quang", "<li>03/02/1962 <span", "· minh")
	at := "/conflicts/" + v.Key.String()
	_, page, _ = b.get(at)
	want(t, "the conflict", page, "02/03/1961", "03/02/1962", "Nguyễn Văn Quang", "minh (nơi khác)", "03/02/1961")
	_, form, _ := b.get("/person/" + v.Key.ID + "/edit")
	want(t, "the form of the details", form, "chưa ai quyết định: <b>Ngày sinh</b>", `href="`+at+`"`)
	f := hidden(t, page, at)
	if len(f["closes"]) != 2 {
		t.Fatalf("the page closes %v, want two setters", f["closes"])
	}
	if code, page, _ := b.post(at, f); code != http.StatusUnprocessableEntity || !strings.Contains(page, "Hãy chọn một giá trị") {
		t.Errorf("without a choice: %d", code)
	}
	if code, page, _ := b.post(at, with(f, "choice", "other", "other", "ngày mai")); code != http.StatusUnprocessableEntity || !strings.Contains(page, "ngày mai") {
		t.Errorf("a value that is none: %d", code)
	}
	if code, _, _ := b.post(at, with(f, "base", v.Name.String(), "choice", "0")); code != http.StatusConflict {
		t.Errorf("a stale decision: %d, want 409", code)
	}
	f = hidden(t, page, at)
	// What the form of the person asks back is asked back here.
	for _, sure := range []string{"", "1", "4/5/1963"} {
		code, page, _ := b.post(at, with(f, "choice", "other", "other", "4/5/2063", "sure", sure))
		if code != http.StatusUnprocessableEntity {
			t.Fatalf("a birth to come, %q: %d", sure, code)
		}
		want(t, "asked", page, "Ngày này chưa đến", `name="sure" value="4/5/2063"`)
	}
	if code, _, _ := b.post(at, with(f, "choice", "other", "other", "4/5/1963")); code != http.StatusSeeOther {
		t.Fatalf("decide: %d", code)
	}
	st, err := s.store.Get(v.Key)
	if err != nil || st.Shown.Contested() || st.Shown.Author != "quang" || !strings.Contains(string(st.Shown.Content), `"birthDate":"1963-05-04"`) {
		t.Errorf("after the decision: contested %v, by %s, %s (%v)", st.Shown.Contested(), st.Shown.Author, st.Shown.Content, err)
	}
}

func TestLostValueIsToldAndBroughtBack(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	// The centre's clock is ahead of the station's, so what was written there is later.
	s.meet(v, edited(v, "0912345678", "0911111111"), edited(v, "0912345678", "0922222222"))
	lost, err := s.store.Vault(record.Key{}, 10)
	if err != nil || len(lost) != 1 {
		t.Fatalf("vault: %v, %v", lost, err)
	}
	by := lost[0].Lost.By[0].Author
	kept := map[string]string{"quang": "0911111111", "minh": "0922222222"}[by]
	if by == "minh" {
		if err := s.web.Accounts().Add(t.Context(), "minh", "Minh", account.Nurse, pin, "trang"); err != nil {
			t.Fatal(err)
		}
	}
	b := s.as(by)
	_, page, _ := b.get("/people")
	want(t, "the start page of "+by, page, "không được dùng sau khi gộp")
	if _, page, _ := s.as("trang").get("/people"); strings.Contains(page, "không được dùng sau khi gộp") {
		t.Error("somebody else is told")
	}
	_, page, _ = b.get("/conflicts")
	want(t, "the vault", page, kept, "Bạn đã ghi giá trị này", "Giá trị ghi sau được dùng")
	if code, _, _ := b.post("/vault/1/restore", nil); code != http.StatusSeeOther {
		t.Fatalf("restore: %d", code)
	}
	want(t, "the record", s.content(v.Key), kept)
	st, err := s.store.Get(v.Key)
	if err != nil || st.Shown.Contested() {
		t.Errorf("a restored value is contested: %v", err)
	}
	if _, page, _ = b.get("/people?said=saved"); !strings.Contains(page, `role="status"><svg class="sign info"`) || strings.Contains(page, `<p class="said" role="status"><svg class="sign ok"`) {
		t.Error("what was saved here is said in the green of what the centre holds")
	}
	if _, page, _ = b.get("/people"); strings.Contains(page, "không được dùng sau khi gộp") {
		t.Error("it is told again")
	}
	if _, page, _ = b.get("/conflicts"); strings.Contains(page, "/vault/1/") || strings.Contains(page, "Giá trị ghi sau được dùng") {
		t.Error("a value that is used again stands among those that are not")
	}
	if code, _, _ := b.post("/vault/77/seen", nil); code != http.StatusNotFound {
		t.Errorf("no such item: %d", code)
	}
}

func TestHistoryTellsAndRestores(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "trang")
	s.put(store.Write{Key: v.Key, Base: v.Name.String(), Content: edited(v, "0912345678", "0900000000"), Author: "quang"})
	b := s.as("quang")
	at := "/record/" + v.Key.String()
	_, page, _ := b.get(at + "/history")
	want(t, "history", page, `/history" aria-current="page">`, "Lê Thị Trang", "Nguyễn Văn Quang", "Điện thoại, liên lạc", "0912345678", "0900000000", "Đã lưu ở đây")
	f := hidden(t, page, at+"/restore")
	if f.Get("version") != v.Name.String() {
		t.Fatalf("the page restores %q, want the first version", f.Get("version"))
	}
	if code, _, _ := b.post(at+"/restore", with(url.Values{"version": f["version"]}, "base", v.Name.String())); code != http.StatusConflict {
		t.Errorf("restored over what nobody saw: %d", code)
	}
	if code, _, _ := b.post(at+"/restore", f); code != http.StatusSeeOther {
		t.Fatalf("restore: %d", code)
	}
	if got := s.content(v.Key); got != string(v.Content) {
		t.Errorf("restored %s, want the first content", got)
	}
	h, err := s.store.History(v.Key)
	if err != nil || len(h) != 3 || h[0].Author != "quang" {
		t.Errorf("history after restoring: %d versions, %v", len(h), err)
	}
	_, page, _ = b.get(at + "?raw")
	want(t, "raw", page, "&#34;birthDate&#34;: &#34;1961-02-03&#34;")
}

func TestEveryLookLeavesAnEntry(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "trang")
	o := s.born("Observation", `,"status":"final","code":{"text":"Mạch"},"subject":{"reference":"`+p.Key.String()+`"},"valueQuantity":{"value":72,"unit":"/min"}`, "trang")
	b := s.as("quang")
	for path, key := range map[string]record.Key{
		"/person/" + p.Key.ID: p.Key, "/person/" + p.Key.ID + "/edit": p.Key, "/person/" + p.Key.ID + "/visit": p.Key, "/person/" + p.Key.ID + "/allergy": p.Key,
		"/record/" + o.Key.String(): o.Key, "/record/" + o.Key.String() + "/history": o.Key, "/record/" + o.Key.String() + "/audit": o.Key, "/conflicts/" + p.Key.String(): p.Key,
	} {
		before, err := s.store.AuditOf(key, 100)
		if err != nil {
			t.Fatal(err)
		}
		if code, _, _ := b.get(path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
		after, err := s.store.AuditOf(key, 100)
		if err != nil || len(after) != len(before)+1 || after[0].Who != "quang" || after[0].Action != audit.Read {
			t.Errorf("%s left %d entries (%v)", path, len(after)-len(before), err)
		}
	}
	_, page, _ := b.get("/record/" + p.Key.String() + "/audit")
	want(t, "the audit of the person", page, "Nguyễn Văn Quang", "xem", "ghi mới", "Chỉ số, kết quả")
}

func TestHealthAndUnknownRoutes(t *testing.T) {
	s := open(t)
	b := s.browser()
	code, body, _ := b.get("/health")
	var h struct {
		OK               bool
		Version, Station string
		Values           []struct{ Code, Severity, Title, Todo string }
	}
	if err := json.Unmarshal([]byte(body), &h); err != nil || code != http.StatusOK || h.Version != "1.2.3" || h.Station != "tram-a" || len(h.Values) == 0 || h.Values[0].Title == "" {
		t.Errorf("health: %d %s (%v)", code, body, err)
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{{"HEAD", "/signin", 200}, {"GET", "/nothing", 404}, {"GET", "/pages/layout.html", 404}, {"GET", "/pages/style.css", 200}, {"DELETE", "/people", 405}, {"GET", "/sync", 405}, {"PUT", "/health", 405}} {
		code, page, _ := b.do(b.request(c.method, c.path, ""))
		if code != c.want || c.method == "HEAD" && page != "" || code >= 400 && !strings.Contains(page, "<h1>") {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, code, c.want)
		}
	}
	if _, page, _ := b.get("/nothing"); strings.Contains(page, "<nav") {
		t.Error("a missing page shows the menu to nobody")
	}
	if _, page, _ := s.as("quang").get("/nothing"); !strings.Contains(page, "<nav") {
		t.Error("a missing page takes the menu away")
	}
	if code, _, _ := s.as("quang").get("/record/Patient/nobody"); code != http.StatusNotFound {
		t.Errorf("no such record: %d", code)
	}
}
