package clients

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/agent/rehearse/interop/house/housetest"
)

// TestMain lets the test's own program be the suite too.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "suite" {
		os.Exit(suite())
	}
	housetest.Main(m)
}

// suite asks where it is told to for people, and fails at the place that PART names.
func suite() int {
	at, base := os.Args[3], os.Args[5]
	req, err := http.NewRequest(http.MethodGet, base+"/Patient", http.NoBody)
	if err != nil {
		return 3
	}
	req.Header.Set("Authorization", "Bearer "+os.Getenv("TRAM_TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 3
	}
	resp.Body.Close()
	fmt.Println(at, resp.StatusCode)
	if at == os.Getenv("PART") {
		return 1
	}
	return 0
}

// The suite meets the real programs with a token that opens both, and its failure
// at one is the run's, but does not spare the other.
func TestTheSuiteRunsAtBoth(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(t.TempDir(), "suite")
	if err := os.Symlink(self, node); err != nil {
		t.Fatal(err)
	}
	programs := housetest.Programs(t)
	for _, fails := range []string{"", "station", "centre"} {
		t.Run("fails at "+fails, func(t *testing.T) {
			t.Setenv("PART", fails)
			var out bytes.Buffer
			c := Command{Suite: "suite.js", Node: node, Tram: programs.Tram, Central: programs.Central, Dir: t.TempDir(), Timeout: time.Minute}
			err := c.Run(context.Background(), &out)
			if (err != nil) != (fails != "") || err != nil && !strings.Contains(err.Error(), "clients at the "+fails) {
				t.Errorf("ends with %v", err)
			}
			if got := out.String(); got != "station 200\ncentre 200\n" {
				t.Errorf("the suite says %q", got)
			}
			if left, err := os.ReadDir(c.Dir); err != nil || len(left) > 0 {
				t.Errorf("%d files are left (%v)", len(left), err)
			}
		})
	}
}
