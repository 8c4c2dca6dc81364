package account_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"tram/store"
	"tram/store/account"
	"tram/store/audit"
	"tram/store/storetest"
)

// clock is a time that a test moves.
type clock struct{ now time.Time }

func book(t *testing.T) (*account.Book, *store.Store, *clock) {
	t.Helper()
	s := storetest.Open(t, store.Options{Name: "tram-a"})
	c := &clock{time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)}
	return account.New(s, func() time.Time { return c.now }, account.Cost{Time: 1, Memory: 64}), s, c
}

func TestTokenMayWhatItsScopesSay(t *testing.T) {
	b, s, _ := book(t)
	ctx := context.Background()
	scopes, err := account.ParseScopes("system/Patient.rs system/Observation.c", s.R4().IsKind)
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := b.Issue(ctx, account.Grant{Name: "lab", Scopes: scopes, By: "trang"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Bearer(token)
	if err != nil {
		t.Fatal(err)
	}
	old := account.Program{ID: "old"} // as it was kept before there were scopes
	whole := account.Program{Scopes: account.Everything()}
	for _, c := range []struct {
		verb      byte
		kind      string
		lab, rest bool
	}{
		{'r', "Patient", true, true}, {'s', "Patient", true, true}, {'u', "Patient", false, true}, {'c', "Patient", false, true},
		{'c', "Observation", true, true}, {'r', "Observation", false, true}, {'d', "Observation", false, true},
		{'r', "Encounter", false, true}, {'s', "*", false, true}, {'x', "Patient", false, false}, {0, "Patient", false, false},
	} {
		for _, one := range []struct {
			name string
			p    account.Program
			want bool
		}{{"lab", p, c.lab}, {"before scopes", old, c.rest}, {"everything", whole, c.rest}} {
			if got := one.p.May(c.verb, c.kind); got != one.want {
				t.Errorf("%s: May(%q, %s) = %v, want %v", one.name, c.verb, c.kind, got, one.want)
			}
		}
	}
	acts, err := s.Acts(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	list, err := acts.Entries()
	if err != nil || len(list) != 1 || list[0].Who != "trang" || list[0].Action != audit.Create || list[0].Purpose != "program-token" {
		t.Errorf("audit of issuing: %+v, %v", list, err)
	}
}

func TestTokenEnds(t *testing.T) {
	b, _, c := book(t)
	ctx := context.Background()
	grant := account.Grant{Name: "lab", Scopes: account.Everything(), By: "trang", Days: 30}
	_, token, err := b.Issue(ctx, grant)
	if err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(30*24*time.Hour - time.Millisecond)
	if _, err := b.Bearer(token); err != nil {
		t.Errorf("a moment before its end: %v", err)
	}
	c.now = c.now.Add(time.Millisecond)
	if _, err := b.Bearer(token); !errors.Is(err, account.ErrWrong) {
		t.Errorf("at its end: %v", err)
	}
	for name, g := range map[string]struct {
		grant account.Grant
		want  error
	}{
		"no scope":      {account.Grant{Name: "a", By: "trang"}, account.ErrScopeNone},
		"no name":       {account.Grant{Name: " ", Scopes: account.Everything()}, account.ErrName},
		"days below":    {account.Grant{Name: "a", Scopes: account.Everything(), Days: -1}, account.ErrDays},
		"days too many": {account.Grant{Name: "a", Scopes: account.Everything(), Days: 4000}, account.ErrDays},
	} {
		if _, token, err := b.Issue(ctx, g.grant); !errors.Is(err, g.want) || token != "" {
			t.Errorf("%s: %v, want %v", name, err, g.want)
		}
	}
}

func TestRevokedTokenOpensNothing(t *testing.T) {
	b, _, _ := book(t)
	ctx := context.Background()
	p, token, err := b.Issue(ctx, account.Grant{Name: "lab", Scopes: account.Everything(), By: "trang"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Bearer(token); err != nil {
		t.Fatal(err)
	}
	if err := b.Revoke(ctx, p.ID, "trang"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Bearer(token); !errors.Is(err, account.ErrWrong) {
		t.Errorf("revoked: %v", err)
	}
}

func TestUseIsNotedOnceADay(t *testing.T) {
	b, _, c := book(t)
	ctx := context.Background()
	_, token, err := b.Issue(ctx, account.Grant{Name: "lab", Scopes: account.Everything(), By: "trang"})
	if err != nil {
		t.Fatal(err)
	}
	use := func() int64 {
		t.Helper()
		p, err := b.Bearer(token)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Using(ctx, p); err != nil {
			t.Fatal(err)
		}
		list, err := b.Programs()
		if err != nil {
			t.Fatal(err)
		}
		return list[0].Used
	}
	first := use()
	if want := c.now.UnixMilli(); first != want {
		t.Errorf("used at %d, want %d", first, want)
	}
	c.now = c.now.Add(time.Hour)
	if got := use(); got != first {
		t.Errorf("the same day: %d, want %d", got, first)
	}
	c.now = c.now.Add(24 * time.Hour)
	if got := use(); got != c.now.UnixMilli() {
		t.Errorf("the next day: %d", got)
	}
}
