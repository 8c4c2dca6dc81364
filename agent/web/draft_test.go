package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestScriptKeepsDrafts(t *testing.T) {
	s := open(t)
	b := s.as("quang")
	if code, _, _ := b.post("/draft", url.Values{"draft_path": {"/people/new"}, "name": {"Trần Văn An"}}); code != http.StatusNoContent {
		t.Fatalf("keep: %d", code)
	}
	_, page, _ := b.get("/people/new")
	want(t, "the form", page, "Trần Văn An")
	if code, _, _ := b.post("/draft", url.Values{"draft_path": {"/staff"}}); code != http.StatusBadRequest {
		t.Errorf("a draft of no form: %d", code)
	}
	if code, _, _ := b.post("/draft", nil); code != http.StatusNoContent {
		t.Errorf("a sign of life: %d", code)
	}
	if code, _, _ := b.post("/draft", url.Values{"draft_path": {"/people/new"}, "name": {strings.Repeat("x", 70_000)}}); code != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", code)
	}
}

// Whoever locks the screen by hand comes back to the form, and nobody is sent elsewhere.
func TestLockLeadsBackToTheForm(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "quang")
	visit := "/person/" + v.Key.ID + "/visit"
	b := s.as("quang")
	_, page, _ := b.get(visit)
	// The form that is refused has an address of its own, too, and holds what was typed.
	_, refused, _ := b.post(visit, hidden(t, page, visit))
	want(t, "the refused form", refused, `data-unsaved="1"`)
	for name, page := range map[string]string{"the form": page, "the refused form": refused} {
		f := hidden(t, page, "/lock")
		_, _, to := b.post("/lock", f)
		if to != "/signin?next="+url.QueryEscape(visit) {
			t.Fatalf("%s: locked, then to %q", name, to)
		}
		_, page, _ = b.get(to)
		if _, _, to := b.post("/signin", with(hidden(t, page, "/signin"), "pin", pin)); to != visit {
			t.Errorf("%s: unlocked, then to %q", name, to)
		}
	}
	for _, next := range []string{"https://example.org/", "//example.org", "/sync", "/signin", "/nowhere"} {
		if _, _, to := b.post("/lock", url.Values{"next": {next}}); to != "/signin" {
			t.Errorf("%s: to %q", next, to)
		}
		_, page, _ := b.get("/signin?next=" + url.QueryEscape(next))
		if got := hidden(t, page, "/signin").Get("next"); got != "/people" {
			t.Errorf("the sign-in for %s leads to %q", next, got)
		}
		b.post("/signin", url.Values{"user": {"quang"}, "pin": {pin}})
	}
}

// Every page with a draft says how it is kept, and has the words that cover it where it is
// refused.
func TestFormsSayWhetherTheyAreKept(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "lan")
	s.meet(v, edited(v, "1961-02-03", "1961-03-02"), edited(v, "1961-02-03", "1962-02-03"))
	b := s.as("quang")
	for _, at := range []string{"/people/new", "/person/" + v.Key.ID + "/edit", "/conflicts/" + v.Key.String()} {
		_, page, _ := b.get(at)
		want(t, at, page, "data-draft", `id="draft-said"`, `data-refused="Chưa giữ được bản nháp.`, `data-covered="Màn hình đã khoá.`)
	}
}

// A record with two open conflicts has one page: what was typed for the one stays when the
// other is decided, or is asked about again.
func TestDecidingOneConflictKeepsWhatIsTypedForAnother(t *testing.T) {
	s := open(t)
	v := s.born("Patient", hoa, "lan")
	both := func(birth, gender string) []byte {
		return []byte(strings.NewReplacer("1961-02-03", birth, `"female"`, gender).Replace(string(v.Content)))
	}
	s.meet(v, both("1961-03-02", `"male"`), both("1962-02-03", `"other"`))
	b := s.as("quang")
	at := "/conflicts/" + v.Key.String()
	_, page, _ := b.get(at)
	i, j := strings.Index(page, `name="path" value="birthDate"`), strings.Index(page, `name="path" value="gender"`)
	if i < 0 || j < 0 {
		t.Fatal("the page does not show two conflicts")
	}
	form := hidden(t, page[j-200:], at)
	if code, _, _ := b.post("/draft", url.Values{"draft_path": {at}, "path": {"birthDate"}, "choice": {"other"}, "other": {"4/5/1963"}}); code != http.StatusNoContent {
		t.Fatalf("keep: %d", code)
	}
	_, page, _ = b.post(at, form)
	want(t, "nothing chosen for the one", page, `value="4/5/1963"`)
	if code, _, _ := b.post(at, with(form, "choice", "0")); code != http.StatusSeeOther {
		t.Fatalf("decide: %d", code)
	}
	_, page, _ = b.get(at)
	want(t, "the other", page, `value="4/5/1963"`)
	if code, _, _ := b.post(at, with(hidden(t, page, at), "choice", "other", "other", "4/5/1963")); code != http.StatusSeeOther {
		t.Fatalf("decide the other: %d", code)
	}
	if _, page, _ = b.get(at); strings.Contains(page, "4/5/1963") {
		t.Error("the draft stays after it was decided")
	}
}
