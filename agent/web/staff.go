package web

import (
	"net/http"

	"tram/store/account"
)

// staffPage is the accounts of staff.
type staffPage struct {
	Accounts []account.Account
	Roles    []account.Role
	Fault    string // text key
	At       string // the account, or "add", that the fault is about
	User     string // as typed
	Name     string
	Role     account.Role
}

// staff shows who may sign in.
func (c *call) staff() error { return c.staffWith(http.StatusOK, staffPage{}) }

func (c *call) staffWith(code int, p staffPage) error {
	var err error
	if p.Accounts, err = c.book.List(); err != nil {
		return err
	}
	p.Roles = account.Roles()
	c.render(code, "staff", "staff.title", p)
	return nil
}

// refused shows the staff page with what is wrong; other errors pass.
func (c *call) refused(p staffPage, err error) error {
	if p.Fault = accountFault(err); p.Fault == "" {
		return err
	}
	return c.staffWith(http.StatusUnprocessableEntity, p)
}

// addStaff adds an account; the administrator types its first PIN.
func (c *call) addStaff() error {
	f := c.r.PostForm
	p := staffPage{At: "add", User: f.Get("user"), Name: f.Get("name"), Role: account.Role(f.Get("role"))}
	if err := c.newAccount(p.User, p.Name, p.Role, c.user.User); err != nil {
		return c.refused(p, err)
	}
	return c.goTo("/staff", "account")
}

// changeStaff disables, enables or gives a new PIN.
func (c *call) changeStaff() error {
	user := c.r.PathValue("user")
	var err error
	switch c.r.PathValue("act") {
	case "disable":
		err = c.book.Disable(c.r.Context(), user, true, c.user.User)
	case "enable":
		err = c.book.Disable(c.r.Context(), user, false, c.user.User)
	case "reset":
		if c.r.PostForm.Get("pin") != c.r.PostForm.Get("again") {
			err = errAgain
			break
		}
		if err = c.book.Reset(c.r.Context(), user, c.r.PostForm.Get("pin"), c.user.User); err == nil {
			c.sessions.LockUser(account.User(user))
		}
	default:
		return errBadForm
	}
	if err != nil {
		return c.refused(staffPage{At: user}, err)
	}
	return c.goTo("/staff", "account")
}
