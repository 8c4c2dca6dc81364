package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tram/agent/web"
	"tram/store/account"
)

// issued makes a token by the page.
func (b *browser) issued(v url.Values) string {
	b.t.Helper()
	code, page, _ := b.post("/programs", v)
	_, token, _ := strings.Cut(page, `<code class="token">`)
	token, _, _ = strings.Cut(token, "<")
	if code != http.StatusOK || !account.HoldsToken(token) {
		b.t.Fatalf("no token: %d", code)
	}
	return token
}

// ask asks the FHIR face with a token and tells what it may do with an Observation.
func (b *browser) ask(token, path string) (int, string) {
	b.t.Helper()
	r := b.request("GET", path, "")
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, strings.Join(resp.Header.Values("X-May"), "")
}

func TestTokenIsIssuedForWhatWasChosen(t *testing.T) {
	s := open(t)
	b := s.as("trang")
	for _, c := range []struct {
		name string
		form url.Values
		may  string
	}{
		{"read", url.Values{"grant": {"read"}}, "rs"},
		{"hand in", url.Values{"grant": {"create"}}, "c"},
		{"everything", url.Values{"grant": {"everything"}}, "cruds"},
		{"chosen", url.Values{"grant": {"choose"}, "scopes": {"system/Observation.cr  system/Patient.read"}}, "cr"},
		{"chosen for others", url.Values{"grant": {"choose"}, "scopes": {"system/Patient.*"}}, ""},
	} {
		code, may := b.ask(b.issued(with(c.form, "name", c.name)), "/fhir/Observation")
		if code != http.StatusOK || may != c.may {
			t.Errorf("%s: %d, may %q, want %q", c.name, code, may, c.may)
		}
	}
	_, page, _ := b.get("/programs")
	want(t, "the page", page, "Chỉ đọc", "Chỉ gửi vào", "Mọi việc", "system/Observation.cr system/Patient.rs", "05/10/2026", "Lê Thị Trang", "không hết hạn")
	for _, c := range []struct{ name, field, value, text string }{
		{"no name", "name", " ", "Hãy ghi tên phần mềm"},
		{"taken", "name", "read", "đã có mã"},
		{"no choice", "grant", "", "Hãy chọn một dòng"},
		{"scopes and a set", "scopes", "system/Patient.rs", "Hãy chọn một dòng"},
		{"unknown set", "grant", "all", "Hãy chọn một dòng"},
		{"a patient's scope", "choose", "patient/*.rs", "patient/*.rs: Không có quyền theo"},
		{"a kind", "choose", "system/Pateint.rs", "system/Pateint.rs: FHIR R4 không có"},
		{"narrowed", "choose", "system/Patient.rs?name=a", "Hãy bỏ dấu ?"},
		{"another order", "choose", "system/Patient.sr", "chưa đúng"},
		{"no scopes", "choose", "", "ít nhất một quyền"},
		{"days", "days", "0", "1 đến 3650"},
		{"days in words", "days", "x", "1 đến 3650"},
	} {
		f := url.Values{"name": {"other"}, "grant": {"read"}, "days": {"7"}}
		if f.Set(c.field, c.value); c.field == "choose" {
			f = url.Values{"name": {"other"}, "grant": {"choose"}, "scopes": {c.value}}
		}
		code, page, _ := b.post("/programs", f)
		if code != http.StatusUnprocessableEntity || strings.Contains(page, `class="token"`) {
			t.Errorf("%s: %d, want 422 without a token", c.name, code)
		}
		want(t, c.name, page, c.text)
	}
}

func TestTokenEndsAndShowsItsUse(t *testing.T) {
	s := open(t)
	b := s.as("trang")
	token := b.issued(url.Values{"name": {"lab"}, "grant": {"read"}, "days": {"30"}})
	_, page, _ := b.get("/programs")
	want(t, "before it is used", page, "chưa dùng", "04/11/2026")
	s.pass(48 * time.Hour)
	if code, _ := b.ask(token, "/fhir/Patient"); code != http.StatusOK {
		t.Errorf("before its end: %d", code)
	}
	b = s.as("trang")
	_, page, _ = b.get("/programs")
	want(t, "after its use", page, "07/10/2026")
	s.pass(28 * 24 * time.Hour)
	if code, _ := b.ask(token, "/fhir/Patient"); code != http.StatusUnauthorized {
		t.Errorf("at its end: %d", code)
	}
	b = s.as("trang")
	_, page, _ = b.get("/programs")
	want(t, "at its end", page, "Đã hết hạn")
}

func TestTokensAreAnAdministrators(t *testing.T) {
	s := open(t)
	doctor := s.as("quang")
	for _, path := range []string{"/programs", "/programs/certificate.pem"} {
		if code, _, _ := doctor.get(path); code != http.StatusForbidden {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, page, _ := doctor.post("/programs", url.Values{"name": {"x"}, "grant": {"everything"}}); code != http.StatusForbidden || account.HoldsToken(page) {
		t.Errorf("a doctor makes a token: %d", code)
	}
}

func TestNetworkIsShown(t *testing.T) {
	s := open(t)
	b := s.as("trang")
	s.api = web.API{Addresses: []string{"https://192.168.1.10:8643/fhir"}, Fingerprint: "AB:CD", Certificate: []byte("-----BEGIN"), Own: true}
	_, page, _ := b.get("/programs")
	want(t, "listening", page, "https://192.168.1.10:8643/fhir", "AB:CD", "tự tạo", "certificate.pem")
	if code, pem, _ := b.get("/programs/certificate.pem"); code != http.StatusOK || pem != "-----BEGIN" {
		t.Errorf("the certificate: %d %q", code, pem)
	}
	for trouble, text := range map[string]string{"address": "không phải của máy này", "certificate": "Hãy sửa các tệp"} {
		s.api = web.API{Trouble: trouble}
		_, page, _ = b.get("/programs")
		want(t, trouble, page, text)
	}
	if code, _, _ := b.get("/programs/certificate.pem"); code != http.StatusNotFound {
		t.Errorf("no certificate: %d", code)
	}
}

func TestTokenInAnAddressIsRefused(t *testing.T) {
	s := open(t)
	b := s.as("trang")
	token := b.issued(url.Values{"name": {"lab"}, "grant": {"everything"}})
	for name, path := range map[string]string{
		"parameter": "/fhir/Patient?access_token=" + token, "any case": "/fhir/Patient?Access_Token=x", "another parameter": "/fhir/Patient?name=" + token, "path": "/fhir/Patient/" + token,
	} {
		r := b.request("GET", path, "")
		r.Header.Set("Authorization", "Bearer "+token)
		code, body, _ := b.do(r)
		if code != http.StatusBadRequest || !strings.Contains(body, `"code":"token-url"`) || strings.Contains(body, token) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

func TestNetworkHasNoPages(t *testing.T) {
	s := open(t)
	b := s.as("trang")
	token := b.issued(url.Values{"name": {"lab"}, "grant": {"read"}})
	own := func(_ *http.Request, host string) bool { return host == s.srv.Listener.Addr().String() }
	s.srv.Config.Handler = s.web.Network(http.NotFoundHandler(), own)
	for _, path := range []string{"/", "/people", "/signin", "/setup", "/programs", "/pages/style.css", "/local/status", "/fhirs"} {
		code, body, _ := b.get(path)
		if code != http.StatusNotFound || !regexp.MustCompile(`^\{"resourceType":"OperationOutcome".*"not-found"`).MatchString(body) {
			t.Errorf("%s: %d %.80s", path, code, body)
		}
	}
	if code, _, _ := b.get("/health"); code != http.StatusOK {
		t.Errorf("/health: %d", code)
	}
	if code, _ := b.ask(token, "/fhir/Patient"); code != http.StatusNotFound { // by the handler that was handed in
		t.Errorf("/fhir/Patient: %d", code)
	}
	r := b.request("GET", "/fhir/Patient", "")
	r.Host = "evil.example"
	if code, body, _ := b.do(r); code != http.StatusForbidden || !strings.Contains(body, "OperationOutcome") {
		t.Errorf("foreign host: %d %s", code, body)
	}
	if list, err := s.web.Accounts().Programs(); err != nil || len(list) != 1 || !list[0].May('r', "Patient") || list[0].May('c', "Patient") {
		t.Errorf("programs: %+v, %v", list, err)
	}
}
