package rehearse

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestWordsAreTheSameInBothLanguages(t *testing.T) {
	verbs := regexp.MustCompile(`%[-0-9.]*[a-z]`)
	vi, en := NewWords("vi"), NewWords("en")
	if len(vi) == 0 || len(vi) != len(en) {
		t.Errorf("%d words in vi, %d in en", len(vi), len(en))
	}
	for key := range en {
		if got, want := verbs.FindAllString(vi[key], -1), verbs.FindAllString(en[key], -1); !slices.Equal(got, want) {
			t.Errorf("%s: vi has %v, en %v", key, got, want)
		}
	}
	for _, l := range []string{"equal-before", "offline", "late-sent", "late-forgotten", "killed", "equal", "apart", "safety", "administrative",
		"deleted", "late", "rest", "sound", "decided", "equal-after", "sound-after"} {
		if en[l] == "" {
			t.Errorf("no words for %s", l)
		}
	}
}

// TestCastTouchesItsOwnFolderOnly: a folder is emptied only where a rehearsal
// made it.
func TestCastTouchesItsOwnFolderOnly(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	write := func(parts ...string) string {
		t.Helper()
		path := filepath.Join(append([]string{dir}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if _, err := NewCast(filepath.Join(dir, "new"), bin, true); err == nil {
		t.Error("took a folder without programs")
	}
	write("bin", file("tram"))
	write("bin", file("tram-central"))

	theirs := write("theirs", "letter.txt")
	if _, err := NewCast(filepath.Dir(theirs), bin, true); err == nil || !strings.Contains(err.Error(), "--work") {
		t.Errorf("took another's folder: %v", err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("deleted another's file: %v", err)
	}

	own := filepath.Join(dir, "own")
	if _, err := NewCast(own, bin, false); err != nil {
		t.Fatal(err)
	}
	kept := write("own", "kept.txt")
	if _, err := NewCast(own, bin, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a folder that is to be kept lost a file: %v", err)
	}
	if _, err := NewCast(own, bin, true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err == nil {
		t.Error("a folder that is to be made anew kept a file")
	}
}

func TestMainRefusesWrongUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{{[]string{"demo", "--no-such-thing"}, exitUsage}, {nil, exitUsage}, {[]string{"--bin", t.TempDir(), "demo", "--work", t.TempDir()}, exitTrouble}} {
		var out, trouble strings.Builder
		if got := Main(t.Context(), c.args, &out, &trouble); got != c.want || trouble.Len() == 0 {
			t.Errorf("%q: exit %d (%s), want %d", c.args, got, trouble.String(), c.want)
		}
	}
}

// The second of two says that the first one runs, and nothing of ports that it does not use.
func TestASecondRunSaysThatTheFirstRuns(t *testing.T) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", centrePage)) // or something else has it
	if err == nil {
		defer taken.Close()
	}
	c := &Cast{Work: t.TempDir()}
	dir := c.Station("tram-a").Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(`{"address":"`+listen.Addr().String()+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Run(t.Context(), c, &out); err == nil || !strings.Contains(err.Error(), listen.Addr().String()) || out.Len() > 0 {
		t.Errorf("it says %q, %v", out.String(), err)
	}
}
