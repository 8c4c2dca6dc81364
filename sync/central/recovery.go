package central

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"

	"tram/store/seal"
	"tram/store/seal/slot"
)

// recoveryCmd keeps the centre's recovery key, and opens with it what stations
// sealed to it. Nothing of it needs the centre's records or a network: the key
// belongs into a safe, and not on the PC that the stations talk to.
type recoveryCmd struct {
	New   recoveryNewCmd   `cmd:"" help:"Make a recovery key: FILE, locked by a passphrase, and FILE.pub for the stations."`
	Print recoveryPrintCmd `cmd:"" help:"Print the recovery key as text for the safe."`
	Open  recoveryOpenCmd  `cmd:"" help:"Tell the code by which a station opens its records again."`
}

// recoveryFile is a recovery key as it lies on a disk.
type recoveryFile struct {
	Schema  int             `json:"schema"`
	Kind    string          `json:"kind"`
	Public  string          `json:"public"`
	Private json.RawMessage `json:"private"` // wrapped by a passphrase
}

const recoveryKind = "tram recovery key"

// errRecoveryFile says that a file is no recovery key.
var errRecoveryFile = errors.New("this file holds no recovery key")

// secret is how a passphrase reaches the program: never on the command line.
type secret struct {
	PassphraseFile string `help:"Read the passphrase from this file's first line; else it is typed." type:"existingfile" placeholder:"FILE"`
}

func (s secret) opener(t *tool, twice bool) (slot.Passphrase, error) {
	if s.PassphraseFile != "" {
		return slot.PassphraseFile(s.PassphraseFile), nil
	}
	text, err := t.typed("recovery-passphrase")
	if err == nil && twice {
		var again string
		if again, err = t.typed("recovery-again"); err == nil && again != text {
			err = errors.New(t.words["recovery-apart"])
		}
	}
	return slot.Passphrase{Ask: func() (string, error) { return text, nil }}, err
}

// typed has a secret typed that is not shown.
func (t *tool) typed(prompt string) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return "", errors.New(t.words["recovery-terminal"])
	}
	fmt.Fprint(t.err, t.words[prompt]+" ")
	b, err := term.ReadPassword(in)
	fmt.Fprintln(t.err)
	return strings.TrimSpace(string(b)), err
}

type recoveryNewCmd struct {
	Out   string `required:"" help:"Where to write the key; no file may be there." type:"path"`
	Paper string `help:"A file with the text from the safe: write that key again." type:"existingfile" placeholder:"FILE"`
	secret
}

func (c recoveryNewCmd) Run(t *tool) error {
	for _, path := range []string{c.Out, c.Out + ".pub"} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf(t.words["recovery-there"], path)
		}
	}
	key, err := slot.NewRecovery()
	if c.Paper != "" {
		var paper []byte
		if paper, err = os.ReadFile(c.Paper); err == nil {
			key, err = slot.ParseRecovery(string(paper))
		}
	}
	if err != nil {
		return err
	}
	lock, err := c.opener(t, true)
	if err != nil {
		return err
	}
	raw, err := key.Bytes()
	if err != nil {
		return err
	}
	f := recoveryFile{Schema: 1, Kind: recoveryKind, Public: key.Escrow().String()}
	if f.Private, err = lock.Wrap(raw); err != nil {
		return err
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = errors.Join(seal.WriteFile(c.Out, b), seal.WriteFile(c.Out+".pub", []byte(f.Public+"\n")))
	}
	if err != nil {
		return fmt.Errorf("write the recovery key: %w", err)
	}
	fmt.Fprintf(t.out, t.words["recovery-made"]+"\n", key.Escrow().Mark(), c.Out, c.Out+".pub")
	return nil
}

type recoveryPrintCmd struct {
	Key string `required:"" help:"The recovery key." type:"existingfile"`
	secret
}

func (c recoveryPrintCmd) Run(t *tool) error {
	key, err := c.open(t, c.Key)
	if err != nil {
		return err
	}
	code, err := key.Code()
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s %s\n%s\n", recoveryKind, key.Escrow().Mark(), code)
	return nil
}

// open reads a recovery key and unlocks it.
func (s secret) open(t *tool, path string) (key slot.Recovery, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return key, err
	}
	var f recoveryFile
	if json.Unmarshal(b, &f) != nil || f.Kind != recoveryKind || f.Schema != 1 {
		return key, errRecoveryFile
	}
	lock, err := s.opener(t, false)
	if err != nil {
		return key, err
	}
	raw, err := lock.Unwrap(f.Private)
	if err != nil {
		return key, err
	}
	return slot.ParseRecovery(slot.Code(raw))
}

type recoveryOpenCmd struct {
	Key   string `required:"" help:"The recovery key." type:"existingfile"`
	Slots string `required:"" help:"The station's keys.json." type:"existingfile"`
	Out   string `help:"Write the code to this file in place of showing it." type:"path"`
	secret
}

// Run tells a code that opens the station's records until they were recovered
// by it.
func (c recoveryOpenCmd) Run(t *tool) error {
	list, err := seal.List(c.Slots)
	if err != nil {
		return err
	}
	key, err := c.open(t, c.Key)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Kind != slot.KindEscrow || slot.EscrowMark(s.Key) != key.Escrow().Mark() {
			continue
		}
		master, err := key.Unwrap(s.Key)
		if err != nil {
			return seal.ErrSlots
		}
		code := slot.Code(master)
		if c.Out == "" {
			fmt.Fprintf(t.out, t.words["recovery-code"]+"\n%s\n", code)
			return nil
		}
		if err := seal.WriteFile(c.Out, []byte(code+"\n")); err != nil {
			return err
		}
		fmt.Fprintf(t.out, t.words["recovery-code-file"]+"\n", c.Out)
		return nil
	}
	return fmt.Errorf(t.words["recovery-no-slot"], key.Escrow().Mark())
}

// recoveryLine reads a public recovery key for a kit; "" for none.
func recoveryLine(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	e, err := slot.ParseEscrow(string(b))
	return e.String(), err
}

// recoveryTrouble is the word for what is wrong with a recovery; "" for other errors.
func recoveryTrouble(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{errRecoveryFile, "recovery-file"}, {slot.ErrWeak, "recovery-weak"}, {slot.ErrCode, "recovery-paper"}, {slot.ErrRecoveryKey, "recovery-public"},
		{seal.ErrSlots, "recovery-slots"}, {seal.ErrSchema, "recovery-slots"}, {seal.ErrWrongKey, "recovery-wrong"}, {seal.ErrNoKey, "recovery-wrong"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return ""
}
