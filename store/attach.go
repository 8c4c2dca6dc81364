package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"tram/store/audit"
	"tram/store/backup"
	"tram/store/blob"
	"tram/store/fhir"
	"tram/store/layout"
	"tram/store/record"
	"tram/store/seal"
)

// Attachment is content that versions refer to and that is not known to be both here and
// upstream: it waits to go up where it is here, and to come down where it is not.
type Attachment struct {
	ID   string
	Size int64 // 0 where nobody said
	Here bool
	// Keys are the records that refer to it.
	Keys []record.Key
}

// unsettled is what stands of one in its table.
type unsettled struct {
	ID   string `json:"id"`
	Size int64  `json:"size,omitempty"`
	// Left is a record that went from here and referred to it, before it was upstream.
	Left record.Key `json:"left,omitzero"`
}

func (t *tx) attachedAt(id string) []byte { return t.s.blind("attached", id) }

// attach notes what a version refers to.
func (t *tx) attach(n []byte, order uint64, v *record.Version) error {
	some, err := t.attachments(v)
	if err != nil {
		return err
	}
	for _, a := range some {
		raw, err := hex.DecodeString(a.ID)
		if err != nil {
			return err
		}
		if err := t.putRaw(layout.Attached, join(t.attachedAt(a.ID), n, u64(order)), raw); err != nil {
			return err
		}
		if err := t.unsettle(unsettled{ID: a.ID, Size: a.Size}); err != nil {
			return err
		}
	}
	return nil
}

// attachments are what a version refers to.
func (t *tx) attachments(v *record.Version) ([]fhir.Attached, error) {
	if v.Content == nil || !fhir.MayAttach(v.Content) {
		return nil, nil
	}
	content, err := t.content(v)
	return fhir.Attachments(content), err
}

// unsettle lets an attachment wait; at the top replica none does, for who has it offers it.
func (t *tx) unsettle(u unsettled) error {
	if t.s.opt.Top {
		return nil
	}
	return t.put(layout.Unsettled, t.attachedAt(u.ID), u)
}

// unsettleAll lets every attachment wait again: what upstream said before proves nothing.
func (t *tx) unsettleAll() error {
	ids := map[string]bool{}
	err := t.Table(layout.Attached).ForEach(func(k, v []byte) error {
		raw, err := t.unseal(layout.Attached, k, v)
		ids[hex.EncodeToString(raw)] = true
		return err
	})
	for id := range ids {
		if err == nil && t.Table(layout.Unsettled).Get(t.attachedAt(id)) == nil {
			err = t.unsettle(unsettled{ID: id})
		}
	}
	return err
}

// comeAgain lets a damaged attachment wait, by the name of its file: what upstream has of it
// comes down again.
func (s *Store) comeAgain(name string) error {
	s.opt.Log.Error("an attachment is damaged and set aside", "file", name)
	return s.update(context.Background(), func(t *tx) error {
		var id string
		err := t.Table(layout.Attached).ForEach(func(k, v []byte) error {
			raw, err := t.unseal(layout.Attached, k, v)
			if some := hex.EncodeToString(raw); s.blobs.Name(some) == name {
				id = some
			}
			return err
		})
		if err != nil || id == "" || t.Table(layout.Unsettled).Get(t.attachedAt(id)) != nil {
			return err
		}
		return t.unsettle(unsettled{ID: id})
	})
}

// listAttached notes what every version refers to, which schema 4 did not, and that nothing
// else waits.
func (t *tx) listAttached() error {
	type place struct{ n, order []byte }
	var all []place
	err := t.Table(layout.Versions).ForEach(func(k, _ []byte) error {
		all = append(all, place{slices.Clone(k[:8]), slices.Clone(k[8:])})
		return nil
	})
	for _, p := range all {
		if err != nil {
			return err
		}
		v, verr := t.versionAt(p.n, num(p.order))
		if verr != nil {
			return verr
		}
		err = t.attach(p.n, num(p.order), v)
		clear(t.read) // or all that was ever read would stay in memory
	}
	var stray [][]byte
	err = errors.Join(err, t.Table(layout.Unsettled).ForEach(func(k, v []byte) error {
		var u unsettled
		err := t.open(layout.Unsettled, k, v, &u)
		if u.Left.IsZero() && !t.refersTo(k) {
			stray = append(stray, slices.Clone(k))
		}
		return err
	}))
	for _, k := range stray {
		err = errors.Join(err, t.Table(layout.Unsettled).Delete(k))
	}
	return err
}

// dropPast lets go of one version of a record, and of what it alone refers to; of what is
// here and not upstream when it is.
func (t *tx) dropPast(n []byte, p layout.Past) error {
	v, err := t.versionAt(n, p.At)
	if err != nil {
		return err
	}
	some, err := t.attachments(v)
	if err != nil {
		return err
	}
	for _, a := range some {
		at := t.attachedAt(a.ID)
		if err := t.Table(layout.Attached).Delete(join(at, n, u64(p.At))); err != nil {
			return err
		}
		if t.refersTo(at) {
			continue
		}
		if t.Table(layout.Unsettled).Get(at) != nil && t.s.blobs.Has(a.ID) {
			if err := t.unsettle(unsettled{a.ID, a.Size, v.Key}); err != nil {
				return err
			}
			continue
		}
		if err := t.settle(a.ID); err != nil {
			return err
		}
	}
	return t.dropVersion(join(n, u64(p.At)))
}

// settle lets an attachment wait no longer, and lets go of one that nothing refers to.
func (t *tx) settle(id string) error {
	at := t.attachedAt(id)
	if !t.refersTo(at) {
		t.after = append(t.after, func() { t.s.letGo(id) })
	}
	return t.Table(layout.Unsettled).Delete(at)
}

// letGo removes an attachment that nothing refers to any more. What is left by a cut names
// nobody and is read by nobody.
func (s *Store) letGo(id string) {
	err := s.view(func(t *tx) error {
		if t.refersTo(t.attachedAt(id)) {
			return nil // a version that was made again under another name
		}
		return s.blobs.Remove(id)
	})
	if err != nil {
		s.opt.Log.Error("cannot remove an attachment", "err", err)
	}
}

// refersTo reports whether a version refers to what stands under a key, or a key and a
// record's number.
func (t *tx) refersTo(prefix ...[]byte) bool {
	at := join(prefix...)
	k, _ := t.Table(layout.Attached).Cursor().Seek(at)
	return len(k) >= len(at) && string(k[:len(at)]) == string(at)
}

// Unsettled lists the attachments that wait, the smallest first.
func (s *Store) Unsettled() ([]Attachment, error) {
	var out []Attachment
	err := s.view(func(t *tx) error {
		return t.Table(layout.Unsettled).ForEach(func(k, v []byte) error {
			var u unsettled
			if err := t.open(layout.Unsettled, k, v, &u); err != nil {
				return err
			}
			a := Attachment{ID: u.ID, Size: u.Size}
			switch size, err := s.blobs.Size(u.ID); {
			case err == nil:
				a.Size, a.Here = size, true
			case !errors.Is(err, blob.ErrMissing):
				s.opt.Log.Error("cannot read an attachment", "err", err) // it comes down again
			}
			var err error
			if a.Keys, err = t.attachedTo(slices.Clone(k)); !u.Left.IsZero() {
				a.Keys = append(a.Keys, u.Left)
			}
			out = append(out, a)
			return err
		})
	})
	slices.SortStableFunc(out, func(a, b Attachment) int { return cmp.Compare(a.Size, b.Size) })
	return out, err
}

// maxKeys bounds how many records are told of that refer to one attachment.
const maxKeys = 8

// attachedTo are records that refer to what stands under a key.
func (t *tx) attachedTo(at []byte) (out []record.Key, err error) {
	c := t.Table(layout.Attached).Cursor()
	for k, _ := c.Seek(at); len(k) > len(at) && string(k[:len(at)]) == string(at) && len(out) < maxKeys; k, _ = c.Next() {
		r, err := t.row(k[len(at) : len(at)+8])
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, r.Key) {
			out = append(out, r.Key)
		}
	}
	return out, nil
}

// Settle notes that an attachment is both here and upstream.
func (s *Store) Settle(ctx context.Context, id string) error {
	return s.orBallast(func() error { return s.update(ctx, func(t *tx) error { return t.settle(id) }) })
}

// Attaches reports what a peer may do with an attachment by a record that refers to it:
// hand it in, where the peer has the record or once had it; be given it, where it
// has the record and what stands there now refers to it. Both are false where there is no
// such record.
func (s *Store) Attaches(peer string, key record.Key, id string) (in, out bool, err error) {
	err = s.view(func(t *tx) error {
		n := t.number(key)
		r, err := t.row(n)
		if err != nil || n == nil || r.Gone || len(r.Past) == 0 || !t.refersTo(t.attachedAt(id), n) {
			return err
		}
		feed := FeedOf(peer)
		shared := len(r.Patients) == 0
		if in, err = t.had(feed, n); err != nil {
			return err
		}
		in = in || shared
		if !shared && !slices.Contains(r.Readers, feed) {
			return nil
		}
		for _, ref := range []record.Ref{r.Line(), r.Head} {
			if ref.IsZero() || out {
				continue
			}
			v, err := t.version(n, r, ref)
			if err != nil {
				return err
			}
			some, err := t.attachments(v)
			if err != nil {
				return err
			}
			out = slices.ContainsFunc(some, func(a fhir.Attached) bool { return a.ID == id })
		}
		return nil
	})
	return in, out, err
}

// refers notes what a version refers to, which must be listed.
func (c *checker) refers(n []byte, p layout.Past, v *record.Version) {
	if v == nil {
		return
	}
	some, err := c.attachments(v)
	if err != nil {
		c.bad("attached", v.Key, "version %s: %v", p.Ref.Name, err)
	}
	for _, a := range some {
		at := join(c.attachedAt(a.ID), n, u64(p.At))
		c.attaches[string(at)] = true
		if c.Table(layout.Attached).Get(at) == nil {
			c.bad("attached", v.Key, "an attachment is not listed")
		}
	}
}

// attached holds that nothing else is listed, and that what waits is referred to or was.
func (c *checker) attached() error {
	err := c.Table(layout.Attached).ForEach(func(k, _ []byte) error {
		if !c.attaches[string(k)] {
			c.bad("attached", record.Key{}, "an attachment is listed that no version refers to")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.Table(layout.Unsettled).ForEach(func(k, v []byte) error {
		var u unsettled
		if err := c.open(layout.Unsettled, k, v, &u); err != nil || u.Left.IsZero() && !c.refersTo(k) {
			c.bad("attached", record.Key{}, "an attachment waits that no version refers to: %v", err)
		}
		return nil
	})
}

// entries takes the copy of a database into a backup.
type entries struct{ out *backup.Writer }

func (e entries) Take(key, stored []byte) error { return e.out.Piece(backup.Entry, key, stored) }

// backUpBlob copies an attachment as it is on the disk, in parts; none that went meanwhile.
func (s *Store) backUpBlob(ctx context.Context, out *backup.Writer, name string) error {
	f, err := os.Open(filepath.Join(s.opt.Dir, layout.BlobFolder, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(f, buf)
		if n > 0 || err == io.EOF {
			if err := out.Piece(backup.Blob, []byte(name), buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// KeySlot is the kind of slot that opened the key, such as "key-file" or "tpm".
func (s *Store) KeySlot() string { return s.keys.OpenedBy() }

// KeySlots lists the ways to the key.
func (s *Store) KeySlots() []seal.Slot { return s.keys.Slots() }

// AddKeySlot adds a way to the key, durably.
func (s *Store) AddKeySlot(o seal.Opener) error {
	if err := s.keys.AddSlot(o); err != nil {
		return err
	}
	return s.copySlots()
}

// secondSlots is where the copy of the slots lies: beside the journal, which may be on
// another disk.
func (s *Store) secondSlots() string { return filepath.Join(s.opt.Journal, SlotsFile) }

func (s *Store) copySlots() error {
	return seal.Copy(filepath.Join(s.opt.Dir, SlotsFile), s.secondSlots())
}

// Box is under the store's own keys. Reseal seals anew what was sealed in it and is kept
// elsewhere: it is called when keys rotate, before the old ones are gone.
func (s *Store) Box(reseal func() error) seal.Box {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boxed = append(s.boxed, reseal)
	return seal.NewBox(s.keys)
}

// resealBoxed lets what is in boxes be sealed under the newest key.
func (s *Store) resealBoxed() error {
	s.mu.Lock()
	boxed := slices.Clone(s.boxed)
	s.mu.Unlock()
	for _, reseal := range boxed {
		if err := reseal(); err != nil {
			return err
		}
	}
	return nil
}

// SetSetting keeps a small value of the program, sealed; an empty one is let go of.
func (s *Store) SetSetting(ctx context.Context, name string, b []byte) error {
	return s.orBallast(func() error {
		return s.update(ctx, func(tx *tx) error { return tx.putSetting(s.blind("setting", name), b) })
	})
}

func (t *tx) putSetting(at, b []byte) error {
	t.keep(layout.Setting, at, b)
	if len(b) == 0 {
		return t.Table(layout.Settings).Delete(at)
	}
	return t.putRaw(layout.Settings, at, b)
}

// Setting reads a small value of the program; nil where there is none.
func (s *Store) Setting(name string) ([]byte, error) {
	var out []byte
	err := s.view(func(tx *tx) (err error) {
		out, err = tx.getRaw(layout.Settings, s.blind("setting", name))
		return err
	})
	return out, err
}

// UpdateSetting changes a small value in one transaction; f gets nil where there
// is none. Its error is returned and nothing changes.
func (s *Store) UpdateSetting(ctx context.Context, name string, f func([]byte) ([]byte, error)) error {
	return s.update(ctx, func(tx *tx) error { return tx.updateSetting(name, f) })
}

func (t *tx) updateSetting(name string, f func([]byte) ([]byte, error)) error {
	at := t.s.blind("setting", name)
	have, err := t.getRaw(layout.Settings, at)
	if err != nil {
		return err
	}
	b, err := f(have)
	if err != nil {
		return err
	}
	return t.putSetting(at, b)
}

// Declare is UpdateSetting by a person: what they did is in the audit by the same
// transaction. At is filled in.
func (s *Store) Declare(ctx context.Context, name string, f func([]byte) ([]byte, error), acts ...audit.Entry) error {
	return s.update(ctx, func(tx *tx) error {
		if err := tx.updateSetting(name, f); err != nil {
			return err
		}
		at := s.opt.Clock().Corrected()
		for _, act := range acts {
			act.At = at
			if err := tx.audit(act); err != nil {
				return err
			}
		}
		return nil
	})
}
