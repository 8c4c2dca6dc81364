package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"tram/store/account"
)

// signin is the page that asks who is there. It serves sign-in, unlocking and the
// change of user alike.
type signin struct {
	Next   string // where to go on
	Kept   string // a form that was sent without a session, to be given back
	User   string // as typed
	Locked account.Account
	Fault  string // text key
	Wait   int    // seconds until the next try is taken
}

// askToSignIn stands in for every page while nobody is signed in. A form that was
// sent to a locked session is kept for its user; one without a session travels
// along until somebody signs in.
func (c *call) askToSignIn() error {
	if any, err := c.book.Any(); err != nil {
		return err
	} else if !any {
		return c.goTo("/setup", "")
	}
	s := signin{Next: localPath(c.r.URL.Path), Locked: c.locked}
	if c.r.Method == http.MethodPost {
		switch {
		case c.r.URL.Path == "/draft" && c.locked.User != "":
			if err := c.draftOf(c.locked.User); err != nil {
				return err
			}
		case c.r.URL.Path == "/draft":
		case c.locked.User != "" && isForm(s.Next):
			if err := c.keep(c.locked.User, s.Next, c.r.PostForm); err != nil && !errors.Is(err, account.ErrDraft) {
				return err
			}
		case isForm(s.Next):
			s.Kept, s.User = c.r.PostForm.Encode(), c.r.PostForm.Get(formUser)
		}
	}
	c.render(http.StatusUnauthorized, "signin", "signin.title", s)
	return nil
}

// signinForm shows the sign-in, or the lock where a session is locked.
func (c *call) signinForm() error {
	if ok, err := c.identify(); err != nil || ok {
		if ok {
			return c.goTo("/people", "")
		}
		return err
	}
	if any, err := c.book.Any(); err != nil {
		return err
	} else if !any {
		return c.goTo("/setup", "")
	}
	c.render(http.StatusOK, "signin", "signin.title", signin{Next: c.after(localPath(c.r.URL.Query().Get("next"))), Locked: c.locked})
	return nil
}

// signin signs somebody in. The cookie is a new one each time.
func (c *call) signin() error {
	if _, err := c.identify(); err != nil {
		return err
	}
	f := c.r.PostForm
	s := signin{Next: localPath(f.Get("next")), Kept: f.Get("kept"), User: f.Get("user"), Locked: c.locked}
	a, err := c.book.SignIn(c.r.Context(), s.User, f.Get("pin"))
	var locked *account.LockedError
	switch {
	case errors.As(err, &locked):
		s.Fault, s.Wait = "signin.wait", locked.Seconds()
		c.render(http.StatusTooManyRequests, "signin", "signin.title", s)
		return nil
	// One answer for a wrong user and a wrong PIN: nobody learns which users exist.
	case errors.Is(err, account.ErrWrong):
		s.Fault = "signin.wrong"
		c.render(http.StatusUnauthorized, "signin", "signin.title", s)
		return nil
	case err != nil:
		return err
	}
	if s.Kept != "" && isForm(s.Next) {
		if values, err := url.ParseQuery(s.Kept); err == nil {
			if err := c.keep(a.User, s.Next, values); err != nil && !errors.Is(err, account.ErrDraft) {
				return err
			}
		}
	}
	c.begin(a.User)
	return c.goTo(c.after(s.Next), "")
}

// begin opens a new session in place of the present one.
func (c *call) begin(user string) {
	if c.cookie != "" {
		c.sessions.End(c.cookie)
	}
	http.SetCookie(c.w, &http.Cookie{Name: cookieName, Value: c.sessions.Start(user), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// after is where to go on after signing in: a page that only takes forms shows nothing.
func (c *call) after(next string) string {
	other := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: next}, Host: c.r.Host}
	if _, pattern := c.mux.Handler(other); pattern == "/" || next == "/" || strings.HasPrefix(next, "/sign") {
		return "/people"
	}
	return next
}

// whosePage says that a form is somebody else's.
type whosePage struct {
	Owner account.Account
	Next  string // the form
	Kept  bool   // what was typed is a draft of the owner
}

// notTheirs answers a form that was made for another user, as in a tab that was open when
// the user changed: nothing is saved in the name of who is signed in now.
func (c *call) notTheirs(owner string) error {
	a, err := c.book.Find(owner)
	if err != nil {
		return errBadForm
	}
	if c.r.URL.Path == "/draft" {
		if err := c.draftOf(owner); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusConflict)
		return nil
	}
	p := whosePage{Owner: a, Next: localPath(c.r.URL.Path)}
	if isForm(p.Next) {
		err := c.keep(owner, p.Next, c.r.PostForm)
		if err != nil && !errors.Is(err, account.ErrDraft) {
			return err
		}
		p.Kept = err == nil
	}
	c.render(http.StatusConflict, "whose", "whose.title", p)
	return nil
}

// keep keeps what was typed into the form at path as a draft: of who was signed in when
// the form was made, else of user.
func (c *call) keep(user, path string, f url.Values) error {
	owner, err := c.book.Find(cmp.Or(f.Get(formUser), user))
	if err != nil {
		return err
	}
	return c.book.KeepDraft(c.r.Context(), owner.User, path, f)
}

// forget drops the draft of the page's form, which is saved.
func (c *call) forget() {
	if err := c.book.DropDraft(context.WithoutCancel(c.r.Context()), c.user.User, c.r.URL.Path); err != nil {
		c.Log.Warn("a draft stays though it was saved", "err", err)
	}
}

// isForm reports whether a page keeps drafts.
func isForm(path string) bool {
	if strings.HasPrefix(path, "/conflicts/") || strings.HasPrefix(path, "/clock/") {
		return true
	}
	for _, end := range []string{"/new", "/edit", "/visit", "/allergy", "/mend"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

// signout ends the session here and in the browser.
func (c *call) signout() error {
	if ck, err := c.r.Cookie(cookieName); err == nil {
		c.sessions.End(ck.Value)
	}
	http.SetCookie(c.w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	return c.goTo("/signin", "")
}

// lock locks the session and asks for the next user. Who was here comes back to the page.
func (c *call) lock() error {
	if ck, err := c.r.Cookie(cookieName); err == nil {
		c.sessions.Lock(ck.Value)
	}
	if next := c.after(localPath(c.r.PostForm.Get("next"))); next != "/people" {
		return c.goTo("/signin?next="+url.QueryEscape(next), "")
	}
	return c.goTo("/signin", "")
}

// draft keeps what stands in a form, as the script sends it from time to time.
func (c *call) draft() error {
	err := c.draftOf(c.user.User)
	if err == nil {
		c.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// draftOf keeps the form that the script sent, of a user where it does not say whose it is.
func (c *call) draftOf(user string) error {
	f := c.r.PostForm
	if f.Get("draft_path") == "" {
		return nil // only a sign that somebody is there
	}
	at := localPath(f.Get("draft_path"))
	if !isForm(at) {
		return errBadForm
	}
	f.Del("draft_path")
	// What was asked back must be answered anew by who comes back.
	f.Del("sure")
	err := c.keep(user, at, f)
	if errors.Is(err, account.ErrDraft) {
		return errTooLarge
	}
	return err
}

// setup is the page before the first account.
type setup struct {
	User, Name string
	Fault      string
	Wait       int
	NoSecret   bool
}

// setupForm shows the page before the first account; after that it is gone.
func (c *call) setupForm() error {
	if any, err := c.book.Any(); err != nil {
		return err
	} else if any {
		return c.goTo("/signin", "")
	}
	c.render(http.StatusOK, "setup", "setup.title", setup{NoSecret: c.SetupSecret == ""})
	return nil
}

// setup makes the first account.
func (c *call) setup() error {
	f := c.r.PostForm
	if any, err := c.book.Any(); err != nil {
		return err
	} else if any {
		return c.goTo("/signin", "")
	}
	s := setup{User: f.Get("user"), Name: f.Get("name"), NoSecret: c.SetupSecret == ""}
	err := c.book.Setup(c.r.Context(), c.SetupSecret, strings.TrimSpace(f.Get("secret")))
	if err == nil {
		err = c.newAccount(s.User, s.Name, account.Admin, "")
	}
	var locked *account.LockedError
	if errors.As(err, &locked) {
		s.Fault, s.Wait = "signin.wait", locked.Seconds()
	} else if errors.Is(err, account.ErrWrong) {
		s.Fault = "setup.wrong"
	} else if s.Fault = accountFault(err); err != nil && s.Fault == "" {
		return err
	}
	if s.Fault != "" {
		c.render(http.StatusUnprocessableEntity, "setup", "setup.title", s)
		return nil
	}
	c.begin(account.User(s.User))
	return c.goTo("/people", "")
}

// newAccount adds an account from the fields pin and again of a form.
func (c *call) newAccount(user, name string, role account.Role, by string) error {
	if c.r.PostForm.Get("pin") != c.r.PostForm.Get("again") {
		return errAgain
	}
	return c.book.Add(c.r.Context(), user, name, role, c.r.PostForm.Get("pin"), by)
}

var errAgain = errors.New("the two PINs differ")

// accountFault is the text key of what is wrong with an account; "" for none.
func accountFault(err error) string {
	for e, key := range map[error]string{
		account.ErrUser: "user", account.ErrName: "name", account.ErrRole: "role", account.ErrTaken: "taken", account.ErrWeak: "weak",
		account.ErrNotFirst: "not-first", account.ErrLastAdmin: "last-admin", errAgain: "again",
	} {
		if errors.Is(err, e) {
			return "account." + key
		}
	}
	return ""
}
