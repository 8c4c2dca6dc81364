package account

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"tram/store/audit"
)

const (
	lockoutSetting = "web lockout"
	freeTries      = 3
	firstWait      = 5 * time.Second
	longestWait    = 15 * time.Minute

	// Wrong tries are counted by account, and alike by names that are none.
	setup          = "!setup"
	strange        = "?" // begins the count of such a name
	strangeSetting = "web strange names"
	maxStrange     = 256 // of them are counted, those last tried
)

// LockedError says that there were too many wrong tries.
type LockedError struct {
	Wait time.Duration // until the next one is taken
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("too many wrong tries; wait %s", e.Wait.Round(time.Second))
}

// Seconds is the wait in whole seconds, as people are told.
func (e *LockedError) Seconds() int { return int((e.Wait + time.Second - 1) / time.Second) }

// miss counts the wrong tries since the last right one.
type miss struct {
	N  int   `json:"n"`
	At int64 `json:"at"` // Unix milliseconds of the last
}

// wait is how long after the last try no other is taken: nothing for the first
// three, then 5 s, doubling up to a quarter of an hour.
func (m miss) wait() time.Duration {
	if m.N < freeTries {
		return 0
	}
	d := firstWait
	for i := freeTries; i < m.N && d < longestWait; i++ {
		d *= 2
	}
	return min(d, longestWait)
}

// SignIn finds the account that user and secret belong to. It fails with
// ErrWrong, also for a disabled account, or with a LockedError.
func (b *Book) SignIn(ctx context.Context, user, secret string) (Account, error) {
	user = User(user)
	a, err := b.Find(user)
	count := user
	if errors.Is(err, ErrUnknown) {
		count, err = b.stranger(ctx, user)
	}
	if err != nil {
		return Account{}, err
	}
	if err := b.try(ctx, count); err != nil {
		return Account{}, err
	}
	if !b.matches(a.Hash, secret) || a.Disabled {
		return Account{}, cmp.Or(b.refuse(ctx, a.User), ErrWrong)
	}
	if err := b.forgive(ctx, count); err != nil {
		return Account{}, err
	}
	return a, b.store.Audit(ctx, audit.Entry{Who: a.User, Action: audit.SignIn})
}

// refuse leaves word that somebody tried to be a user. Of a name that is none, which may be a
// PIN in the wrong field, nothing is told; it writes as well, or the time would tell so.
func (b *Book) refuse(ctx context.Context, user string) error {
	if user == "" {
		return b.forgive(ctx, user)
	}
	return b.store.Audit(ctx, audit.Entry{Who: user, Action: audit.Refuse})
}

// stranger is what a name that is no user's is counted by: it says nothing to whom reads it
// without the key.
func (b *Book) stranger(ctx context.Context, name string) (string, error) {
	var key string
	err := b.read(strangeSetting, &key)
	if err == nil && key == "" {
		err = update(ctx, b.store, strangeSetting, func(have string) (string, error) {
			key = cmp.Or(have, draw())
			return key, nil
		})
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(name))
	return strange + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12]), err
}

// Setup compares the one-time secret of the set-up page, under the same count of
// wrong tries. An empty secret admits nobody.
func (b *Book) Setup(ctx context.Context, secret, typed string) error {
	if err := b.try(ctx, setup); err != nil {
		return err
	}
	if secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(typed)) != 1 {
		return ErrWrong
	}
	return b.forgive(ctx, setup)
}

// try counts a try as wrong before anybody knows whether it is: pulling the plug
// gains nothing. A clock that was set back begins the wait anew.
func (b *Book) try(ctx context.Context, count string) error {
	var locked *LockedError
	err := update(ctx, b.store, lockoutSetting, func(all map[string]miss) (map[string]miss, error) {
		if all == nil {
			all = map[string]miss{}
		}
		m, now := all[count], b.now().UnixMilli()
		wait := m.wait()
		left := time.Duration(m.At-now)*time.Millisecond + wait
		if left > wait {
			m.At, left = now, wait
			all[count] = m
		}
		if left > 0 && wait > 0 {
			locked = &LockedError{left}
			return all, nil
		}
		all[count] = miss{m.N + 1, now}
		forget(all)
		return all, nil
	})
	if err == nil && locked != nil {
		return locked
	}
	return err
}

// forget drops the count of the name longest untried, where too many are no user's.
func forget(all map[string]miss) {
	n, oldest := 0, ""
	for name, m := range all {
		if !strings.HasPrefix(name, strange) {
			continue
		}
		if n++; oldest == "" || m.At < all[oldest].At {
			oldest = name
		}
	}
	if n > maxStrange {
		delete(all, oldest)
	}
}

func (b *Book) forgive(ctx context.Context, count string) error {
	return update(ctx, b.store, lockoutSetting, func(all map[string]miss) (map[string]miss, error) {
		delete(all, count)
		if all == nil {
			all = map[string]miss{}
		}
		return all, nil
	})
}
