package account

import (
	"context"
	"errors"
	"net/url"
)

const (
	maxDrafts = 8
	maxDraft  = 64 << 10 // bytes
)

// ErrDraft says that a draft is too large to be kept.
var ErrDraft = errors.New("too much text to keep")

// draft is a form that somebody filled in and did not save.
type draft struct {
	Path   string     `json:"path"`
	Values url.Values `json:"values"`
}

func draftSetting(user string) string { return "web draft " + user }

// KeepDraft keeps what a user typed into the form at path, sealed on the disk:
// neither a lock nor a power cut loses it. The oldest of more than eight goes.
func (b *Book) KeepDraft(ctx context.Context, user, path string, values url.Values) error {
	if len(values.Encode()) > maxDraft {
		return ErrDraft
	}
	return update(ctx, b.store, draftSetting(user), func(list []draft) ([]draft, error) {
		list = append(without(list, path), draft{path, values})
		return list[max(0, len(list)-maxDrafts):], nil
	})
}

// Draft is what a user typed into the form at path; nil where nothing is kept.
func (b *Book) Draft(user, path string) (url.Values, error) {
	var list []draft
	if err := b.read(draftSetting(user), &list); err != nil {
		return nil, err
	}
	for _, d := range list {
		if d.Path == path {
			return d.Values, nil
		}
	}
	return nil, nil
}

// DropDraft forgets a draft.
func (b *Book) DropDraft(ctx context.Context, user, path string) error {
	if have, err := b.Draft(user, path); err != nil || have == nil {
		return err
	}
	return update(ctx, b.store, draftSetting(user), func(list []draft) ([]draft, error) { return without(list, path), nil })
}

func without(list []draft, path string) []draft {
	out := []draft{}
	for _, d := range list {
		if d.Path != path {
			out = append(out, d)
		}
	}
	return out
}
