package web

import (
	"errors"
	"net/http"
	"slices"

	"tram/store"
	"tram/store/record"
)

// maxNotices is how many values that gave way the start page names one by one.
const maxNotices = 5

// vaultPage is the values of one record that did not win.
type vaultPage struct {
	recordPage
	Vault []lostValue
}

// recordVault shows the values of one record that did not win. Who looks has not yet
// said that they have seen them.
func (c *call) recordVault() error {
	head, _, err := c.recordHead()
	if err != nil {
		return err
	}
	head.Tab = "vault"
	p := vaultPage{recordPage: head}
	if p.Vault, err = c.vault(head.Key); err != nil {
		return err
	}
	for i := range p.Vault {
		p.Vault[i].Back = "/record/" + head.Key.String() + "/vault"
	}
	c.render(http.StatusOK, "record-vault", "vault.title", p)
	return nil
}

// notices are the first of the user's values that did not win, in words, and how
// many there are.
func (c *call) notices() ([]lostValue, int, error) {
	items, err := c.lostBy(c.user.User)
	if err != nil {
		return nil, 0, err
	}
	items = slices.DeleteFunc(items, func(it store.VaultItem) bool { return !c.user.Role.Sees(it.Key.Kind) })
	var out []lostValue
	names := c.names()
	for _, it := range items[:min(maxNotices, len(items))] {
		st, err := c.Store.Get(it.Key)
		if errors.Is(err, record.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		l, _, err := c.lostOf(it, st, names)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, l)
	}
	return out, len(items), nil
}

// sawOwn notes that who decided has seen what that decision set aside.
func (c *call) sawOwn(made *record.Version) error {
	list, err := c.Store.Vault(made.Key, maxConflicts)
	if err != nil {
		return err
	}
	for _, it := range list {
		if it.Merge != made.Name {
			continue
		}
		if err := c.Store.Told(c.r.Context(), it.ID, c.user.User); err != nil {
			return err
		}
	}
	return nil
}
