package agent

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/agent/config"
	"tram/store/account"
	"tram/store/audit"
)

// A station is started twice before anybody makes the first account.
func TestSetupCodeStaysUntilThereIsAnAccount(t *testing.T) {
	dir := t.TempDir()
	_, first := startStation(t, dir)
	here, err := ReadHere(dir)
	if err != nil || here.Setup == "" {
		t.Fatalf("%+v, %v", here, err)
	}
	first.stop()
	a, second := startStation(t, dir)
	if again, err := ReadHere(dir); err != nil || again.Setup != here.Setup {
		t.Errorf("the code was %s and is %s, %v", here.Setup, again.Setup, err)
	}
	if s := command(t, tramMain, ExitFine, "status", "--data", dir); !strings.Contains(s, here.Setup) || !strings.HasPrefix(s, "Chưa có tài khoản nào") {
		t.Errorf("status says %q, want the code %s in it", s, here.Setup)
	}
	if err := account.New(a.Store(), time.Now, account.Cost{Time: 1, Memory: 64}).Add(context.Background(), "hoa", "Hoà", account.Admin, "sen-hong-7", ""); err != nil {
		t.Fatal(err)
	}
	if s := command(t, tramMain, ExitFine, "status", "--data", dir); strings.Contains(s, here.Setup) || !strings.HasPrefix(s, "Trạm chưa có tên: 0 hồ sơ") {
		t.Errorf("with an account status says %q", s)
	}
	second.stop()
	startStation(t, dir)
	if again, err := ReadHere(dir); err != nil || again.Setup != "" {
		t.Errorf("with an account the code is %q, %v", again.Setup, err)
	}
}

// The only administrator forgot the PIN: who administers the PC gives another one, while the
// station works and while it is stopped.
func TestAForgottenPINIsReplaced(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	a, running := startStation(t, dir)
	book := account.New(a.Store(), time.Now, account.Cost{Time: 1, Memory: 64})
	if err := book.Add(ctx, "hoa", "Hoà", account.Admin, "sen-hong-7", ""); err != nil {
		t.Fatal(err)
	}
	if err := book.Add(ctx, "mai", "Mai", account.Nurse, "sen-hong-8", "hoa"); err != nil {
		t.Fatal(err)
	}
	pin := filepath.Join(t.TempDir(), "pin")
	reset := func(user, secret string, want int) string {
		t.Helper()
		if err := os.WriteFile(pin, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return command(t, tramMain, want, "staff", "pin", user, "--pin-file", pin, "--data", dir)
	}
	for user, secret := range map[string]string{"mai": "cuc-vang-5", "lan": "cuc-vang-5", "hoa": "123456"} {
		if s := reset(user, secret, ExitTrouble); !strings.Contains(s, "Không có gì thay đổi") {
			t.Errorf("%s, %s: %q", user, secret, s)
		}
	}
	reset("Hoa", "cuc-vang-5", ExitFine)
	if _, err := book.SignIn(ctx, "hoa", "cuc-vang-5"); err != nil {
		t.Errorf("the new PIN: %v", err)
	}
	if _, err := book.SignIn(ctx, "hoa", "sen-hong-7"); err == nil {
		t.Error("the old PIN still opens")
	}
	running.stop()
	reset("hoa", "mai-trang-3", ExitFine)
	a, _ = startStation(t, dir)
	if _, err := account.New(a.Store(), time.Now, account.Cost{}).SignIn(ctx, "hoa", "mai-trang-3"); err != nil {
		t.Errorf("the PIN given while it was stopped: %v", err)
	}
	seg, err := a.Store().Acts(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, raw := range seg.Acts {
		var e audit.Entry
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		if e.Who == pcAuthor && e.Action == audit.Update && e.Purpose == "staff-accounts" {
			told++
		}
	}
	if told != 2 {
		t.Errorf("the audit tells of %d new PINs, want 2", told)
	}
}

// What a command says is in one language, though it cannot know the station's settings.
func TestOneLanguageHoldsForAWholeOutput(t *testing.T) {
	dir := t.TempDir()
	startStation(t, dir, func(c *config.Config) { c.Station.Language = "en" })
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "A station without a name: 0 records of 0 people"},
		{[]string{"--language", "vi"}, "Trạm chưa có tên: 0 hồ sơ của 0 người"},
	} {
		s := command(t, tramMain, ExitFine, append([]string{"status", "--data", dir}, c.args...)...)
		other := map[bool]string{true: "Máy này chưa đăng ký", false: "not enrolled"}[c.args == nil]
		if !strings.Contains(s, c.want) || strings.Contains(s, other) {
			t.Errorf("%v: %q, want %q", c.args, s, c.want)
		}
	}
}
