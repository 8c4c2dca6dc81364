// Package housetest lets a test's own binary be the programs of a house.
//
// It owns how a test gets programs without building them. It promises that they are the
// code under test. It does not know what they are made to do.
package housetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"tram/agent"
	"tram/agent/rehearse/interop/house"
	"tram/sync/central"
)

// Main is the body of a TestMain: under the name of a program this binary is that one.
func Main(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "tram":
		os.Exit(agent.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	case "tram-central":
		os.Exit(central.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// Programs are the two, as links to this binary.
func Programs(t *testing.T) house.Programs {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := house.Programs{Tram: filepath.Join(t.TempDir(), "tram"), Central: filepath.Join(t.TempDir(), "tram-central")}
	for _, name := range []string{p.Tram, p.Central} {
		if err := os.Symlink(self, name); err != nil {
			t.Fatal(err)
		}
	}
	return p
}
