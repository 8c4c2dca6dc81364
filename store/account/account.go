// Package account keeps who may sign in at a station: the staff with their roles
// and PINs, the programs with their tokens, the count of wrong tries, and the
// text that somebody typed and has not saved yet.
//
// It owns those values, all sealed in the store as settings, and the sessions,
// which live in memory only. It promises that a wrong try is on the disk before
// it is answered, that a secret is kept only as a hash, and that taking an
// account away removes nobody's work. It knows no HTTP and shows no texts: what
// goes wrong is one of its errors.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"tram/store"
	"tram/store/audit"
)

// What can go wrong with an account.
var (
	ErrWrong     = errors.New("user or PIN is wrong")
	ErrUser      = errors.New("the user name has not the form of one")
	ErrName      = errors.New("the name is empty or too long")
	ErrRole      = errors.New("no such role")
	ErrTaken     = errors.New("the user name is taken")
	ErrWeak      = errors.New("the PIN is too short or too easy")
	ErrNotFirst  = errors.New("there is an account already")
	ErrLastAdmin = errors.New("the last administrator must stay")
	ErrUnknown   = errors.New("no such account")
)

// Role says what a member of staff may do.
type Role string

// The roles.
const (
	Nurse  Role = "nurse"
	Doctor Role = "doctor"
	Clerk  Role = "clerk"
	Admin  Role = "admin"
)

// Roles lists the roles.
func Roles() []Role { return []Role{Nurse, Doctor, Clerk, Admin} }

// Clinical reports whether the role sees and writes what is clinical.
func (r Role) Clinical() bool { return r == Nurse || r == Doctor || r == Admin }

// Sees reports whether the role may see and write records of a kind. A clerk
// registers people and arranges their dates, and sees nothing else of them.
func (r Role) Sees(kind string) bool {
	return r.Clinical() || r == Clerk && slices.Contains([]string{"Patient", "RelatedPerson", "Appointment",
		"Organization", "Location", "Practitioner", "PractitionerRole"}, kind)
}

// Account is one member of staff.
type Account struct {
	User     string `json:"user"` // the author of records: lower case, 2 to 32 of a-z 0-9 . _ -
	Name     string `json:"name"`
	Role     Role   `json:"role"`
	Hash     string `json:"hash"`
	Disabled bool   `json:"disabled,omitempty"`
	Made     int64  `json:"made"` // Unix milliseconds
	By       string `json:"by"`
}

const (
	accountsSetting = "web accounts"
	maxAccounts     = 200
	minSecret       = 6
	maxSecret       = 128
)

// Book is the station's list of accounts. It is safe for concurrent use.
type Book struct {
	store   *store.Store
	now     func() time.Time
	cost    Cost
	hashing sync.Mutex // one hash at a time: each takes much memory on purpose
}

// New makes the Book of a store. Cost is that of new PINs; zero is DefaultCost.
func New(s *store.Store, now func() time.Time, cost Cost) *Book {
	if cost == (Cost{}) {
		cost = DefaultCost()
	}
	return &Book{store: s, now: now, cost: cost}
}

// List lists the accounts by user name.
func (b *Book) List() ([]Account, error) {
	var out []Account
	return out, b.read(accountsSetting, &out)
}

// Any reports whether there is an account at all.
func (b *Book) Any() (bool, error) {
	list, err := b.List()
	return len(list) > 0, err
}

// Find finds an account; ErrUnknown where there is none.
func (b *Book) Find(user string) (Account, error) {
	list, err := b.List()
	if err != nil {
		return Account{}, err
	}
	for _, a := range list {
		if a.User == user {
			return a, nil
		}
	}
	return Account{}, ErrUnknown
}

// Add makes an account in the name of by. With by "" it makes the first one, an
// administrator, and fails with ErrNotFirst where there is one already.
func (b *Book) Add(ctx context.Context, user, name string, role Role, secret, by string) error {
	user, name = User(user), strings.Join(strings.Fields(name), " ")
	switch {
	case !validUser(user):
		return ErrUser
	case name == "" || utf8.RuneCountInString(name) > 100:
		return ErrName
	case !slices.Contains(Roles(), role) || by == "" && role != Admin:
		return ErrRole
	}
	if err := strong(secret, user); err != nil {
		return err
	}
	first := by == ""
	if first {
		by = user
	}
	a := Account{User: user, Name: name, Role: role, Hash: b.hash(secret), Made: b.now().UnixMilli(), By: by}
	return b.change(ctx, by, func(list []Account) ([]Account, error) {
		switch {
		case first && len(list) > 0:
			return nil, ErrNotFirst
		case slices.ContainsFunc(list, func(o Account) bool { return o.User == user }) || len(list) >= maxAccounts:
			return nil, ErrTaken
		}
		list = append(list, a)
		slices.SortFunc(list, func(a, b Account) int { return strings.Compare(a.User, b.User) })
		return list, nil
	})
}

// Disable takes away or gives back the right to sign in. The account, and with
// it every act under its name, stays.
func (b *Book) Disable(ctx context.Context, user string, disabled bool, by string) error {
	return b.change(ctx, by, func(list []Account) ([]Account, error) {
		i := slices.IndexFunc(list, func(a Account) bool { return a.User == user })
		if i < 0 {
			return nil, ErrUnknown
		}
		list[i].Disabled = disabled
		if !slices.ContainsFunc(list, func(a Account) bool { return a.Role == Admin && !a.Disabled }) {
			return nil, ErrLastAdmin
		}
		return list, nil
	})
}

// Reset gives an account a new PIN and forgets its wrong tries.
func (b *Book) Reset(ctx context.Context, user, secret, by string) error {
	if err := strong(secret, user); err != nil {
		return err
	}
	hash := b.hash(secret)
	err := b.change(ctx, by, func(list []Account) ([]Account, error) {
		i := slices.IndexFunc(list, func(a Account) bool { return a.User == user })
		if i < 0 {
			return nil, ErrUnknown
		}
		list[i].Hash = hash
		return list, nil
	})
	if err != nil {
		return err
	}
	return b.forgive(ctx, user)
}

// change rewrites the list in one transaction and leaves an audit entry.
func (b *Book) change(ctx context.Context, by string, f func([]Account) ([]Account, error)) error {
	err := update(ctx, b.store, accountsSetting, f)
	if err != nil {
		return err
	}
	return b.store.Audit(ctx, audit.Entry{Who: by, Action: audit.Update, Purpose: "staff-accounts"})
}

func (b *Book) read(setting string, into any) error {
	raw, err := b.store.Setting(setting)
	if err != nil || raw == nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read accounts: %w", err)
	}
	return nil
}

// update changes a setting that holds a T as JSON.
func update[T any](ctx context.Context, s *store.Store, setting string, f func(T) (T, error)) error {
	return s.UpdateSetting(ctx, setting, func(raw []byte) ([]byte, error) {
		var have T
		if raw != nil {
			if err := json.Unmarshal(raw, &have); err != nil {
				return nil, fmt.Errorf("read accounts: %w", err)
			}
		}
		now, err := f(have)
		if err != nil {
			return nil, err
		}
		return json.Marshal(now)
	})
}

// User is a user name as it is kept, whatever way it was typed.
func User(typed string) string { return strings.ToLower(strings.TrimSpace(typed)) }

func validUser(s string) bool {
	return regexp.MustCompile(`^[a-z][a-z0-9._-]{1,31}$`).MatchString(s) && s != mergeAuthor
}

// mergeAuthor signs what a merge made; no person may bear its name.
const mergeAuthor = "tram"

// strong refuses secrets that are guessed first: short ones, the user's own name,
// one character repeated, and runs such as 123456.
func strong(secret, user string) error {
	r := []rune(secret)
	if len(r) < minSecret || len(secret) > maxSecret || strings.EqualFold(secret, user) {
		return ErrWeak
	}
	same, up, down := true, true, true
	for i := 1; i < len(r); i++ {
		same = same && r[i] == r[i-1]
		up = up && r[i] == r[i-1]+1
		down = down && r[i] == r[i-1]-1
	}
	if same || up || down {
		return ErrWeak
	}
	return nil
}
