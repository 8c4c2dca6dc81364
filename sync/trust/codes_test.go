package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestCodeIsReadForgivingly(t *testing.T) {
	c, err := ParseCode("0O1I-L234-ABCD-VWXZ") // every letter that is misread
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.String(), "0011-1234-ABCD-VWXZ"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
	for _, s := range []string{
		"0011-1234-ABCD-VWXZ", "00111234ABCDVWXZ", "oOiL-1234-abcd-vwxz", " 0011 1234 abcd vwxz\n", "0011–1234–ABCD–VWXZ", "0011.1234_ABCD--VWXZ",
	} {
		if got, err := ParseCode(s); err != nil || got != c {
			t.Errorf("ParseCode(%q) = %v, %v, want %v", s, got, err, c)
		}
	}
	for _, s := range []string{
		"", "0011-1234-ABCD-VWX", "0011-1234-ABCD-VWXZ0", "0011-1234-ABCD-VWXU", "0011-1234-ABCD-VWXẠ", "0011-1234-ABCD-VWX=", strings.Repeat("-", 200),
	} {
		if got, err := ParseCode(s); !errors.Is(err, ErrCode) {
			t.Errorf("ParseCode(%q) = %v, %v, want ErrCode", s, got, err)
		}
	}
}

func TestNewCodesDiffer(t *testing.T) {
	seen := map[Code]bool{}
	for range 1000 {
		c := NewCode()
		if got, err := ParseCode(c.String()); err != nil || got != c {
			t.Fatalf("ParseCode(%q) = %v, %v", c, got, err)
		}
		seen[c] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different codes of 1000", len(seen))
	}
}

// try is one code handed in.
type try struct {
	code, key, source string
	after             time.Duration
	want              Outcome
}

func TestRedeem(t *testing.T) {
	const life = 48 * time.Hour
	for _, c := range []struct {
		name  string
		tries func(code string) []try
	}{
		{"once, and again with the same key", func(code string) []try {
			return []try{{code, "k1", "s", 0, Enrolled}, {code, "k1", "s", time.Hour, Again}, {code, "k1", "other", 2 * time.Hour, Again}}
		}},
		{"typed sloppily", func(code string) []try {
			return []try{{strings.ToLower(strings.ReplaceAll(code, "-", " ")), "k1", "s", 0, Enrolled}}
		}},
		{"a second key quarantines the code for both", func(code string) []try {
			return []try{{code, "k1", "s", 0, Enrolled}, {code, "k2", "s", time.Hour, Quarantined}, {code, "k1", "s", 2 * time.Hour, Quarantined}, {code, "k3", "s", 3 * time.Hour, Quarantined}}
		}},
		{"a second key counts after expiry too", func(code string) []try {
			return []try{{code, "k1", "s", 0, Enrolled}, {code, "k2", "s", life, Quarantined}}
		}},
		{"expired", func(code string) []try {
			return []try{{code, "k1", "s", life, Expired}}
		}},
		{"the last moment", func(code string) []try {
			return []try{{code, "k1", "s", life - time.Millisecond, Enrolled}, {code, "k1", "s", life, Expired}}
		}},
		{"no code and no key", func(code string) []try {
			return []try{{"hello", "k1", "s", 0, Malformed}, {code, "", "s", 0, Malformed}, {code, "k1", "s", 0, Enrolled}}
		}},
		{"locked after ten wrong tries, for this source alone, for an hour", func(code string) []try {
			var out []try
			for i := range MaxTries {
				out = append(out, try{NewCode().String(), "k1", "s", time.Duration(i) * time.Minute, Unknown})
			}
			return append(out,
				try{code, "k1", "s", 10 * time.Minute, Locked},
				try{"hello", "k1", "s", 10 * time.Minute, Locked},
				try{code, "k1", "s", 9*time.Minute + LockFor - time.Millisecond, Locked},
				try{code, "k1", "s", 9*time.Minute + LockFor, Enrolled})
		}},
		{"another source is not locked", func(code string) []try {
			var out []try
			for range MaxTries {
				out = append(out, try{NewCode().String(), "k1", "thief", 0, Unknown})
			}
			return append(out, try{code, "k1", "s", 0, Enrolled})
		}},
		{"nine wrong tries do not lock", func(code string) []try {
			var out []try
			for range MaxTries - 1 {
				out = append(out, try{NewCode().String(), "k1", "s", 0, Unknown})
			}
			return append(out, try{code, "k1", "s", 0, Enrolled}, try{NewCode().String(), "k1", "s", 0, Unknown}, try{code, "k1", "s", 0, Locked})
		}},
	} {
		codes := NewCodes([]byte("secret"), CodeState{})
		code, _, _, err := codes.Issue("tram-a", start, life)
		if err != nil {
			t.Fatal(err)
		}
		for n, tr := range c.tries(code.String()) {
			r := codes.Redeem(tr.code, tr.key, tr.source, start.Add(tr.after))
			if r.Outcome != tr.want {
				t.Errorf("%s: try %d = %s, want %s", c.name, n+1, r.Outcome, tr.want)
			}
			if r.Outcome.Granted() && r.Replica != "tram-a" {
				t.Errorf("%s: try %d is for %q, want tram-a", c.name, n+1, r.Replica)
			}
			// Everything lives on through what the caller keeps.
			kept, err := json.Marshal(codes.State())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(kept), code.String()) {
				t.Fatalf("%s: the state holds the code: %s", c.name, kept)
			}
			var state CodeState
			if err := json.Unmarshal(kept, &state); err != nil {
				t.Fatal(err)
			}
			codes = NewCodes([]byte("secret"), state)
		}
	}
}

func TestQuarantineIsReported(t *testing.T) {
	codes := NewCodes([]byte("secret"), CodeState{})
	code, tag, _, _ := codes.Issue("tram-a", start, time.Hour)
	codes.Redeem(code.String(), "k1", "s", start)
	got := codes.Redeem(code.String(), "k2", "s", start)
	want := Result{Outcome: Quarantined, Replica: "tram-a", FirstKey: "k1", SecondKey: "k2", Tag: tag}
	if got != want {
		t.Errorf("Redeem = %+v, want %+v", got, want)
	}
}

// What a result names as changed is all that changed.
func TestResultNamesWhatToKeep(t *testing.T) {
	codes := NewCodes([]byte("secret"), CodeState{})
	code, tag, _, _ := codes.Issue("tram-a", start, time.Hour)
	for _, c := range []struct {
		name, typed, tag, source string
	}{
		{"a wrong code", NewCode().String(), "", "s"},
		{"the first use", code.String(), tag, ""},
		{"the same once more", code.String(), "", ""},
		{"no code", "hello", "", ""},
	} {
		before, _ := json.Marshal(codes.State())
		r := codes.Redeem(c.typed, "k1", "s", start)
		after, _ := json.Marshal(codes.State())
		if r.Tag != c.tag || r.Source != c.source || (r.Tag+r.Source == "") != (string(before) == string(after)) {
			t.Errorf("%s: changed %q, %q, want %q, %q (state changed: %v)", c.name, r.Tag, r.Source, c.tag, c.source, string(before) != string(after))
		}
	}
}

func TestNewCodeWithdrawsTheUnusedOne(t *testing.T) {
	codes := NewCodes([]byte("secret"), CodeState{})
	first, tag, withdrawn, err := codes.Issue("tram-a", start, time.Hour)
	if err != nil || withdrawn != "" {
		t.Fatalf("Issue withdrew %q, %v", withdrawn, err)
	}
	codes = NewCodes([]byte("secret"), codes.State())
	second, _, withdrawn, _ := codes.Issue("tram-a", start, time.Hour)
	if withdrawn != tag {
		t.Errorf("withdrawn %q, want %q", withdrawn, tag)
	}
	if got := codes.Redeem(first.String(), "k1", "s", start).Outcome; got != Unknown {
		t.Errorf("the lost sheet = %s, want unknown", got)
	}
	if got := codes.Redeem(second.String(), "k1", "s", start).Outcome; got != Enrolled {
		t.Errorf("the new sheet = %s, want enrolled", got)
	}
	if _, _, withdrawn, _ := codes.Issue("tram-a", start, time.Hour); withdrawn != "" {
		t.Errorf("a used code was withdrawn: a second use would go unnoticed")
	}
	if got := codes.Redeem(second.String(), "k2", "s", start).Outcome; got != Quarantined {
		t.Errorf("the used sheet with another key = %s, want quarantined", got)
	}
	if _, _, _, err := codes.Issue("Tram A", start, time.Hour); !errors.Is(err, ErrName) {
		t.Errorf("Issue for no name = %v, want ErrName", err)
	}
}

func TestSecretMatters(t *testing.T) {
	codes := NewCodes([]byte("secret"), CodeState{})
	code, _, _, _ := codes.Issue("tram-a", start, time.Hour)
	if got := NewCodes([]byte("another"), codes.State()).Redeem(code.String(), "k1", "s", start).Outcome; got != Unknown {
		t.Errorf("under another secret = %s, want unknown", got)
	}
}

func TestWrongTriesAreBounded(t *testing.T) {
	codes := NewCodes([]byte("secret"), CodeState{})
	for range MaxTries { // fills up to the lock, and stays the latest
		codes.Redeem(NewCode().String(), "k", "loud", start.Add(time.Minute))
	}
	for n := range maxSources + 100 {
		codes.Redeem(NewCode().String(), "k", fmt.Sprint(n), start)
	}
	if got := len(codes.State().Tries); got != maxSources {
		t.Errorf("%d sources remembered, want %d", got, maxSources)
	}
	if got := codes.Redeem(NewCode().String(), "k", "loud", start.Add(2*time.Minute)).Outcome; got != Locked {
		t.Errorf("a flood of sources unlocked a locked one: %s", got)
	}
	codes.Unlock("loud")
	if got := codes.Redeem(NewCode().String(), "k", "loud", start.Add(2*time.Minute)).Outcome; got != Unknown {
		t.Errorf("after Unlock = %s, want unknown", got)
	}
}

func TestMessages(t *testing.T) {
	a := authority(t)
	i, _ := NewIdentity()
	code := NewCode()
	req, err := PrepareEnrol(i, strings.ToLower(code.String()))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(req)
	t.Logf("request %d bytes", len(b))
	back, err := ParseEnrolRequest([]byte(strings.Replace(string(b), "{", `{"tomorrow":[1],`, 1)))
	if err != nil || back.Code != code.String() || back.CSR != req.CSR {
		t.Errorf("ParseEnrolRequest = %+v, %v", back, err)
	}
	for _, c := range []struct{ name, in string }{
		{"empty", ""}, {"no object", "[]"}, {"nothing asked", "{}"}, {"a code alone", `{"code":"x"}`},
		{"both ways at once", `{"code":"x","csr":"y","renewal":{}}`},
		{"too large", `{"code":"x","csr":"` + strings.Repeat("y", MaxMessage) + `"}`},
	} {
		if _, err := ParseEnrolRequest([]byte(c.in)); err == nil {
			t.Errorf("%s: ParseEnrolRequest succeeded", c.name)
		}
	}
	if _, err := PrepareEnrol(i, "hello"); !errors.Is(err, ErrCode) {
		t.Errorf("PrepareEnrol with no code = %v, want ErrCode", err)
	}

	ans, err := a.Enrol(req.CSR, "tram-a", start)
	if err != nil {
		t.Fatal(err)
	}
	b, _ = json.Marshal(ans)
	t.Logf("answer %d bytes", len(b))
	got, err := ParseEnrolAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FinishEnrol(i, a.RootPEM(), "tram-a", got); err != nil {
		t.Errorf("FinishEnrol after the wire: %v", err)
	}
}

func TestFinishEnrolRefuses(t *testing.T) {
	a, thief := authority(t), authority(t)
	i, _ := NewIdentity()
	other, _ := NewIdentity()
	csr, _ := i.CSR()
	otherCSR, _ := other.CSR()
	answer := func(a *Authority, csr, name string) EnrolAnswer {
		ans, err := a.Enrol(csr, name, start)
		if err != nil {
			t.Fatal(err)
		}
		return ans
	}
	good := answer(a, csr, "tram-a")
	for _, c := range []struct {
		name string
		ans  func() EnrolAnswer
		want error
	}{
		{"good", func() EnrolAnswer { return good }, nil},
		{"another centre", func() EnrolAnswer { return answer(thief, csr, "tram-a") }, ErrForeign},
		{"another key", func() EnrolAnswer { return answer(a, otherCSR, "tram-a") }, ErrForeign},
		{"another station", func() EnrolAnswer { return answer(a, csr, "tram-b") }, ErrForeign},
		{"another receipt key", func() EnrolAnswer { g := good; g.ReceiptKey = thief.ReceiptKey(); return g }, ErrForeign},
		{"another certificate", func() EnrolAnswer { g := good; g.Certificate = answer(a, csr, "tram-a").Certificate; return g }, ErrForeign},
		{"another name", func() EnrolAnswer { g := good; g.Replica = "tram-b"; return g }, ErrForeign},
		{"nothing", func() EnrolAnswer { return EnrolAnswer{} }, ErrForeign},
	} {
		got, err := FinishEnrol(i, a.RootPEM(), "tram-a", c.ans())
		if !errors.Is(err, c.want) || (err == nil) != (got != nil) {
			t.Errorf("%s: FinishEnrol = %v, want %v", c.name, err, c.want)
		}
	}
	leaf := good.Certificate
	if _, err := FinishEnrol(i, leaf, "tram-a", good); !errors.Is(err, ErrForeign) {
		t.Errorf("a leaf as root: FinishEnrol = %v, want ErrForeign", err)
	}
}

func TestParseKit(t *testing.T) {
	a := authority(t)
	good := Kit{"tram-a", "https://centre.example:8643", a.RootPEM(), NewCode().String(), "tram-recovery-1 AAAA"}
	for _, c := range []struct {
		name string
		bend func(*Kit)
		ok   bool
	}{
		{"good", func(*Kit) {}, true},
		{"plain HTTP", func(k *Kit) { k.Centre = "http://centre.example" }, false},
		{"no address", func(k *Kit) { k.Centre = "" }, false},
		{"no name", func(k *Kit) { k.Station = "" }, false},
		{"no root", func(k *Kit) { k.Root = "" }, false},
		{"no code", func(k *Kit) { k.Code = "" }, false},
	} {
		k := good
		c.bend(&k)
		b, _ := json.Marshal(k)
		got, err := ParseKit(b)
		if (err == nil) != c.ok || (c.ok && got != good) {
			t.Errorf("%s: ParseKit = %+v, %v, want ok %v", c.name, got, err, c.ok)
		}
	}
	if _, err := ParseKit([]byte("half {")); err == nil {
		t.Error("ParseKit of no JSON succeeded")
	}
}
