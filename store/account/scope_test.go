package account_test

import (
	"errors"
	"strings"
	"testing"

	"tram/store/account"
	"tram/store/storetest"
)

func TestScopesAreRead(t *testing.T) {
	isKind := storetest.R4(t).IsKind
	for _, c := range []struct{ name, text, want string }{
		{"read", "system/Observation.rs", "system/Observation.rs"},
		{"everything", "system/*.cruds", "system/*.cruds"},
		{"v1 read", "system/Patient.read", "system/Patient.rs"},
		{"v1 write", "system/Patient.write", "system/Patient.cud"},
		{"v1 all", "system/*.*", "system/*.cruds"},
		{"one letter", "system/Observation.c", "system/Observation.c"},
		{"several, blanks, twice", "  system/Patient.rs\tsystem/Observation.c  system/Patient.read ", "system/Patient.rs system/Observation.c"},
	} {
		got, err := account.ParseScopes(c.text, isKind)
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %q gives %q, %v; want %q", c.name, c.text, got, err, c.want)
		}
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"nothing", " ", account.ErrScopeNone},
		{"other order", "system/Patient.sr", account.ErrScope},
		{"a letter twice", "system/Patient.rr", account.ErrScope},
		{"unknown letter", "system/Patient.rx", account.ErrScope},
		{"no letter", "system/Patient.", account.ErrScope},
		{"no dot", "system/Patient", account.ErrScope},
		{"no slash", "openid", account.ErrScope},
		{"v1 word as letters", "system/Patient.reads", account.ErrScope},
		{"of a user", "user/Patient.rs", account.ErrScopeOf},
		{"of a patient", "patient/*.rs", account.ErrScopeOf},
		{"unknown kind", "system/Pateint.rs", account.ErrScopeKind},
		{"no kind", "system/.rs", account.ErrScopeKind},
		{"narrowed", "system/Observation.rs?category=laboratory", account.ErrScopeQuery},
		{"one bad among good", "system/Patient.rs system/Observation.q", account.ErrScope},
		{"long", "system/" + strings.Repeat("a", 100) + ".rs", account.ErrScope},
		{"many", strings.Repeat("system/Patient.rs ", 201), account.ErrScope},
	} {
		got, err := account.ParseScopes(c.text, isKind)
		if !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %.60q gives %q, %v; want %v", c.name, c.text, got, err, c.want)
		}
	}
	var which *account.ScopeError
	if _, err := account.ParseScopes("system/Patient.rs system/X.rs", isKind); !errors.As(err, &which) || which.Scope != "system/X.rs" {
		t.Errorf("does not say which scope it is: %v", err)
	}
}

func FuzzScopes(f *testing.F) {
	f.Add("system/Observation.rs system/*.read user/*.cruds")
	f.Add("system/Patient.c?x=y./ \xff")
	isKind := storetest.R4(f).IsKind
	f.Fuzz(func(t *testing.T, text string) {
		one, err := account.ParseScopes(text, isKind)
		if err != nil {
			return
		}
		again, err := account.ParseScopes(one.String(), isKind)
		if err != nil || again.String() != one.String() {
			t.Errorf("%q gives %q, which gives %q, %v", text, one, again, err)
		}
	})
}
