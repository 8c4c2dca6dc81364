//go:build keys && !windows

package slot

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDPAPIUnderWine runs TestDPAPI as a Windows program, twice. Wine's DPAPI has
// no machine secret of its own, so that another machine cannot be shown.
func TestDPAPIUnderWine(t *testing.T) {
	dir := t.TempDir()
	exe, prefix := filepath.Join(dir, "slot.test.exe"), filepath.Join(dir, "prefix")
	run := func(env []string, name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	for need, of := range map[string]string{"wine": "wine wine64", "wineboot": "wine", "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Fatalf("%s is missing: apt-get install %s", need, of)
		}
	}
	run([]string{"GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0"}, "go", "test", "-c", "-tags", "keys", "-o", exe, ".")

	wine := []string{"WINEPREFIX=" + prefix, "WINEARCH=win64", "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml="}
	t.Cleanup(func() {
		cmd := exec.Command("wineserver", "-k")
		cmd.Env = append(os.Environ(), wine...)
		cmd.Run() // it may have ended by itself
	})
	run(wine, "wineboot", "--init")
	run(wine, "wineserver", "-w")
	randomness(t, filepath.Join(prefix, "drive_c", "windows", "system32"))
	for range 2 {
		run(wine, "wine", exe, "-test.v", "-test.run", "^TestDPAPI$", `Z:`+dir)
		run(wine, "wineserver", "-w")
	}
	if _, err := os.Stat(filepath.Join(dir, "slot")); err != nil {
		t.Error("no slot was left for the second process:", err)
	}
}

// randomness gives Wine 8 the library that Go takes random bytes from: one
// export that leads to the one Wine has.
func randomness(t *testing.T, system32 string) {
	t.Helper()
	def := filepath.Join(t.TempDir(), "bcryptprimitives.def")
	if err := os.WriteFile(def, []byte("LIBRARY bcryptprimitives.dll\nEXPORTS\nProcessPrng=advapi32.SystemFunction036\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("x86_64-w64-mingw32-gcc", "-shared", "-nostdlib", "-Wl,--entry=0", "-s", "-o", filepath.Join(system32, "bcryptprimitives.dll"), def)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build bcryptprimitives.dll: %v\n%s", err, out)
	}
}
