package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tram/store/audit"
)

const (
	programsSetting = "web programs"
	maxPrograms     = 100
	maxDays         = 3650
	tokenPrefix     = "tram_"
	day             = 24 * time.Hour
)

// ErrDays says that a token cannot end after so many days.
var ErrDays = errors.New("a token ends after 1 to 3650 days, or never")

// Program is other software that may use the FHIR face. Only the digest of its
// token is kept.
type Program struct {
	ID    string `json:"id"` // of the entry, not secret
	Name  string `json:"name"`
	Token string `json:"token"`
	Made  int64  `json:"made"` // Unix milliseconds
	By    string `json:"by"`
	// Scopes are what it may do; nil, of one that was issued before there were scopes,
	// is everything.
	Scopes Scopes `json:"scopes,omitempty"`
	Ends   int64  `json:"ends,omitempty"` // Unix milliseconds; 0 is never
	Used   int64  `json:"used,omitempty"` // Unix milliseconds of the first use on the last day of use; 0 is never
}

// Author is the name under which the program writes. No user name has a colon.
func (p Program) Author() string { return "program:" + p.ID }

// Holds are the scopes that the program has.
func (p Program) Holds() Scopes {
	if p.Scopes == nil {
		return Everything()
	}
	return p.Scopes
}

// May reports whether the program may do an interaction, a letter of "cruds", with
// records of a kind; "*" asks for all kinds at once.
func (p Program) May(verb byte, kind string) bool { return p.Holds().May(verb, kind) }

// Ended reports whether the token's time is over at a moment.
func (p Program) Ended(at time.Time) bool { return p.Ends > 0 && at.UnixMilli() >= p.Ends }

// Grant is what a new token is issued for.
type Grant struct {
	Name   string
	Scopes Scopes
	Days   int    // after which it ends; 0 is never
	By     string // the administrator
}

// Programs lists the programs in the order they were added.
func (b *Book) Programs() ([]Program, error) {
	var out []Program
	return out, b.read(programsSetting, &out)
}

// Issue adds a program and returns its token, which nobody can see again.
func (b *Book) Issue(ctx context.Context, g Grant) (Program, string, error) {
	name := strings.Join(strings.Fields(g.Name), " ")
	switch {
	case name == "" || utf8.RuneCountInString(name) > 60:
		return Program{}, "", ErrName
	case len(g.Scopes) == 0:
		return Program{}, "", ErrScopeNone
	case g.Days < 0 || g.Days > maxDays:
		return Program{}, "", ErrDays
	}
	token, now := tokenPrefix+draw(), b.now()
	p := Program{ID: strings.ToLower(draw()[:8]), Name: name, Token: digest(token), Made: now.UnixMilli(), By: g.By, Scopes: g.Scopes}
	if g.Days > 0 {
		p.Ends = now.Add(time.Duration(g.Days) * day).UnixMilli()
	}
	err := update(ctx, b.store, programsSetting, func(list []Program) ([]Program, error) {
		if len(list) >= maxPrograms || slices.ContainsFunc(list, func(o Program) bool { return o.Name == name || o.ID == p.ID }) {
			return nil, ErrTaken
		}
		return append(list, p), nil
	})
	if err != nil {
		return Program{}, "", err
	}
	return p, token, b.store.Audit(ctx, audit.Entry{Who: g.By, Action: audit.Create, Purpose: "program-token"})
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

// Bearer finds the program that a token belongs to; ErrWrong for none, and for one whose
// time is over.
func (b *Book) Bearer(token string) (Program, error) {
	list, err := b.Programs()
	if err != nil {
		return Program{}, err
	}
	d := digest(token)
	for _, p := range list {
		if subtle.ConstantTimeCompare([]byte(p.Token), []byte(d)) == 1 && !p.Ended(b.now()) {
			return p, nil
		}
	}
	return Program{}, ErrWrong
}

// Using notes that a program's token is in use today. It writes once a day.
func (b *Book) Using(ctx context.Context, p Program) error {
	now := b.now()
	if sameDay(p.Used, now) {
		return nil
	}
	return update(ctx, b.store, programsSetting, func(list []Program) ([]Program, error) {
		for i := range list {
			if list[i].ID == p.ID {
				list[i].Used = now.UnixMilli()
			}
		}
		return list, nil
	})
}

func sameDay(ms int64, now time.Time) bool {
	y, m, d := time.UnixMilli(ms).In(now.Location()).Date()
	year, month, date := now.Date()
	return ms > 0 && y == year && m == month && d == date
}
