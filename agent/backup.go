package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tram/store"
	"tram/store/backup"
	"tram/store/seal"
	"tram/store/seal/slot"
)

type backupCmd struct {
	File string `arg:"" help:"Where to write it; no file may be there." type:"path"`
}

// Run backs up through the running program, which has the key, or by itself where
// none runs. It says done only when the whole file was read back.
func (c backupCmd) Run(ctx context.Context, t *tool) error {
	if dir := filepath.Dir(c.File); missing(dir) != nil {
		return fmt.Errorf(words(t.lang(), "backup-nowhere"), dir)
	}
	err := backup.Save(c.File, func(w io.Writer) error { return t.stream(ctx, "GET", "/local/backup", nil, w) },
		func(r io.Reader) error { return t.stream(ctx, "POST", "/local/backup", r, io.Discard) })
	if errors.Is(err, errNotRunning) {
		err = t.alone(store.Options{}, func(s *store.Store) error {
			return backup.Save(c.File, func(w io.Writer) error { return s.Backup(ctx, w) }, func(r io.Reader) error { return s.CheckBackup(ctx, r) })
		})
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf(words(t.lang(), "backup-there"), c.File)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) { // an answer that was broken off
		return errors.New(words(t.lang(), "backup-broke"))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, words(t.lang(), "backed-up")+"\n", c.File, sizeOf(c.File))
	return t.sayOpens(c.File)
}

// sayOpens lists by what a backup opens.
func (t *tool) sayOpens(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	in, err := backup.NewReader(f)
	if err != nil {
		return err
	}
	slots, err := seal.ParseSlots(in.Head().Slots)
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, words(t.lang(), "backup-opens"))
	for _, s := range slots {
		fmt.Fprintln(t.out, "  "+t.describe(s))
	}
	return nil
}

// stream asks the running program, with a body or for one of any length.
func (t *tool) stream(ctx context.Context, method, path string, body io.Reader, out io.Writer) error {
	h, err := t.running()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+h.Address+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+h.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return errNotRunning
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return errors.Join(errors.New(string(b)), err)
	}
	_, err = io.Copy(out, resp.Body)
	return err
}

// sendBackup streams a backup. One that fails breaks the answer off.
func (a *Agent) sendBackup(w http.ResponseWriter, r *http.Request) {
	if err := a.store.Backup(r.Context(), w); err != nil {
		a.o.Log.Error("backup failed", "err", err)
		panic(http.ErrAbortHandler)
	}
}

// checkBackup reads a backup that was written.
func (a *Agent) checkBackup(w http.ResponseWriter, r *http.Request) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil { // it may take longer than a form
		answer(w, nil, err)
		return
	}
	answer(w, struct{}{}, a.store.CheckBackup(r.Context(), r.Body))
}

type restoreCmd struct {
	File           string `arg:"" help:"The backup." type:"path"`
	Key            string `help:"The key file of the station that was backed up; it is put beside the records." type:"path" placeholder:"FILE"`
	PassphraseFile string `help:"Read the passphrase from this file's first line; else it is typed." type:"path" placeholder:"FILE"`
	CodeFile       string `help:"Read the centre's recovery code from this file; a new key file is made." type:"path" placeholder:"FILE"`
}

// Run puts a backup into the data folder, which holds no records.
func (c restoreCmd) Run(ctx context.Context, t *tool) error {
	dir := t.conf.Data.Folder
	if err := missing(c.File, c.Key, c.PassphraseFile, c.CodeFile); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ways, master, err := c.ways(t)
	if err != nil {
		return err
	}
	err = store.Alone(dir, func() error {
		in, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer in.Close()
		if err := backup.Restore(ctx, dir, in, ways...); err != nil {
			return err
		}
		if master == nil {
			return c.takeKey(t)
		}
		_, err = seal.Recover(t.slotsFile(), master, []seal.Opener{keyFile(t.conf)}, openers(t.conf)...)
		return err
	})
	switch {
	case errors.Is(err, store.ErrLocked):
		return errors.New(words(t.lang(), "keys-running"))
	case errors.Is(err, seal.ErrNoKey), errors.Is(err, seal.ErrWrongKey), errors.Is(err, seal.ErrElsewhere), errors.Is(err, seal.ErrUnable):
		return fmt.Errorf(words(t.lang(), "restore-key"), t.slotsFile(), c.File)
	case err != nil:
		return err
	}
	fmt.Fprintf(t.out, words(t.lang(), "restored")+"\n", dir)
	if c.PassphraseFile != "" && t.conf.Keys.Passphrase == "" {
		fmt.Fprintln(t.out, words(t.lang(), "restored-passphrase"))
	}
	return nil
}

// ways are those that may open the backup; the master key where the centre told it.
func (c restoreCmd) ways(t *tool) (out []seal.Opener, master []byte, err error) {
	if c.CodeFile != "" {
		b, err := os.ReadFile(c.CodeFile)
		if err != nil {
			return nil, nil, err
		}
		master, err := slot.ParseCode(string(b))
		return []seal.Opener{told{master: master}}, master, err
	}
	if c.Key != "" {
		out = append(out, seal.KeyFile(c.Key))
	}
	if c.PassphraseFile != "" {
		out = append(out, slot.PassphraseFile(c.PassphraseFile))
	}
	if out = append(out, openers(t.conf)...); c.PassphraseFile == "" {
		out = append(out, t.askPassphrase())
	}
	return out, nil, nil
}

// takeKey puts the key file where the station looks for it.
func (c restoreCmd) takeKey(t *tool) error {
	to := filepath.Join(t.conf.Data.Folder, store.KeyFile)
	if _, err := os.Stat(to); c.Key == "" || err == nil {
		return nil
	}
	b, err := os.ReadFile(c.Key)
	if err != nil {
		return err
	}
	return seal.WriteFile(to, b)
}

// told opens by the master key itself, in place of the centre's recovery key.
type told struct {
	slot.Escrow
	master []byte
}

// Unwrap takes the master key as it was told.
func (o told) Unwrap(json.RawMessage) ([]byte, error) { return o.master, nil }
