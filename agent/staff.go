package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"tram/store"
	"tram/store/account"
)

const setupSetting = "set-up code"

// setupCode is what the page asks for before it makes the first account: the same at every
// start until there is one, and "" then.
func (a *Agent) setupCode(ctx context.Context) (string, error) {
	some, err := account.New(a.store, time.Now, account.Cost{}).Any()
	if err != nil || some {
		return "", err
	}
	var code string
	if err := a.recall(setupSetting, &code); err != nil || code != "" {
		return code, err
	}
	code = rand.Text()[:8]
	return code, a.keep(ctx, setupSetting, code)
}

// greet tells who started the program where its page is and what that asks for. The code is
// for a person at a terminal: what a service prints lands in a log.
func (t *tool) greet(h Here) {
	fmt.Fprintf(t.out, words(t.lang(), "page")+"\n", h.Address)
	if f, ok := t.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.saySetup(h.Setup)
	}
}

// saySetup tells the set-up code; there is none once there is an account.
func (t *tool) saySetup(code string) {
	if code != "" {
		fmt.Fprintf(t.out, words(t.lang(), "setup-code")+"\n", code)
	}
}

// pcAuthor signs in the audit what who administers the PC did; no account can have this name.
const pcAuthor = "pc:administrator"

// maxPIN bounds what is read of a PIN.
const maxPIN = 1 << 10

// staffFace is what the command line asks about accounts.
func (a *Agent) staffFace(mux *http.ServeMux) {
	mux.HandleFunc("POST /local/staff/{user}/pin", func(w http.ResponseWriter, r *http.Request) {
		pin, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPIN))
		if err == nil {
			err = newPIN(r.Context(), a.store, a.lang(r), r.PathValue("user"), string(pin))
		}
		answer(w, struct{}{}, err)
	})
}

// newPIN gives an administrator's account another PIN. All others get theirs from an
// administrator.
func newPIN(ctx context.Context, s *store.Store, lang, user, pin string) error {
	book := account.New(s, time.Now, account.Cost{})
	list, err := book.List()
	if err != nil {
		return err
	}
	var admins []string
	for _, a := range list {
		if a.Role != account.Admin || a.Disabled {
			continue
		}
		if a.User == account.User(user) {
			if err = book.Reset(ctx, a.User, pin, pcAuthor); errors.Is(err, account.ErrWeak) {
				err = errors.New(words(lang, "pin-weak"))
			}
			return err
		}
		admins = append(admins, a.User)
	}
	if len(list) == 0 {
		return errors.New(words(lang, "staff-none"))
	}
	return fmt.Errorf(words(lang, "staff-unknown"), strings.Join(admins, ", "))
}

type staffCmd struct {
	PIN staffPINCmd `cmd:"" name:"pin" help:"Give an administrator who forgot the PIN a new one."`
}

type staffPINCmd struct {
	User    string `arg:"" help:"The administrator's user name."`
	PINFile string `name:"pin-file" help:"Read the new PIN from this file's first line; else it is typed." type:"path" placeholder:"FILE"`
}

// Run has it done by the running program, or does it where none runs: either way only who
// may read the data folder can.
func (c staffPINCmd) Run(ctx context.Context, t *tool) error {
	pin, err := c.pin(t)
	if err != nil {
		return err
	}
	var none struct{}
	err = t.call("POST", "/local/staff/"+url.PathEscape(c.User)+"/pin", "", strings.NewReader(pin), &none)
	if errors.Is(err, errNotRunning) {
		err = t.alone(store.Options{}, func(s *store.Store) error { return newPIN(ctx, s, t.lang(), c.User, pin) })
	}
	if err == nil {
		fmt.Fprintf(t.out, words(t.lang(), "staff-pin")+"\n", account.User(c.User))
	}
	return err
}

func (c staffPINCmd) pin(t *tool) (string, error) {
	if c.PINFile == "" {
		return t.typedTwice("type-new-pin")
	}
	b, err := os.ReadFile(c.PINFile)
	first, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(first), err
}
