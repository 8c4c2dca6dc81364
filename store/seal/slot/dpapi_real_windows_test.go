//go:build keys

package slot

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"tram/store/seal"
)

// TestDPAPI leaves a slot and its secret in a folder and, when it finds them
// there, opens it: another process, as after a restart.
func TestDPAPI(t *testing.T) {
	dir := flag.Arg(0)
	if dir == "" {
		t.Fatal("name a folder for what one process leaves to the next")
	}
	slotFile, secretFile := filepath.Join(dir, "slot"), filepath.Join(dir, "secret")
	if slot, err := os.ReadFile(slotFile); err == nil {
		want, err := os.ReadFile(secretFile)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (DPAPI{}).Unwrap(slot); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("in another process: %v", err)
		}
		return
	}
	master := secret()
	slot := wrap(t, DPAPI{}, master)
	if got, err := (DPAPI{}).Unwrap(slot); err != nil || !bytes.Equal(got, master) {
		t.Fatalf("in one process: %v", err)
	}
	var box []byte
	if err := json.Unmarshal(slot, &box); err != nil {
		t.Fatal(err)
	}
	box[len(box)-1] ^= 1
	altered, err := json.Marshal(box)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (DPAPI{}).Unwrap(altered); err == nil {
		t.Errorf("an altered slot opened to %d bytes", len(got))
	}
	for _, bad := range []string{`""`, `7`} {
		if got, err := (DPAPI{}).Unwrap([]byte(bad)); !errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("%s: opened to %d bytes, %v", bad, len(got), err)
		}
	}
	if got, err := (DPAPI{}).Unwrap([]byte(`"AAAA"`)); !errors.Is(err, seal.ErrElsewhere) {
		t.Errorf("no data of DPAPI: opened to %d bytes, %v; want ErrElsewhere", len(got), err)
	}
	path := filepath.Join(dir, "keys.json") // Wine 8 cannot empty a folder of the test's own
	k, err := seal.Unlock(path, DPAPI{})
	if err != nil {
		t.Fatal(err)
	}
	value := k.Seal(nil, []byte("one"))
	if k, err = seal.Unlock(path, DPAPI{}); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Open(nil, value); err != nil || string(got) != "one" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := errors.Join(os.WriteFile(secretFile, master, 0o600), os.WriteFile(slotFile, slot, 0o600)); err != nil {
		t.Fatal(err)
	}
}
