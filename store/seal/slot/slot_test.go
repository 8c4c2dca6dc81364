package slot

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tram/store/seal"
)

func secret() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// wrap wraps a secret and checks that the slot does not show it.
func wrap(t *testing.T, o seal.Opener, master []byte) json.RawMessage {
	t.Helper()
	slot, err := o.Wrap(master)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(master)
	if err != nil || !json.Valid(slot) || bytes.Contains(slot, bytes.Trim(plain, `"=`)) {
		t.Fatalf("the slot is no JSON, or shows what it wraps: %s, %v", slot, err)
	}
	return slot
}

func typed(text string) Passphrase { return Passphrase{func() (string, error) { return text, nil }} }

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenersOpenTheirOwnAndNothingElse(t *testing.T) {
	mine, theirs := newRecovery(t), newRecovery(t)
	key := strings.Repeat("k", 32)
	for name, c := range map[string]struct{ wrapper, opener, wrong, missing seal.Opener }{
		"passphrase": {typed("bốn từ dễ nhớ"), typed("bốn từ dễ nhớ"), typed("bốn từ khó nhớ"), typed("")},
		"passphrase of a file": {PassphraseFile(file(t, "bốn từ dễ nhớ\r\nmore")), typed("bốn từ dễ nhớ"),
			PassphraseFile(file(t, "bốn từ khó nhớ")), PassphraseFile("nowhere")},
		"credential": {Credential(file(t, key)), Credential(file(t, key)), Credential(file(t, key+"k")), Credential("nowhere")},
		"escrow":     {mine.Escrow(), mine, theirs, mine.Escrow()},
		"recovery":   {mine, mine, theirs, Escrow{}},
	} {
		master := secret()
		slot := wrap(t, c.wrapper, master)
		if got, err := c.opener.Unwrap(slot); err != nil || !bytes.Equal(got, master) {
			t.Errorf("%s: does not open: %v", name, err)
		}
		for what, o := range map[string]seal.Opener{"wrong": c.wrong, "missing": c.missing} {
			want := map[string]error{"wrong": seal.ErrWrongKey, "missing": seal.ErrNoKey}[what]
			if got, err := o.Unwrap(slot); !errors.Is(err, want) || got != nil {
				t.Errorf("%s, %s: got %d bytes, %v; want %v", name, what, len(got), err, want)
			}
		}
		for _, bad := range []string{"", "7", "{}", `""`, `"AAAA"`, `[1]`, "null"} {
			if got, err := c.opener.Unwrap(json.RawMessage(bad)); !errors.Is(err, seal.ErrWrongKey) {
				t.Errorf("%s: %q opened to %d bytes, %v", name, bad, len(got), err)
			}
		}
	}
}

func newRecovery(t *testing.T) Recovery {
	t.Helper()
	r, err := NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPassphraseIsTheSameHoweverItIsTyped(t *testing.T) {
	master := secret()
	slot := wrap(t, typed("Tra\u0323m y te\u0302\u0301 xa\u0303"), master) // letter by letter, with marks behind
	if got, err := typed("Trạm y tế xã").Unwrap(slot); err != nil || !bytes.Equal(got, master) {
		t.Errorf("does not open: %v", err)
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	for _, text := range []string{"", "mậtkhẩu1234", "e\u0302\u0301e\u0302\u0301e\u0302\u0301e\u0302\u0301"} {
		if _, err := typed(text).Wrap(secret()); !errors.Is(err, ErrWeak) {
			t.Errorf("%q: %v; want ErrWeak", text, err)
		}
	}
	if _, err := Credential(file(t, "short")).Wrap(secret()); !errors.Is(err, ErrShort) {
		t.Errorf("a short credential: %v; want ErrShort", err)
	}
}

// TestSlotCannotUseUpThePC alters how hard a passphrase is to stretch.
func TestSlotCannotUseUpThePC(t *testing.T) {
	for _, s := range []stretched{
		{1 << 30, memory, threads, make([]byte, 16), nil}, {passes, 1 << 31, threads, make([]byte, 16), nil},
		{0, memory, threads, make([]byte, 16), nil}, {passes, memory, 0, make([]byte, 16), nil}, {passes, memory, threads, nil, nil}, {passes, 0, threads, make([]byte, 16), nil},
	} {
		slot, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := typed("bốn từ dễ nhớ").Unwrap(slot); !errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("%s: %v", slot, err)
		}
	}
}

func TestEscrowIsWrappedAnewWithoutItsKey(t *testing.T) {
	r, master := newRecovery(t), secret()
	slot, err := Escrow{}.Rewrap(wrap(t, r.Escrow(), secret()), master)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Unwrap(slot); err != nil || !bytes.Equal(got, master) {
		t.Errorf("does not open: %v", err)
	}
	if m := EscrowMark(slot); m == "" || m != r.Escrow().Mark() || EscrowMark([]byte(`{}`)) != "" {
		t.Errorf("mark %q, want %q", m, r.Escrow().Mark())
	}
	if _, err := (Escrow{}).Wrap(master); !errors.Is(err, ErrRecoveryKey) {
		t.Errorf("wrapped for nobody: %v", err)
	}
}

func TestRecoveryKeyAsText(t *testing.T) {
	r, master := newRecovery(t), secret()
	code, err := r.Code()
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParseEscrow(r.Escrow().String() + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	typed := strings.NewReplacer("-", " ", "O", "0", "I", "1", "B", "8").Replace(strings.ToLower(strings.ReplaceAll(code, "O", "0")))
	again, err := ParseRecovery("\n " + typed)
	if err != nil {
		t.Fatalf("%q typed as %q: %v", code, typed, err)
	}
	if got, err := again.Unwrap(wrap(t, public, master)); err != nil || !bytes.Equal(got, master) {
		t.Errorf("does not open: %v", err)
	}
	if len(code) != 14*4+13 || strings.Count(code, "-") != 13 {
		t.Errorf("the code is %q", code)
	}
	for i := range code {
		if code[i] == '-' {
			continue
		}
		other := byte('A')
		if code[i] == other {
			other = 'Q'
		}
		if _, err := ParseRecovery(code[:i] + string(other) + code[i+1:]); !errors.Is(err, ErrCode) {
			t.Errorf("mistyped at %d: %v; want ErrCode", i, err)
		}
	}
	for _, bad := range []string{"", "AAAA", code + "-AAAA", code[5:]} {
		if _, err := ParseRecovery(bad); !errors.Is(err, ErrCode) {
			t.Errorf("%q: %v; want ErrCode", bad, err)
		}
	}
	for _, bad := range []string{"", "tram-recovery-1 AAAA", "tram-recovery-2" + public.String()[15:], public.String() + "AAAA"} {
		if _, err := ParseEscrow(bad); !errors.Is(err, ErrRecoveryKey) {
			t.Errorf("%.30q: %v; want ErrRecoveryKey", bad, err)
		}
	}
}

func TestCredentialIsWhereSystemdSays(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if c := SystemdCredential(); c != "" {
		t.Errorf("without systemd: %q", c)
	}
	if _, err := SystemdCredential().Unwrap([]byte(`"AAAA"`)); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("without systemd: %v; want ErrNoKey", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "dir")
	if c := SystemdCredential(); c != Credential(filepath.Join("dir", "tram.key")) {
		t.Errorf("got %q", c)
	}
}

func TestNoTPMIsSaidInWords(t *testing.T) {
	for name, device := range map[string]string{"none": filepath.Join(t.TempDir(), "none"), "not one": file(t, "")} {
		if _, err := (TPM{device}).Wrap(secret()); !errors.Is(err, seal.ErrUnable) || !strings.Contains(err.Error(), "TPM") {
			t.Errorf("%s: %v; want ErrUnable", name, err)
		}
	}
}

// TestStoreOpensByAnySlot has all kinds in one file, as a station would.
func TestStoreOpensByAnySlot(t *testing.T) {
	dir := t.TempDir()
	path, key := filepath.Join(dir, "keys.json"), seal.KeyFile(filepath.Join(dir, "key"))
	k, err := seal.Unlock(path, key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := k.Seal(nil, []byte("one"))
	r, credential := newRecovery(t), Credential(file(t, strings.Repeat("k", 40)))
	s, err := seal.Load(path, key, credential, Escrow{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []seal.Opener{typed("bốn từ dễ nhớ"), credential, r.Escrow()} {
		if _, err := s.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remove(1); err != nil {
		t.Fatal(err)
	}
	for _, o := range []seal.Opener{typed("bốn từ dễ nhớ"), credential, r} {
		k, err := seal.Unlock(path, key, o)
		if err != nil {
			t.Errorf("%s: %v", o.Kind(), err)
			continue
		}
		if got, err := k.Open(nil, sealed); err != nil || string(got) != "one" {
			t.Errorf("%s: got %q, %v", o.Kind(), got, err)
		}
	}
	// Escrow alone is no slot that opens here.
	s, err = seal.Load(path, credential, Escrow{})
	if err == nil {
		err = s.Remove(2)
	}
	if err == nil {
		err = s.Remove(3)
	}
	if !errors.Is(err, seal.ErrLastSlot) {
		t.Errorf("escrow was left alone: %v; want ErrLastSlot", err)
	}
}
