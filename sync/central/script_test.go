package central

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tram-central": func() { os.Exit(Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// Scripts see that a command failed, not with which code.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"nothing":           {nil, 2},
		"no such command":   {[]string{"dance"}, 2},
		"a flag is missing": {[]string{"enrol", "--data", dir}, 2},
		"no such station":   {[]string{"deny", "--data", dir, "--station", "tram-x"}, 1},
		"a kit":             {[]string{"enrol", "--data", dir, "--station", "tram-a", "--out", filepath.Join(dir, "kit.json")}, 0},
	} {
		var out, trouble strings.Builder
		got := Main(context.Background(), c.args, &out, &trouble)
		if got != c.want || (got == 0) != (trouble.Len() == 0) {
			t.Errorf("%s: %d %q, want %d", name, got, trouble.String(), c.want)
		}
	}
}

// TestScripts tells stories of the command line; each is a file in testdata/script.
func TestScripts(t *testing.T) {
	if all, err := filepath.Glob("testdata/script/*.txtar"); err != nil || len(all) == 0 {
		t.Fatalf("no scripts: %v, %v", all, err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// running DIR waits until the centre in a folder says where it is, and
			// sets PAGE and SETUP.
			"running": func(ts *testscript.TestScript, neg bool, args []string) {
				for range 600 {
					if h, err := ReadHere(ts.MkAbs(args[0])); err == nil {
						ts.Setenv("PAGE", h.Page)
						ts.Setenv("SETUP", h.Setup)
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
				ts.Fatalf("no centre in %s after half a minute", args[0])
			},
		},
	})
}
