package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/account"
	"tram/store/record"
	"tram/store/storetest"
)

func TestSetupMakesTheFirstAccountOnce(t *testing.T) {
	s := start(t, storetest.Open(t, store.Options{Name: "tram-a"}))
	b := s.browser()
	if code, _, to := b.get("/people"); code != http.StatusSeeOther || to != "/setup" {
		t.Errorf("without accounts: %d to %q, want /setup", code, to)
	}
	form := url.Values{"secret": {"wrong"}, "user": {"Trang"}, "name": {"Lê Thị Trang"}, "pin": {pin}, "again": {pin}}
	if code, page, _ := b.post("/setup", form); code != http.StatusUnprocessableEntity || !strings.Contains(page, "Mã cài đặt chưa đúng") {
		t.Errorf("wrong secret: %d", code)
	}
	for name, c := range map[string]struct{ field, value, text string }{
		"weak":     {"pin", "123456", "quá ngắn"},
		"differs":  {"again", "other-1", "khác nhau"},
		"user":     {"user", "Lê Trang", "chữ thường"},
		"no name":  {"name", " ", "Hãy ghi tên"},
		"reserved": {"user", "tram", "chữ thường"},
	} {
		f := with(url.Values{"secret": {"one-time"}, "user": {"trang"}, "name": {"Lê"}, "pin": {pin}, "again": {pin}}, c.field, c.value)
		if c.field == "pin" {
			f.Set("again", c.value)
		}
		if code, page, _ := b.post("/setup", f); code != http.StatusUnprocessableEntity || !strings.Contains(page, c.text) {
			t.Errorf("%s: %d without %q", name, code, c.text)
		}
	}
	if code, _, to := b.post("/setup", with(form, "secret", "one-time")); code != http.StatusSeeOther || to != "/people" {
		t.Fatalf("set up: %d to %q", code, to)
	}
	if code, _, _ := b.get("/staff"); code != http.StatusOK {
		t.Errorf("the first account is no administrator: %d", code)
	}
	if _, _, to := s.browser().post("/setup", with(form, "user", "other")); to != "/signin" {
		t.Errorf("a second set-up goes to %q", to)
	}
	if err := s.web.Accounts().Add(context.Background(), "x.y", "X", account.Admin, pin, ""); !errors.Is(err, account.ErrNotFirst) {
		t.Errorf("a second first account: %v", err)
	}
}

func TestNothingIsShownBeforeSignIn(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "quang")
	b := s.browser()
	for _, path := range []string{"/people", "/person/" + v.Key.ID, "/record/" + v.Key.String(), "/record/" + v.Key.String() + "/history", "/waiting", "/conflicts", "/state", "/staff", "/fhir/Patient"} {
		code, page, _ := b.get(path)
		if code != http.StatusUnauthorized || strings.Contains(page, "Hoà") {
			t.Errorf("%s without sign-in: %d", path, code)
		}
	}
	if code, _, _ := b.post("/signin", url.Values{"user": {"quang"}, "pin": {"not-it-7"}}); code != http.StatusUnauthorized {
		t.Errorf("wrong PIN: %d", code)
	}
	q := s.as("quang")
	if code, page, _ := q.get("/person/" + v.Key.ID); code != http.StatusOK || !strings.Contains(page, "Đặng Thị Hoà") {
		t.Errorf("signed in: %d", code)
	}
	if err := s.web.Accounts().Disable(context.Background(), "quang", true, "trang"); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := q.get("/people"); code != http.StatusUnauthorized {
		t.Errorf("a disabled account still sees pages: %d", code)
	}
	if code, _, _ := b.post("/signin", url.Values{"user": {"quang"}, "pin": {pin}}); code != http.StatusUnauthorized {
		t.Errorf("a disabled account signs in: %d", code)
	}
}

func TestLockoutSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Name: "tram-a", Dir: dir, R4: storetest.R4(t)}
	st, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)
	ctx, clock := context.Background(), func() time.Time { return now }
	book := account.New(st, clock, account.Cost{Time: 1, Memory: 64})
	if err := book.Add(ctx, "trang", "Trang", account.Admin, pin, ""); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := book.SignIn(ctx, "trang", "not-it-7"); !errors.Is(err, account.ErrWrong) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	book = account.New(storetest.Open(t, o), clock, account.Cost{})
	var locked *account.LockedError
	if _, err := book.SignIn(ctx, "trang", pin); !errors.As(err, &locked) || locked.Wait != 5*time.Second {
		t.Fatalf("after a restart the right PIN gives %v, want a wait of 5 s", err)
	}
	now = now.Add(6 * time.Second)
	if _, err := book.SignIn(ctx, "trang", "not-it-7"); !errors.Is(err, account.ErrWrong) {
		t.Fatalf("after the wait: %v", err)
	}
	if _, err := book.SignIn(ctx, "trang", pin); !errors.As(err, &locked) || locked.Wait != 10*time.Second {
		t.Errorf("the wait grows to %v, want 10 s", locked.Wait)
	}
	now = now.Add(-48 * time.Hour) // a clock set back buys no more than the wait itself
	if _, err := book.SignIn(ctx, "trang", pin); !errors.As(err, &locked) || locked.Wait > 10*time.Second {
		t.Errorf("with the clock set back: %v", err)
	}
	now = now.Add(11 * time.Second)
	if _, err := book.SignIn(ctx, "trang", pin); err != nil {
		t.Errorf("the right PIN after the wait: %v", err)
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	s := open(t)
	b := s.as("trang")
	for name, c := range map[string]struct {
		method, path, header, value string
		host                        string
	}{
		"rebound host":        {"GET", "/people", "", "", "evil.example:80"},
		"host without port":   {"GET", "/health", "", "", "127.0.0.1"},
		"foreign origin":      {"POST", "/sync", "Origin", "http://evil.example", ""},
		"foreign origin, get": {"GET", "/people", "Origin", "http://evil.example", ""},
		"null origin":         {"POST", "/sync", "Origin", "null", ""},
		"cross-site":          {"POST", "/sync", "Sec-Fetch-Site", "cross-site", ""},
		"same-site":           {"POST", "/sync", "Sec-Fetch-Site", "same-site", ""},
	} {
		r := b.request(c.method, c.path, "")
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if c.host != "" {
			r.Host = c.host
		}
		if code, _, _ := b.do(r); code != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, code)
		}
	}
	if s.asked != 0 {
		t.Errorf("a refused request asked for a sync")
	}
	r := b.request("POST", "/sync", "")
	r.Header.Set("Origin", s.srv.URL)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if code, _, _ := b.do(r); code != http.StatusSeeOther || s.asked != 1 {
		t.Errorf("own page: %d, asked %d times", code, s.asked)
	}
	if code, _, _ := b.post("/people", url.Values{"q": {strings.Repeat("x", 2<<20)}}); code != http.StatusRequestEntityTooLarge {
		t.Errorf("2 MiB of form: %d, want 413", code)
	}
}

func TestSecurityHeaders(t *testing.T) {
	s := open(t)
	resp, err := http.Get(s.srv.URL + "/signin")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for h, part := range map[string]string{
		"Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
	} {
		if got := resp.Header.Get(h); !strings.Contains(got, part) {
			t.Errorf("%s is %q, want %q in it", h, got, part)
		}
	}
	resp, err = http.PostForm(s.srv.URL+"/signin", url.Values{"user": {"trang"}, "pin": {pin}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	r := s.as("trang")
	for _, ck := range r.http.Jar.Cookies(must(url.Parse(s.srv.URL))) {
		if len(ck.Value) < 43 {
			t.Errorf("the cookie has %d characters, want 256 bits", len(ck.Value))
		}
	}
}

func must(u *url.URL, err error) *url.URL {
	if err != nil {
		panic(err)
	}
	return u
}

func TestIdleSessionLocksAndKeepsWhatWasTyped(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "quang")
	b := s.as("quang")
	edit := "/person/" + v.Key.ID + "/edit"
	_, page, _ := b.get(edit)
	form := with(hidden(t, page, edit), "name", "Đặng Thị Hoà", "birth", "03/02/1961", "sex", "female", "phone", "0988777666")
	s.pass(2 * time.Minute)
	if code, _, _ := b.get("/people"); code != http.StatusOK {
		t.Fatalf("after two minutes: %d", code)
	}
	s.pass(3 * time.Minute)
	code, page, _ := b.post(edit, form)
	if code != http.StatusUnauthorized || !strings.Contains(page, "Màn hình đã khoá") || strings.Contains(page, "0988777666") {
		t.Fatalf("after three idle minutes: %d", code)
	}
	if got := s.content(v.Key); strings.Contains(got, "0988777666") {
		t.Error("a locked session wrote")
	}
	// Another user takes over, and sees nothing of the draft.
	if code, _, _ := b.post("/signin", url.Values{"user": {"trang"}, "pin": {pin}, "next": {"/people"}}); code != http.StatusSeeOther {
		t.Fatalf("change of user: %d", code)
	}
	if _, page, _ = b.get(edit); strings.Contains(page, "0988777666") {
		t.Error("another user sees the draft")
	}
	if code, _, _ := b.post("/lock", nil); code != http.StatusSeeOther {
		t.Fatal("lock")
	}
	if code, _, _ := b.get("/people"); code != http.StatusUnauthorized {
		t.Errorf("after locking by hand: %d", code)
	}
	if _, _, to := b.post("/signin", url.Values{"user": {"quang"}, "pin": {pin}, "next": {edit}}); to != edit {
		t.Fatalf("after unlocking: to %q", to)
	}
	_, page, _ = b.get(edit)
	want(t, "the form after unlocking", page, "0988777666", "chưa lưu")
	if code, _, _ := b.post(edit, with(hidden(t, page, edit), "name", "Đặng Thị Hoà", "birth", "03/02/1961", "sex", "female", "phone", "0988777666")); code != http.StatusSeeOther {
		t.Fatalf("save: %d", code)
	}
	want(t, "the record", s.content(v.Key), "0988777666")
	if _, page, _ = b.get(edit); strings.Contains(page, "chưa lưu") {
		t.Error("the draft stays after it was saved")
	}
}

// changed is a browser in which another user signed in, as in a second tab, after quang.
func (b *browser) changed(user string) {
	b.t.Helper()
	b.post("/lock", nil)
	if code, _, _ := b.post("/signin", url.Values{"user": {user}, "pin": {pin}}); code != http.StatusSeeOther {
		b.t.Fatalf("change to %s: %d", user, code)
	}
}

// A form that one user opened saves nothing in the name of another; what was typed is the
// draft of whose form it is.
func TestFormBelongsToWhoOpenedIt(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "lan")
	o := s.born("Observation", `,"status":"final","code":{"text":"Mạch"},"subject":{"reference":"`+v.Key.String()+`"}`, "lan")
	s.meet(v, edited(v, "1961-02-03", "1961-03-02"), edited(v, "1961-02-03", "1962-02-03"))
	edit, wrong, conflict := "/person/"+v.Key.ID+"/edit", "/record/"+o.Key.String()+"/wrong", "/conflicts/"+v.Key.String()
	b := s.as("quang")
	forms := map[string]url.Values{}
	for action, at := range map[string]string{edit: edit, wrong: "/record/" + o.Key.String(), conflict: conflict} {
		_, page, _ := b.get(at)
		forms[action] = hidden(t, page, action)
	}
	with(forms[edit], "name", "Đặng Thị Hoà", "phone", "0988777666", "sure", "1")
	with(forms[conflict], "choice", "other", "other", "4/5/1963")
	before := map[record.Key]string{v.Key: s.content(v.Key), o.Key: s.content(o.Key)}
	b.changed("trang")
	for action, kept := range map[string]string{edit: "được giữ cho Nguyễn Văn Quang", conflict: "được giữ cho Nguyễn Văn Quang", wrong: "hãy đăng nhập rồi làm lại"} {
		code, page, _ := b.post(action, forms[action])
		if code != http.StatusConflict {
			t.Errorf("%s: %d, want 409", action, code)
		}
		want(t, action, page, "Biểu mẫu này là của Nguyễn Văn Quang", "Lê Thị Trang", kept)
	}
	for key, was := range before {
		if s.content(key) != was {
			t.Errorf("%s was written in the name of trang", key.Kind)
		}
	}
	if code, _, _ := b.post("/draft", url.Values{"draft_path": {"/people/new"}, "name": {"Trần Văn An"}, "form_user": {"quang"}}); code != http.StatusConflict {
		t.Errorf("a draft of quang's: %d, want 409", code)
	}
	texts := map[string]string{edit: `value="0988777666"`, conflict: `value="4/5/1963"`, "/people/new": "Trần Văn An"}
	for path, text := range texts {
		if _, page, _ := b.get(path); strings.Contains(page, text) {
			t.Errorf("%s shows trang what quang typed", path)
		}
	}
	b.changed("quang")
	for path, text := range texts {
		_, page, _ := b.get(path)
		want(t, path, page, text)
	}
	if code, _, _ := b.post(conflict, forms[conflict]); code != http.StatusSeeOther {
		t.Errorf("the decision of whose form it is: %d", code)
	}
	if _, page, _ := b.get(conflict); strings.Contains(page, "4/5/1963") {
		t.Error("the draft of a decision stays after it")
	}
	if code, _, _ := b.post(edit, url.Values{"form_user": {"nobody"}}); code != http.StatusBadRequest {
		t.Errorf("a form of nobody's: %d, want 400", code)
	}
}

// Nor does it become the draft of another who signs in where there was no session.
func TestFormWithoutASessionStaysItsUsers(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "quang")
	edit := "/person/" + v.Key.ID + "/edit"
	b := s.browser()
	_, page, _ := b.post(edit, url.Values{"form_user": {"quang"}, "phone": {"0988777666"}, "base": {v.Name.String()}})
	want(t, "the sign-in", page, `name="user" value="quang"`)
	b.post("/signin", with(hidden(t, page, "/signin"), "user", "trang", "pin", pin))
	if _, page, _ = b.get(edit); strings.Contains(page, "0988777666") {
		t.Error("it is the draft of trang")
	}
	_, page, _ = s.as("quang").get(edit)
	want(t, "the form of quang", page, "0988777666")
}

// Every form that writes says whose it is, but for those about the session, accounts and the
// station itself.
func TestEveryFormSaysWhoseItIs(t *testing.T) {
	files, err := os.ReadDir("pages")
	if err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`action="/(lock|signout|language|signin|setup|me|people|staff|programs|sync|state/check)["/]|class="search"`)
	n := 0
	for _, f := range files {
		b, err := os.ReadFile("pages/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?s)<form method="post".*?</form>`).FindAllString(string(b), -1) {
			if own.MatchString(m) {
				continue
			}
			if n++; !strings.Contains(m, `{{template "form-user"`) {
				t.Errorf("%s: %.120s does not say whose it is", f.Name(), m)
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d forms were found", n)
	}
}

func TestFormSentWithoutASessionComesBack(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "quang")
	edit := "/person/" + v.Key.ID + "/edit"
	b := s.browser()
	_, page, _ := b.post(edit, url.Values{"name": {"Đặng Thị Hoà"}, "phone": {"0988777666"}, "base": {v.Name.String()}})
	f := hidden(t, page, "/signin")
	if _, _, to := b.post("/signin", with(f, "user", "quang", "pin", pin)); to != edit {
		t.Fatalf("signed in to %q, want the form", to)
	}
	_, page, _ = b.get(edit)
	want(t, "the form", page, "0988777666", v.Name.String())
}

func TestProgramsNeedTheirToken(t *testing.T) {
	s := open(t)
	b := s.as("trang")
	_, page, _ := b.post("/programs", url.Values{"name": {"Máy xét nghiệm"}, "grant": {"everything"}})
	_, token, ok := strings.Cut(page, `<code class="token">`)
	if token, _, _ = strings.Cut(token, "<"); !ok || len(token) < 43 {
		t.Fatalf("no token in the page")
	}
	if _, page, _ = b.get("/programs"); strings.Contains(page, token) {
		t.Error("the token is shown twice")
	}
	ask := func(auth string) (int, string) {
		r := b.request("GET", "/fhir/Patient", "")
		r.Header.Set("Authorization", auth)
		code, body, _ := b.do(r)
		return code, body
	}
	code, body := ask("Bearer " + token)
	if code != http.StatusOK || !strings.HasPrefix(body, "program:") {
		t.Errorf("with the token: %d %q", code, body)
	}
	for _, bad := range []string{"", "Bearer ", "Bearer " + token + "x", "Basic " + token} {
		if code, body := ask(bad); code != http.StatusUnauthorized || body != `{"resourceType":"OperationOutcome"}` {
			t.Errorf("with %.12q: %d %s, want 401 in FHIR's words", bad, code, body)
		}
	}
	id := strings.TrimPrefix(body, "program:")
	if code, _, _ := b.post("/programs/"+id+"/revoke", nil); code != http.StatusSeeOther {
		t.Fatalf("revoke: %d", code)
	}
	if code, _ := ask("Bearer " + token); code != http.StatusUnauthorized {
		t.Errorf("after revoking: %d", code)
	}
}

func TestRolesSeeWhatTheyMay(t *testing.T) {
	s := open(t)
	p := s.born("Patient", hoa, "quang")
	a := s.born("AllergyIntolerance", `,"code":{"text":"Penicillin"},"patient":{"reference":"`+p.Key.String()+`"}`, "quang")
	clerk, doctor := s.as("lan"), s.as("quang")
	if _, page, _ := clerk.get("/person/" + p.Key.ID); strings.Contains(page, "Penicillin") || !strings.Contains(page, "Đặng Thị Hoà") {
		t.Error("a clerk sees an allergy, or not the person")
	}
	for b, paths := range map[*browser][]string{
		clerk:  {"/record/" + a.Key.String(), "/person/" + p.Key.ID + "/visit", "/person/" + p.Key.ID + "/allergy", "/staff"},
		doctor: {"/staff"},
	} {
		for _, path := range paths {
			if code, page, _ := b.get(path); code != http.StatusForbidden || strings.Contains(page, "Penicillin") {
				t.Errorf("%s: %d, want 403", path, code)
			}
		}
	}
	if code, _, _ := doctor.post("/staff", url.Values{"user": {"x.y"}, "name": {"X"}, "role": {"admin"}, "pin": {pin}, "again": {pin}}); code != http.StatusForbidden {
		t.Errorf("a doctor adds staff: %d", code)
	}
}

func TestStaffAccounts(t *testing.T) {
	s := open(t)
	b := s.as("trang")
	if code, _, _ := b.post("/staff", url.Values{"user": {"hung"}, "name": {"Mai Phúc Hùng"}, "role": {"nurse"}, "pin": {pin}, "again": {pin}}); code != http.StatusSeeOther {
		t.Fatalf("add: %d", code)
	}
	hung := s.as("hung")
	if code, page, _ := b.post("/staff", url.Values{"user": {"hung"}, "name": {"Khác"}, "role": {"nurse"}, "pin": {pin}, "again": {pin}}); code != http.StatusUnprocessableEntity || !strings.Contains(page, "đã có") {
		t.Errorf("taken name: %d", code)
	}
	if code, page, _ := b.post("/staff/trang/disable", nil); code != http.StatusUnprocessableEntity || !strings.Contains(page, "ít nhất một người quản trị") {
		t.Errorf("the last administrator: %d", code)
	}
	if code, _, _ := b.post("/staff/hung/reset", url.Values{"pin": {"tre-xanh-9"}, "again": {"tre-xanh-9"}}); code != http.StatusSeeOther {
		t.Errorf("reset: %d", code)
	}
	if code, _, _ := s.browser().post("/signin", url.Values{"user": {"hung"}, "pin": {pin}}); code != http.StatusUnauthorized {
		t.Errorf("the old PIN after a reset: %d", code)
	}
	if code, _, _ := hung.get("/people"); code != http.StatusUnauthorized {
		t.Errorf("a session from before the reset: %d", code)
	}
	for range 3 {
		if code, page, _ := b.post("/me", url.Values{"old": {"sai"}, "pin": {"lua-vang-8"}, "again": {"lua-vang-8"}}); code != http.StatusUnprocessableEntity || !strings.Contains(page, "PIN hiện nay chưa đúng") {
			t.Errorf("a wrong PIN: %d", code)
		}
	}
	if _, page, _ := b.post("/me", url.Values{"old": {pin}, "pin": {"lua-vang-8"}, "again": {"lua-vang-8"}}); !strings.Contains(page, "Hãy đợi 5 giây") {
		t.Error("the right PIN while one must wait: the page does not say so")
	}
	s.pass(6 * time.Second)
	if code, _, _ := b.post("/me", url.Values{"old": {pin}, "pin": {"lua-vang-8"}, "again": {"lua-vang-8"}}); code != http.StatusSeeOther {
		t.Errorf("own PIN: %d", code)
	}
	raw, err := s.store.Setting("web accounts")
	if err != nil || !json.Valid(raw) || strings.Contains(string(raw), "lua-vang-8") || strings.Contains(string(raw), pin) {
		t.Errorf("the settings hold a PIN in the clear, or nothing: %v", err)
	}
	if code, page, _ := b.post("/signin", url.Values{"user": {"trang"}, "pin": {"lua-vang-8"}, "next": {"//evil.example/x"}}); code != http.StatusSeeOther {
		t.Errorf("sign in: %d %.80s", code, page)
	}
	if _, _, to := b.post("/language", url.Values{"lang": {"en"}, "back": {"https://evil.example/"}}); to != "/" {
		t.Errorf("the language switch leads to %q", to)
	}
}
