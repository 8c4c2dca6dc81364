package store

import (
	"context"
	"fmt"
	"slices"

	"tram/store/layout"
	"tram/store/record"
)

// Upstream is the other side to whom a replica offers what it made itself.
const Upstream = "up"

// feedEntry is one place in a feed. Of each record only the newest place is live;
// the older ones stay as names, so that a cursor that stands there is known.
type feedEntry struct {
	Number uint64     `json:"n"`
	Key    record.Key `json:"key"`
	Ref    record.Ref `json:"ref"`
	Gone   bool       `json:"gone,omitempty"`
	Old    bool       `json:"old,omitempty"`
	// Never says of what is gone that this feed never had it.
	Never bool `json:"never,omitempty"`
}

func (t *tx) feedID(feed string) []byte { return t.s.blind("feed", feed)[:8] }

// FeedOf names the feed of a peer's own people.
func FeedOf(peer string) string { return record.OwnFeed + "/" + peer }

// offerTo appends a place to a feed and lets the record's older one go.
func (t *tx) offerTo(feed string, n []byte, e feedEntry) error {
	id := t.feedID(feed)
	at := join(id, n)
	if v := t.Table(layout.FeedAt).Get(at); len(v) == 8 {
		key := join(id, v)
		var old feedEntry
		if _, err := t.get(layout.Feeds, key, &old); err != nil {
			return err
		}
		if !old.Gone {
			if err := t.leaf(feed, record.Leaf(old.Key, old.Ref), old.Key); err != nil {
				return err
			}
		}
		old.Old = true
		if err := t.put(layout.Feeds, key, old); err != nil {
			return err
		}
	}
	if !e.Gone {
		if err := t.leaf(feed, record.Leaf(e.Key, e.Ref), e.Key); err != nil {
			return err
		}
	}
	seq := t.feedEnd(id) + 1
	if err := t.put(layout.Feeds, join(id, u64(seq)), e); err != nil {
		return err
	}
	return t.Table(layout.FeedAt).Put(at, u64(seq))
}

// feedEnd is the last sequence of a feed; 0 for an empty one.
func (t *tx) feedEnd(id []byte) uint64 {
	c := t.Table(layout.Feeds).Cursor()
	k, _ := c.Seek(join(id, u64(^uint64(0))))
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	if len(k) == 16 && string(k[:8]) == string(id) {
		return num(k[8:])
	}
	return 0
}

// grown is the leaf that a record's head is in the tree over what came down; zero
// where it is none.
func grown(r *layout.Row) record.Digest {
	if !r.Grown {
		return record.Digest{}
	}
	return record.Leaf(r.Key, r.Head)
}

// leaf adds a leaf to its bucket of a feed's tree, or takes it out again: both
// are an exclusive or.
func (t *tx) leaf(feed string, leaf record.Digest, key record.Key) error {
	if leaf.IsZero() {
		return nil
	}
	at := join(t.feedID(feed), []byte{record.Bucket(key)})
	sum := make([]byte, len(leaf))
	copy(sum, t.Table(layout.Trees).Get(at))
	for i := range sum {
		sum[i] ^= leaf[i]
	}
	return t.Table(layout.Trees).Put(at, sum)
}

// Epoch is the life of this replica's feeds.
func (t *tx) epoch() (string, error) {
	var e string
	if ok, err := t.get(layout.Meta, []byte(layout.Epoch), &e); err != nil || ok {
		return e, err
	}
	return "", nil
}

// Offer pages through what another replica lacks and may have: for Upstream the
// own changes without an answer, for a peer its feed. It fails with record.ErrCursor
// where the cursor is not of this feed.
func (s *Store) Offer(to string, after record.Cursor, max int) (record.Page, error) {
	var page record.Page
	err := s.view(func(tx *tx) (err error) {
		if to == Upstream {
			page, err = tx.offerOwn(after.Seq, max)
			return err
		}
		page, err = tx.offerFeed(to, after, max)
		return err
	})
	if err != nil {
		return record.Page{}, fmt.Errorf("offer: %w", err)
	}
	return page, nil
}

// feedName is the name under which a peer's feed is kept here.
func feedName(peer, feed string) string {
	if feed == record.SharedFeed {
		return feed
	}
	return FeedOf(peer)
}

func (t *tx) offerFeed(to string, after record.Cursor, max int) (record.Page, error) {
	epoch, err := t.epoch()
	if err != nil {
		return record.Page{}, err
	}
	id := t.feedID(feedName(to, after.Feed))
	if err := t.knows(id, epoch, after); err != nil {
		return record.Page{}, err
	}
	page, size := record.Page{Cursor: after}, 0
	page.Cursor.Epoch = epoch
	c := t.Table(layout.Feeds).Cursor()
	for k, v := c.Seek(join(id, u64(after.Seq+1))); len(k) == 16 && string(k[:8]) == string(id); k, v = c.Next() {
		var e feedEntry
		if err := t.open(layout.Feeds, k, v, &e); err != nil {
			return page, err
		}
		if len(page.Changes) == max || size >= maxPage {
			page.More = true
			return page, nil
		}
		seq := num(k[8:])
		page.Cursor.Seq, page.Cursor.Digest = seq, entryDigest(epoch, seq, e)
		if e.Old {
			continue
		}
		ch := record.Change{Seq: seq, Key: e.Key, Ref: e.Ref, Gone: e.Gone}
		if !e.Gone {
			n := u64(e.Number)
			r, err := t.row(n)
			if err != nil {
				return page, err
			}
			if ch.Version, ch.Waits, err = t.handed(n, r, e.Ref); err != nil {
				return page, err
			}
			size += len(ch.Version.Content)
		}
		page.Changes = append(page.Changes, ch)
	}
	return page, nil
}

// knows refuses a cursor that this feed did not give.
func (t *tx) knows(id []byte, epoch string, c record.Cursor) error {
	if c.Seq == 0 {
		return nil
	}
	var e feedEntry
	ok, err := t.get(layout.Feeds, join(id, u64(c.Seq)), &e)
	if err != nil {
		return err
	}
	if !ok || c.Epoch != epoch || entryDigest(epoch, c.Seq, e) != c.Digest {
		return record.ErrCursor
	}
	return nil
}

func entryDigest(epoch string, seq uint64, e feedEntry) record.Digest {
	return record.Sum([]byte("tram feed 1"), []byte(epoch), u64(seq), []byte(e.Key.String()), []byte(e.Ref.String()), fmt.Append(nil, e.Gone))
}

// Cursor is how far this replica got in a feed of its upstream.
func (s *Store) Cursor(feed string) (record.Cursor, error) {
	c := record.Cursor{Feed: feed}
	err := s.view(func(tx *tx) error {
		_, err := tx.get(layout.Cursors, []byte(feed), &c)
		return err
	})
	return c, err
}

// Tree is the digest tree of one feed: with peer Upstream over what came down,
// else over what that peer is offered.
func (s *Store) Tree(peer, feed string) (record.Tree, error) {
	a, err := s.Agreed(peer, feed, record.Part{}, nil)
	return a.Tree, err
}

func treeName(peer, feed string) string {
	if peer == Upstream {
		return "up/" + feed
	}
	return feedName(peer, feed)
}

// Agreed is what this replica and another agree on in one feed: with peer Upstream
// what came down, else what that peer is offered. each is called with every head in
// the part, without content, in no order, and must not ask the store anything. A head
// that damage took comes with a zero Ref, and is not in the tree.
// Nodes cost a look at every record of the feed, however few stand in them; keys a
// look at each.
func (s *Store) Agreed(peer, feed string, in record.Part, each func(record.Change) error) (record.Agreement, error) {
	var out record.Agreement
	err := s.view(func(tx *tx) (err error) {
		id := tx.feedID(treeName(peer, feed))
		c := tx.Table(layout.Trees).Cursor()
		for k, v := c.Seek(id); len(k) == len(id)+1 && string(k[:len(id)]) == string(id); k, v = c.Next() {
			copy(out.Tree[k[len(id)]][:], v)
		}
		if out.End, err = tx.endOf(peer, feed); err != nil {
			return err
		}
		if peer == Upstream {
			return tx.cameDown(feed, in, each)
		}
		return tx.isOffered(feedName(peer, feed), in, each)
	})
	if err != nil {
		return out, fmt.Errorf("agreed: %w", err)
	}
	return out, nil
}

// endOf is the cursor behind the last change of a feed that is given here.
func (t *tx) endOf(peer, feed string) (record.Cursor, error) {
	c := record.Cursor{Feed: feed}
	if peer == Upstream {
		return c, nil
	}
	epoch, err := t.epoch()
	if err != nil {
		return c, err
	}
	id := t.feedID(feedName(peer, feed))
	c.Epoch, c.Seq = epoch, t.feedEnd(id)
	var e feedEntry
	if ok, err := t.get(layout.Feeds, join(id, u64(c.Seq)), &e); err != nil || !ok {
		return c, err
	}
	c.Digest = entryDigest(epoch, c.Seq, e)
	return c, nil
}

// cameDown calls each with the heads that came down a feed.
func (t *tx) cameDown(feed string, in record.Part, each func(record.Change) error) error {
	say := func(r *layout.Row) error {
		if r.Feed != feed || r.Gone {
			return nil
		}
		return each(record.Change{Seq: r.Seq, Key: r.Key, Ref: r.Head})
	}
	for _, k := range in.Keys {
		r, err := t.row(t.number(k))
		if err == nil {
			err = say(r)
		}
		if err != nil {
			return err
		}
	}
	if len(in.Nodes) == 0 {
		return nil
	}
	nodes := record.NewNodes(in.Nodes...)
	return t.Table(layout.Stands).ForEach(func(k, v []byte) error {
		plain, err := t.unseal(layout.Stands, k, v)
		if err != nil {
			return err
		}
		r, err := decodeRow(plain)
		if err != nil {
			return err
		}
		if _, ok := nodes.Of(record.LeafAt(r.Key)); !ok {
			return nil
		}
		return say(r)
	})
}

// isOffered calls each with the heads that a feed offers.
func (t *tx) isOffered(feed string, in record.Part, each func(record.Change) error) error {
	id := t.feedID(feed)
	say := func(seq []byte, e feedEntry) error {
		if e.Old || e.Gone {
			return nil
		}
		c := record.Change{Seq: num(seq), Key: e.Key, Ref: e.Ref}
		if !t.s.opt.Top {
			r, err := t.row(u64(e.Number))
			if err != nil {
				return err
			}
			if c.Waits, err = t.unproved(r, e.Ref); err != nil {
				return err
			}
		}
		return each(c)
	}
	for _, k := range in.Keys {
		n := t.number(k)
		seq := t.Table(layout.FeedAt).Get(join(id, n))
		if n == nil || seq == nil {
			continue
		}
		var e feedEntry
		_, err := t.get(layout.Feeds, join(id, seq), &e)
		if err == nil {
			err = say(seq, e)
		}
		if err != nil {
			return err
		}
	}
	if len(in.Nodes) == 0 {
		return nil
	}
	nodes := record.NewNodes(in.Nodes...)
	c := t.Table(layout.Feeds).Cursor()
	for k, v := c.Seek(id); len(k) == 16 && string(k[:8]) == string(id); k, v = c.Next() {
		var e feedEntry
		if err := t.open(layout.Feeds, k, v, &e); err != nil {
			return err
		}
		if _, ok := nodes.Of(record.LeafAt(e.Key)); !ok {
			continue
		}
		if err := say(k[8:], e); err != nil {
			return err
		}
	}
	return nil
}

// spread offers a head to everyone who may have it: a record of people to those
// who hold the people and to who handed it in, any other to all.
func (t *tx) spread(n []byte, r *layout.Row, sender string) error {
	feeds, err := t.readers(r, sender)
	if err != nil {
		return err
	}
	e := feedEntry{Number: num(n), Key: r.Key, Ref: r.Line()}
	for _, f := range feeds {
		if err := t.offerTo(f, n, e); err != nil {
			return err
		}
	}
	for _, f := range r.Readers {
		if !slices.Contains(feeds, f) {
			gone := e
			gone.Gone = true
			if err := t.offerTo(f, n, gone); err != nil {
				return err
			}
		}
	}
	r.Readers = feeds
	return nil
}

// Epoch is the life of this replica's feeds; "" before the first peer.
func (s *Store) Epoch() (string, error) {
	var e string
	err := s.view(func(tx *tx) (err error) {
		e, err = tx.epoch()
		return err
	})
	return e, err
}

// handDown offers what a record comes to here to those below; nobody is below a
// replica without peers that is not the top one.
func (t *tx) handDown(n []byte, r *layout.Row) error {
	if !t.s.opt.Top {
		if peers, err := t.peers(); err != nil || len(peers) == 0 {
			return err
		}
	}
	return t.spread(n, r, "")
}

// handDownAgain tells those below that a version waits for upstream, or waits no longer.
func (t *tx) handDownAgain(n []byte, ref record.Ref) error {
	r, err := t.row(n)
	if err != nil || r.Line() != ref || len(r.Readers) == 0 {
		return err
	}
	if err := t.handDown(n, r); err != nil {
		return err
	}
	return t.putRow(n, r)
}

// offerAll offers a record to those below who were not offered it yet.
func (t *tx) offerAll(n []byte) error {
	r, err := t.row(n)
	if err != nil || r.Line().IsZero() {
		return err
	}
	feeds, err := t.readers(r, "")
	if err != nil || !slices.ContainsFunc(feeds, func(f string) bool { return t.Table(layout.FeedAt).Get(join(t.feedID(f), n)) == nil }) {
		return err
	}
	if err := t.spread(n, r, ""); err != nil {
		return err
	}
	return t.putRow(n, r)
}

// fillBatch is how many records one commit offers to a new peer.
const fillBatch = 2000

// Fill offers to those below what was here before they came. It is called after AddPeer
// where the store is not the top one, and may be called again, or cut short.
func (s *Store) Fill(ctx context.Context) error {
	for from := []byte{}; from != nil; {
		var next []byte
		err := s.update(ctx, func(tx *tx) error { // which may run twice
			var batch [][]byte
			c := tx.Table(layout.Stands).Cursor()
			k, _ := c.Seek(from)
			for ; k != nil && len(batch) < fillBatch; k, _ = c.Next() {
				batch = append(batch, slices.Clone(k))
			}
			next = slices.Clone(k)
			for _, n := range batch {
				if err := tx.offerAll(n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		from = next
	}
	return nil
}

// takeDown tells those below that a record is gone here, who had its line up to a version.
func (t *tx) takeDown(n []byte, r *layout.Row, line record.Ref) error {
	for _, f := range r.Readers {
		if err := t.offerTo(f, n, feedEntry{Number: num(n), Key: r.Key, Ref: line, Gone: true}); err != nil {
			return err
		}
	}
	return nil
}

// handed is a version for those below, and whether it waits for this replica's upstream.
func (t *tx) handed(n []byte, r *layout.Row, ref record.Ref) (*record.Version, bool, error) {
	v, err := t.version(n, r, ref)
	if err != nil {
		return nil, false, err
	}
	waits, err := t.unproved(r, ref)
	return v, waits, err
}

// unproved reports whether a version is not proved to be at the top replica.
func (t *tx) unproved(r *layout.Row, ref record.Ref) (bool, error) {
	p, _ := r.Find(ref.Name)
	_, waits, err := t.ownAt(p.At)
	return waits || r.Waits && ref == r.Head, err
}
