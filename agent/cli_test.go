package agent

import (
	"context"
	"os"
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
