package account_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"tram/store/account"
	"tram/store/audit"
)

// answer is what a sign-in is told, without how many milliseconds are left of a wait.
func answer(err error) string {
	var locked *account.LockedError
	if errors.As(err, &locked) {
		return fmt.Sprintf("wait %d s", locked.Seconds())
	}
	return fmt.Sprint(err)
}

// A wrong PIN is told alike for a user and for a name that is none, whatever was tried before
// under others, and after a restart.
func TestNobodyLearnsWhichUsersExist(t *testing.T) {
	b, s, c := book(t)
	if err := b.Add(t.Context(), "quang", "Quang", account.Admin, "246813", ""); err != nil {
		t.Fatal(err)
	}
	try := func(user string) string {
		_, err := b.SignIn(t.Context(), user, "not-it-7")
		return answer(err)
	}
	for range 4 {
		try("nobody-x")
	}
	for i, want := range []string{account.ErrWrong.Error(), account.ErrWrong.Error(), account.ErrWrong.Error(), "wait 5 s", "wait 5 s"} {
		if i == 4 {
			b = account.New(s, func() time.Time { return c.now }, account.Cost{Time: 1, Memory: 64})
		}
		if is, none := try("quang"), try(" Ghost"); is != want || none != want {
			t.Errorf("try %d: a user who exists is told %q, one who does not %q, want %q", i, is, none, want)
		}
	}
	for i := range 300 { // more names than are counted: what is kept of them has a bound
		c.now = c.now.Add(time.Second)
		try(fmt.Sprint("name-", i))
	}
	raw, err := s.Setting("web lockout")
	if err != nil || len(raw) > 20_000 {
		t.Errorf("%d bytes are kept of wrong tries, %v", len(raw), err)
	}
	c.now = c.now.Add(time.Hour)
	if _, err := b.SignIn(t.Context(), "quang", "246813"); err != nil {
		t.Errorf("the right PIN: %v", err)
	}
}

// Who tries to be somebody leaves word of it under that one's name; a name that is no user's
// may be a PIN in the wrong field, and is nowhere kept.
func TestWrongPINsAreAudited(t *testing.T) {
	b, s, _ := book(t)
	ctx := t.Context()
	for _, user := range []string{"quang", "trang"} {
		if err := b.Add(ctx, user, user, account.Admin, "246813", map[bool]string{true: "quang"}[user == "trang"]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Disable(ctx, "trang", true, "quang"); err != nil {
		t.Fatal(err)
	}
	before, err := s.ActsBefore(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, try := range [][2]string{{"quang", "not-it-7"}, {"135792", "135792"}, {"trang", "246813"}, {"quang", "246813"}} {
		b.SignIn(ctx, try[0], try[1])
	}
	after, err := s.ActsBefore(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range after[:len(after)-len(before)] { // newest first
		got = append(got, e.Who+" "+string(e.Action))
	}
	if want := []string{"quang " + string(audit.SignIn), "trang " + string(audit.Refuse), "quang " + string(audit.Refuse)}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the audit has %v, want %v", got, want)
	}
}
