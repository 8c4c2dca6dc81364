package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"tram/agent/config"
	"tram/store"
	"tram/store/seal"
	"tram/store/seal/slot"
)

// openers are the ways by which a station opens its records without asking
// anybody. A new station's key is a file beside the records.
func openers(c config.Config) []seal.Opener {
	passphrase := c.Keys.Passphrase
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); passphrase == "" && dir != "" {
		passphrase = filepath.Join(dir, slot.CredentialPassphrase)
	}
	out := []seal.Opener{keyFile(c), slot.SystemdCredential(), slot.TPM{}, slot.DPAPI{}, slot.Escrow{}}
	if passphrase != "" {
		out = append(out, slot.PassphraseFile(passphrase))
	}
	return out
}

func keyFile(c config.Config) seal.KeyFile {
	return seal.KeyFile(filepath.Join(c.Data.Folder, store.KeyFile))
}

// escrow seals this station's key to the centre's recovery key, once for each.
func (a *Agent) escrow(public string) error {
	if public == "" {
		return nil
	}
	e, err := slot.ParseEscrow(public)
	if err != nil {
		return err
	}
	for _, s := range a.store.KeySlots() {
		if s.Kind == slot.KindEscrow && slot.EscrowMark(s.Key) == e.Mark() {
			return nil
		}
	}
	return a.store.AddKeySlot(e)
}

// keysCmd changes how the records are opened. No secret is taken from the
// command line, where everybody on the PC could see it.
type keysCmd struct {
	List    keysListCmd    `cmd:"" help:"List the ways to open the records."`
	Add     keysAddCmd     `cmd:"" help:"Add a way."`
	Remove  keysRemoveCmd  `cmd:"" help:"Take a way out."`
	Rotate  keysRotateCmd  `cmd:"" help:"Draw a new master key and a new data key."`
	Recover keysRecoverCmd `cmd:"" help:"Open the records again by the code that the centre tells."`
}

// way is what a new slot is made with.
type way struct {
	PassphraseFile string `help:"passphrase: read it from this file's first line; else it is typed." type:"path" placeholder:"FILE"`
	Credential     string `help:"systemd: the file that LoadCredential= names; else what systemd gave." type:"path" placeholder:"FILE"`
	Recovery       string `help:"escrow: the centre's public recovery key." type:"path" placeholder:"FILE"`
}

func (w way) opener(t *tool, kind string) (seal.Opener, error) {
	if err := missing(w.PassphraseFile, w.Credential, w.Recovery); err != nil {
		return nil, err
	}
	switch kind {
	case slot.KindPassphrase:
		if w.PassphraseFile != "" {
			return slot.PassphraseFile(w.PassphraseFile), nil
		}
		return t.newPassphrase()
	case slot.KindSystemd:
		if w.Credential != "" {
			return slot.Credential(w.Credential), nil
		}
		return slot.SystemdCredential(), nil
	case slot.KindDPAPI:
		return slot.DPAPI{}, nil
	case slot.KindTPM:
		return slot.TPM{}, nil
	case slot.KindEscrow:
		if w.Recovery == "" {
			return nil, slot.ErrRecoveryKey
		}
		b, err := os.ReadFile(w.Recovery)
		if err != nil {
			return nil, err
		}
		return slot.ParseEscrow(string(b))
	}
	return keyFile(t.conf), nil
}

// missing fails where one of the files that were named is not there.
func missing(files ...string) error {
	for _, f := range files {
		if _, err := os.Stat(f); f != "" && err != nil {
			return err
		}
	}
	return nil
}

func (t *tool) slotsFile() string { return filepath.Join(t.conf.Data.Folder, store.SlotsFile) }

func (t *tool) secondSlots() string { return filepath.Join(t.conf.JournalFolder(), store.SlotsFile) }

// kept reports whether there are records, or a journal of them.
func (t *tool) kept() bool { return there(t.slotsFile()) || there(t.secondSlots()) }

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// withSlots runs f on the unlocked slots while no program has the records open. A
// passphrase is asked for when nothing else opens them.
func (t *tool) withSlots(f func(*seal.Slots) error) error {
	return t.keysAlone(func() error {
		s, err := seal.Load(t.slotsFile(), append(openers(t.conf), t.askPassphrase())...)
		if err != nil {
			return err
		}
		return f(s)
	})
}

// keysAlone runs f on the file of slots, which is its second copy where it is lost.
func (t *tool) keysAlone(f func() error) error {
	if !t.kept() {
		return fmt.Errorf(words(t.lang(), "no-records"), t.conf.Data.Folder)
	}
	slots, second := t.slotsFile(), t.secondSlots()
	err := store.Alone(t.conf.Data.Folder, func() error {
		if !there(slots) {
			if err := seal.Copy(second, slots); err != nil {
				return err
			}
		}
		apart := seal.Join(slots, second, openers(t.conf)...)
		if err := f(); err != nil || apart != nil {
			return err // what may be the only key to a journal is left to the next start
		}
		// A way that was taken out must not come back with the second copy.
		return seal.Copy(slots, second)
	})
	if errors.Is(err, store.ErrLocked) {
		return errors.New(words(t.lang(), "keys-running"))
	}
	return err
}

type keysListCmd struct{}

// Run needs no key and no stopped program.
func (keysListCmd) Run(t *tool) error {
	list, err := seal.List(t.slotsFile())
	if errors.Is(err, seal.ErrNoSlots) {
		return fmt.Errorf(words(t.lang(), "no-records"), t.conf.Data.Folder)
	}
	if err != nil {
		return err
	}
	for _, s := range list {
		fmt.Fprintln(t.out, t.describe(s))
	}
	return nil
}

// describe is a slot as a line: number, kind, and what it means.
func (t *tool) describe(s seal.Slot) string {
	line := fmt.Sprintf("%d %s: %s", s.ID, s.Kind, words(t.lang(), "slot-"+s.Kind))
	if mark := slot.EscrowMark(s.Key); s.Kind == slot.KindEscrow && mark != "" {
		line += " (" + mark + ")"
	}
	return line
}

type keysAddCmd struct {
	Kind string `arg:"" enum:"key-file,passphrase,systemd,dpapi,tpm,escrow" help:"key-file, passphrase, systemd, dpapi, tpm or escrow."`
	way
}

func (c keysAddCmd) Run(t *tool) error {
	return t.withSlots(func(s *seal.Slots) error {
		o, err := c.opener(t, c.Kind)
		if err != nil {
			return err
		}
		added, err := s.Add(o)
		if err != nil {
			return t.unable(c.Kind, err)
		}
		fmt.Fprintf(t.out, words(t.lang(), "keys-added")+"\n", t.describe(added))
		return nil
	})
}

type keysRemoveCmd struct {
	Slot int `arg:"" help:"Its number, as the list says."`
}

// Run also deletes the key file when its last slot goes.
func (c keysRemoveCmd) Run(t *tool) error {
	return t.withSlots(func(s *seal.Slots) error {
		if err := s.Remove(c.Slot); err != nil {
			return err
		}
		fmt.Fprintf(t.out, words(t.lang(), "keys-removed")+"\n", c.Slot)
		for _, left := range s.Slots() {
			if left.Kind == seal.KindKeyFile {
				return nil
			}
		}
		if err := os.Remove(string(keyFile(t.conf))); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

type keysRotateCmd struct{}

// Run draws a new data key while the station works, and seals everything under it; while
// it is stopped a new master key too, and the sealing follows when it works again.
func (keysRotateCmd) Run(t *tool) error {
	var none struct{}
	err := t.call("POST", "/local/rotate", "", nil, &none)
	if err == nil {
		fmt.Fprintln(t.out, words(t.lang(), "keys-rotated-live"))
	}
	if !errors.Is(err, errNotRunning) {
		return err
	}
	return t.withSlots(func(s *seal.Slots) error {
		if err := s.Rekey(); err != nil {
			return err
		}
		k, err := s.Keys()
		if err == nil {
			err = k.Rotate()
		}
		if err == nil {
			fmt.Fprintln(t.out, words(t.lang(), "keys-rotated"))
		}
		return err
	})
}

type keysRecoverCmd struct {
	CodeFile string `help:"Read the code from this file; else it is typed." type:"path" placeholder:"FILE"`
	To       string `help:"The kind of the new way." enum:"key-file,passphrase,systemd,dpapi,tpm" default:"key-file"`
	way
}

// Run makes a new way with the code, which is of no use afterwards.
func (c keysRecoverCmd) Run(t *tool) error {
	return t.keysAlone(func() error {
		var code string
		var err error
		if c.CodeFile != "" {
			var b []byte
			b, err = os.ReadFile(c.CodeFile)
			code = string(b)
		} else {
			code, err = t.typed("type-code")
		}
		if err != nil {
			return err
		}
		master, err := slot.ParseCode(code)
		if err != nil {
			return err
		}
		o, err := c.opener(t, c.To)
		if err != nil {
			return err
		}
		if c.To == seal.KindKeyFile {
			if err := t.keyFileAside(); err != nil {
				return err
			}
		}
		dropped, err := seal.Recover(t.slotsFile(), master, []seal.Opener{o}, openers(t.conf)...)
		if err != nil {
			return t.unable(c.To, err)
		}
		fmt.Fprintln(t.out, words(t.lang(), "keys-recovered"))
		for _, s := range dropped {
			fmt.Fprintf(t.out, words(t.lang(), "keys-dropped")+"\n", t.describe(s))
		}
		return nil
	})
}

// keyFileAside moves away a key file that no slot opens with, so that a new one
// is made.
func (t *tool) keyFileAside() error {
	path := string(keyFile(t.conf))
	if _, err := seal.Load(t.slotsFile(), keyFile(t.conf)); err == nil {
		return nil
	}
	err := os.Rename(path, path+".aside")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// askPassphrase opens by what is typed, once for a whole command.
func (t *tool) askPassphrase() slot.Passphrase {
	var text string
	return slot.Passphrase{Ask: func() (string, error) {
		if text != "" || !term.IsTerminal(int(os.Stdin.Fd())) {
			return text, nil
		}
		var err error
		text, err = t.typed("type-passphrase")
		return text, err
	}}
}

// newPassphrase has a new one typed twice.
func (t *tool) newPassphrase() (slot.Passphrase, error) {
	text, err := t.typedTwice("type-new-passphrase")
	return slot.Passphrase{Ask: func() (string, error) { return text, nil }}, err
}

// typedTwice has a new secret typed, and typed once more.
func (t *tool) typedTwice(prompt string) (string, error) {
	text, err := t.typed(prompt)
	if err != nil {
		return "", err
	}
	again, err := t.typed("type-again")
	if err == nil && again != text {
		err = errors.New(words(t.lang(), "typed-apart"))
	}
	return text, err
}

// typed has a secret typed that is not shown.
func (t *tool) typed(prompt string) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return "", errors.New(words(t.lang(), "no-terminal"))
	}
	fmt.Fprint(t.err, words(t.lang(), prompt)+" ")
	b, err := term.ReadPassword(in)
	fmt.Fprintln(t.err)
	return strings.TrimSpace(string(b)), err
}

// keyTrouble is the word for what keeps a key from opening or being changed; ""
// for other errors. Of several reasons, the first here is told.
func keyTrouble(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{seal.ErrLastSlot, "key-last"}, {seal.ErrNoSlot, "key-no-slot"}, {seal.ErrNotAtHand, "key-not-at-hand"},
		{seal.ErrSlots, "key-slots"}, {seal.ErrSchema, "key-schema"}, {seal.ErrNoSlots, "key-no-slots"},
		{slot.ErrWeak, "key-weak"}, {slot.ErrShort, "key-short"}, {slot.ErrCode, "key-code"}, {slot.ErrRecoveryKey, "key-recovery"},
		{seal.ErrElsewhere, "key-elsewhere"}, {seal.ErrUnable, "key-unable"}, {seal.ErrWrongKey, "key-wrong"}, {seal.ErrNoKey, "key-missing"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return ""
}

// unable says of a kind of way why this PC has not got it.
func (t *tool) unable(kind string, err error) error {
	switch {
	case !errors.Is(err, seal.ErrUnable):
	case kind == slot.KindTPM && errors.Is(err, fs.ErrPermission):
		return errors.New(words(t.lang(), "unable-tpm-rights"))
	case kind == slot.KindTPM && errors.Is(err, fs.ErrNotExist), kind == slot.KindDPAPI:
		return errors.New(words(t.lang(), "unable-"+kind))
	}
	return err
}

// explainKey adds the reason where it says more than the sentence: it names slots
// and devices, and no secret.
func (t *tool) explainKey(err error) string {
	said := words(t.lang(), keyTrouble(err))
	for _, known := range []error{seal.ErrUnable, seal.ErrNotAtHand} {
		if errors.Is(err, known) {
			said += " [" + strings.TrimPrefix(err.Error(), known.Error()+": ") + "]"
		}
	}
	return said
}
