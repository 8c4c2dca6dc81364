//go:build keys

package slot

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tram/store/seal"
)

// startTPM starts a TPM in software whose state is kept in a folder, and
// returns its socket and what stops it.
func startTPM(t *testing.T, state string) (socket string, stop func()) {
	t.Helper()
	bin, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatal("swtpm is missing: apt-get install swtpm")
	}
	socket = filepath.Join(t.TempDir(), "tpm")
	cmd := exec.Command(bin, "socket", "--tpm2", "--tpmstate", "dir="+state, "--server", "type=unixio,path="+socket,
		"--flags", "not-need-init,startup-clear")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(stop)
	for range 200 {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return socket, stop
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	t.Fatalf("swtpm does not answer: %s", &said)
	return "", nil
}

// TestTPM is a PC's TPM over restarts of the PC, another PC's, and none.
func TestTPM(t *testing.T) {
	state := t.TempDir()
	socket, stop := startTPM(t, state)
	master := secret()
	slot := wrap(t, TPM{socket}, master)
	for range 8 { // more than a TPM has room for, if anything were left there
		if got, err := (TPM{socket}).Unwrap(slot); err != nil || !bytes.Equal(got, master) {
			t.Fatalf("on the same PC: %v", err)
		}
	}
	stop()
	if _, err := (TPM{socket}).Unwrap(slot); !errors.Is(err, seal.ErrUnable) {
		t.Errorf("with the TPM off: %v; want ErrUnable", err)
	}
	socket, stop = startTPM(t, state)
	if got, err := (TPM{socket}).Unwrap(slot); err != nil || !bytes.Equal(got, master) {
		t.Errorf("after a restart: %v", err)
	}
	for name, bad := range map[string]string{"nothing": `{}`, "no blob": `{"public":"AAAA","private":"AAAA"}`} {
		if got, err := (TPM{socket}).Unwrap([]byte(bad)); !errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("%s: opened to %d bytes, %v", name, len(got), err)
		}
	}
	altered := bytes.Replace(slot, []byte(`"private":"`), []byte(`"private":"AAAA`), 1)
	if got, err := (TPM{socket}).Unwrap(altered); err == nil {
		t.Errorf("an altered slot opened to %d bytes", len(got))
	}
	stop()
	other, _ := startTPM(t, t.TempDir())
	if got, err := (TPM{other}).Unwrap(slot); !errors.Is(err, seal.ErrElsewhere) {
		t.Errorf("on another PC: opened to %d bytes, %v; want ErrElsewhere", len(got), err)
	}
}

// TestDeadPC moves a disk from a PC whose TPM is gone to another one: the way back
// is the centre's recovery key, and the new PC's TPM holds the key then.
func TestDeadPC(t *testing.T) {
	dir := t.TempDir()
	path, key := filepath.Join(dir, "keys.json"), seal.KeyFile(filepath.Join(dir, "key"))
	socket, stop := startTPM(t, t.TempDir())
	k, err := seal.Unlock(path, key)
	if err != nil {
		t.Fatal(err)
	}
	value := k.Seal(nil, []byte("one"))
	centre := newRecovery(t)
	s, err := seal.Load(path, key, TPM{socket})
	for _, o := range []seal.Opener{TPM{socket}, centre.Escrow()} {
		if err == nil {
			_, err = s.Add(o)
		}
	}
	if err == nil {
		err = s.Remove(1)
	}
	if err != nil {
		t.Fatal(err)
	}
	stop()

	now, _ := startTPM(t, t.TempDir())
	if _, err := seal.Unlock(path, key, TPM{now}); !errors.Is(err, seal.ErrElsewhere) {
		t.Errorf("on the new PC: %v; want ErrElsewhere", err)
	}
	slots, err := seal.List(path)
	if err != nil {
		t.Fatal(err)
	}
	master, err := centre.Unwrap(slots[1].Key)
	if err != nil {
		t.Fatal(err)
	}
	dropped, err := seal.Recover(path, master, []seal.Opener{TPM{now}}, Escrow{})
	if err != nil || len(dropped) != 1 || dropped[0].Kind != KindTPM {
		t.Fatalf("dropped %v, %v", dropped, err)
	}
	k, err = seal.Unlock(path, TPM{now})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Open(nil, value); err != nil || string(got) != "one" {
		t.Errorf("got %q, %v", got, err)
	}
}
