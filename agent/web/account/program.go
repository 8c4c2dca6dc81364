package account

import (
	"context"
	"crypto/subtle"
	"slices"
	"strings"
	"unicode/utf8"

	"tram/store/audit"
)

const (
	programsSetting = "web programs"
	maxPrograms     = 100
	tokenPrefix     = "tram_"
)

// Program is other software that may use the FHIR face. Only the digest of its
// token is kept.
type Program struct {
	ID    string `json:"id"` // of the entry, not secret
	Name  string `json:"name"`
	Token string `json:"token"`
	Made  int64  `json:"made"` // Unix milliseconds
	By    string `json:"by"`
}

// Author is the name under which the program writes. No user name has a colon.
func (p Program) Author() string { return "program:" + p.ID }

// Programs lists the programs in the order they were added.
func (b *Book) Programs() ([]Program, error) {
	var out []Program
	return out, b.read(programsSetting, &out)
}

// Issue adds a program and returns its token, which nobody can see again.
func (b *Book) Issue(ctx context.Context, name, by string) (Program, string, error) {
	name = strings.Join(strings.Fields(name), " ")
	if name == "" || utf8.RuneCountInString(name) > 60 {
		return Program{}, "", ErrName
	}
	token := tokenPrefix + draw()
	p := Program{ID: strings.ToLower(draw()[:8]), Name: name, Token: digest(token), Made: b.now().UnixMilli(), By: by}
	err := update(ctx, b.store, programsSetting, func(list []Program) ([]Program, error) {
		if len(list) >= maxPrograms || slices.ContainsFunc(list, func(o Program) bool { return o.Name == name || o.ID == p.ID }) {
			return nil, ErrTaken
		}
		return append(list, p), nil
	})
	if err != nil {
		return Program{}, "", err
	}
	return p, token, b.store.Audit(ctx, audit.Entry{Who: by, Action: audit.Create, Purpose: "program-token"})
}

// Revoke ends a program's token.
func (b *Book) Revoke(ctx context.Context, id, by string) error {
	err := update(ctx, b.store, programsSetting, func(list []Program) ([]Program, error) {
		i := slices.IndexFunc(list, func(p Program) bool { return p.ID == id })
		if i < 0 {
			return nil, ErrUnknown
		}
		return slices.Delete(list, i, i+1), nil
	})
	if err != nil {
		return err
	}
	return b.store.Audit(ctx, audit.Entry{Who: by, Action: audit.Delete, Purpose: "program-token"})
}

// Bearer finds the program that a token belongs to; ErrWrong for none.
func (b *Book) Bearer(token string) (Program, error) {
	list, err := b.Programs()
	if err != nil {
		return Program{}, err
	}
	d := digest(token)
	for _, p := range list {
		if subtle.ConstantTimeCompare([]byte(p.Token), []byte(d)) == 1 {
			return p, nil
		}
	}
	return Program{}, ErrWrong
}
