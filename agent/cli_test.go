package agent

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"tram/sync/central"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tram":         func() { os.Exit(Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
		"tram-central": func() { os.Exit(central.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestCommandLineStories(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// Settings that put the page on the network are told of, and the program works with the page on
// this PC.
func TestPageOnTheNetworkStaysOnThisPC(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tram.toml"), []byte("[page]\nlisten = \"192.168.1.10:8700\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	c, err := (&tool{out: io.Discard, err: &said}).settings("", dir)
	if err != nil || c.Page.Listen != "127.0.0.1:8700" || c.Data.Folder != dir || !strings.Contains(said.String(), "page.listen") {
		t.Errorf("settings = %+v, %v, told %q", c.Page, err, said.String())
	}
}
