package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"tram/store/account"
	"tram/store/record"
)

// API is how other software on the station's network reaches the FHIR face.
type API struct {
	Addresses []string // as programs are to be told, "https://192.168.1.10:8643/fhir"
	// Fingerprint is the SHA-256 of the certificate, for who pins it, and Certificate the
	// same in PEM, for who trusts it by a file.
	Fingerprint string
	Certificate []byte
	// Own says that the station made the certificate itself.
	Own bool
	// Trouble is why nobody is answered: "address", "certificate" or "".
	Trouble string
}

// grants are the usual sets of scopes, by the name that a form sends; the last one is
// read from what the form says.
func grants() []grant {
	return []grant{{"read", "system/*.rs"}, {"create", "system/*.c"}, {"everything", "system/*.cruds"}, {"choose", ""}}
}

type grant struct{ Name, Scopes string }

// programPage is the tokens of programs.
type programPage struct {
	Programs []programLine
	Grants   []grant
	API      *API
	Fault    string // what is wrong with the form, in words
	// What was typed.
	Name, Grant, Scopes, Days string
	Token                     string // of a new program: shown once
}

// programLine is one program with what it may do in words.
type programLine struct {
	account.Program
	May   string // a name of grants, or "" where Scopes say it
	Over  bool   // its time is
	Whose string
}

// programsPage shows which programs have a token.
func (c *call) programsPage() error {
	return c.programsWith(http.StatusOK, programPage{Grant: "read"})
}

func (c *call) programsWith(code int, p programPage) error {
	list, err := c.book.Programs()
	if err != nil {
		return err
	}
	names := c.names()
	for _, one := range list {
		l := programLine{Program: one, Over: one.Ended(c.Now()), Whose: names(one.By)}
		for _, g := range grants() {
			if g.Scopes == one.Holds().String() {
				l.May = g.Name
			}
		}
		p.Programs = append(p.Programs, l)
	}
	if p.Grants = grants(); c.API != nil {
		api := c.API()
		p.API = &api
	}
	c.render(code, "programs", "program.title", p)
	return nil
}

// addProgram makes a token and shows it once, in the answer itself: an address or
// a session would keep it.
func (c *call) addProgram() error {
	f := c.r.PostForm
	p := programPage{Name: f.Get("name"), Grant: f.Get("grant"), Scopes: strings.TrimSpace(f.Get("scopes")), Days: strings.TrimSpace(f.Get("days"))}
	g := account.Grant{Name: p.Name, By: c.user.User}
	scopes, err := p.scopes()
	if err == nil {
		g.Scopes, err = account.ParseScopes(scopes, c.Store.R4().IsKind)
	}
	if err == nil && p.Days != "" {
		if g.Days, err = strconv.Atoi(p.Days); err != nil || g.Days < 1 {
			err = account.ErrDays
		}
	}
	if err == nil {
		_, p.Token, err = c.book.Issue(c.r.Context(), g)
	}
	if err == nil {
		return c.programsWith(http.StatusOK, programPage{Grant: "read", Name: p.Name, Token: p.Token})
	}
	if p.Fault = c.grantFault(err); p.Fault == "" {
		return err
	}
	return c.programsWith(http.StatusUnprocessableEntity, p)
}

// errGrant says that the form asks for a usual set and for scopes at once, or for none.
var errGrant = errors.New("no one set of scopes")

// scopes are those of the usual set that was chosen, or those that were written. Who
// wrote some and chose a set may have meant either.
func (p programPage) scopes() (string, error) {
	for _, g := range grants() {
		switch {
		case g.Name != p.Grant:
		case g.Scopes == "":
			return p.Scopes, nil
		case p.Scopes == "":
			return g.Scopes, nil
		}
	}
	return "", errGrant
}

// grantFault says in words what is wrong with a form for a token; "" for other errors.
func (c *call) grantFault(err error) string {
	var one *account.ScopeError
	which := ""
	if errors.As(err, &one) {
		which = one.Scope + ": "
	}
	for _, known := range []struct {
		err error
		key string
	}{
		{account.ErrScopeNone, "program.scope-none"}, {account.ErrScopeOf, "program.scope-of"}, {account.ErrScopeKind, "program.scope-kind"},
		{account.ErrScopeQuery, "program.scope-query"}, {account.ErrScope, "program.scope-form"}, {account.ErrDays, "program.days-wrong"},
		{account.ErrName, "program.name-wrong"}, {account.ErrTaken, "program.taken"}, {errGrant, "program.grant-wrong"},
	} {
		if errors.Is(err, known.err) {
			return which + c.say(known.key)
		}
	}
	return ""
}

// revokeProgram ends a token; what the program wrote stays.
func (c *call) revokeProgram() error {
	if err := c.book.Revoke(c.r.Context(), c.r.PathValue("program"), c.user.User); err != nil {
		return err
	}
	return c.goTo("/programs", "account")
}

// certificate hands out the certificate of the FHIR face, which is no secret.
func (c *call) certificate() error {
	if c.API == nil {
		return record.ErrNotFound
	}
	pem := c.API().Certificate
	if len(pem) == 0 {
		return record.ErrNotFound
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/x-pem-file")
	h.Set("Content-Disposition", `attachment; filename="tram.pem"`)
	c.w.Write(pem) // a browser that went away needs no answer
	return nil
}
