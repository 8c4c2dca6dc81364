package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tram/agent/rehearse/bench/storage"
	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/merge"
	"tram/sync/wire"
)

// HealCommand measures what it costs to find and heal the few records in which a
// station and its centre differ.
type HealCommand struct {
	Dir       string `help:"Where the files go." default:".build" type:"path"`
	Records   int    `help:"How many records each side holds." default:"1000000"`
	Different int    `help:"In how many records they differ." default:"37"`
}

// Run runs it. It fails where the two do not end equal.
func (c *HealCommand) Run(ctx context.Context, out io.Writer) (err error) {
	if c.Records < 1000 || c.Different < 4 || c.Different > c.Records/10 {
		return errors.New("at least 1,000 records, of which 4 to a tenth differ")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "heal-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	storage.Environment(out, dir)
	h, err := newHealing(dir, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.station.Close(), h.centre.Close()) }()
	began := time.Now()
	if err := h.fill(ctx, c.Records-c.Different); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	if err := h.part(ctx, c.Different); err != nil {
		return fmt.Errorf("part: %w", err)
	}
	fmt.Fprintf(out, "\na centre's store and a station's, filled in %.0f s:\n", time.Since(began).Seconds())
	return h.heal(ctx)
}

// healing is a centre and a station, and what was made to differ.
type healing struct {
	out             io.Writer
	merger          *merge.Merger
	r4              *fhir.R4
	key             ed25519.PrivateKey
	centre, station *store.Store
	people          []string
	made            int          // records at the centre
	apart           []record.Key // that differ
	lost            []record.Key // of these, whose last change the station lost
}

const (
	healed     = "station-1"
	perPerson  = 200
	healBatch  = 4000
	mostRounds = 12
)

func newHealing(dir string, out io.Writer) (*healing, error) {
	r4, err := fhir.Load()
	if err != nil {
		return nil, err
	}
	classes, err := merge.DefaultClasses()
	if err != nil {
		return nil, err
	}
	h := &healing{out: out, r4: r4, merger: merge.New(r4, classes), key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	if h.centre, err = store.Open(store.Options{Dir: filepath.Join(dir, "centre"), Name: "centre", Top: true, R4: r4}); err != nil {
		return nil, err
	}
	if h.station, err = store.Open(store.Options{Dir: filepath.Join(dir, healed), Name: healed, R4: r4}); err != nil {
		return nil, errors.Join(err, h.centre.Close())
	}
	return h, nil
}

// fill writes records at the centre while the station takes over what is there.
func (h *healing) fill(ctx context.Context, records int) error {
	if err := h.centre.AddPeer(ctx, store.Peer{Name: healed, Station: healed}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	more := make(chan struct{}, 1)
	g.Go(func() error {
		defer close(more)
		if err := h.register(ctx, max(1, records/perPerson)); err != nil {
			return err
		}
		for h.made < records {
			var writes []store.Write
			for range min(healBatch, records-h.made) {
				writes = append(writes, h.observation(h.made+len(writes)))
			}
			if err := h.put(ctx, writes...); err != nil {
				return err
			}
			select {
			case more <- struct{}{}:
			default:
			}
		}
		return nil
	})
	g.Go(func() error {
		for range more {
			if err := h.pull(ctx); err != nil {
				return err
			}
		}
		return h.pull(ctx)
	})
	return g.Wait()
}

func (h *healing) put(ctx context.Context, writes ...store.Write) error {
	_, err := h.centre.Put(ctx, writes...)
	h.made += len(writes)
	return err
}

// register makes people whom the station holds; each has a record that says so.
func (h *healing) register(ctx context.Context, n int) error {
	for len(h.people) < n {
		var writes []store.Write
		var keys []record.Key
		for range min(healBatch, n-len(h.people)) {
			k := record.Key{Kind: "Patient", ID: h.centre.NewID()}
			b := fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"family":"Person","given":["%d"]}],"gender":"female","birthDate":"1990-01-01"}`, k.ID, len(h.people))
			writes = append(writes, store.Write{Key: k, Content: b, Author: "admin"})
			keys, h.people = append(keys, k), append(h.people, k.ID)
		}
		if err := h.put(ctx, writes...); err != nil {
			return err
		}
		n, err := h.centre.Grant(ctx, healed, "admin", keys...)
		if err != nil {
			return err
		}
		h.made += n
	}
	return nil
}

func (h *healing) observation(i int) store.Write {
	k := record.Key{Kind: "Observation", ID: h.centre.NewID()}
	return store.Write{Key: k, Content: h.content(k, i, 70), Author: "nurse"}
}

func (h *healing) content(k record.Key, i, value int) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/%s"},`+
		`"effectiveDateTime":"2026-%02d-%02dT08:%02d:00+07:00","valueQuantity":{"value":%d,"unit":"/min"}}`, k.ID, h.people[i%len(h.people)], i/28%12+1, i%28+1, i%60, value)
}

// pull lets the station take over what the centre offers, but for what it loses.
func (h *healing) pull(ctx context.Context) error {
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		for more := true; more; {
			after, err := h.station.Cursor(feed)
			if err != nil {
				return err
			}
			page, err := h.centre.Offer(healed, after, healBatch)
			if err != nil {
				return err
			}
			st := record.Stretch{Peer: store.Upstream, Cursor: &page.Cursor}
			for _, c := range page.Changes {
				if !slices.Contains(h.lost, c.Key) {
					st.Arrived = append(st.Arrived, record.Arrival{Change: c})
				}
			}
			if err := h.station.Apply(ctx, st); err != nil {
				return err
			}
			more = page.More
		}
	}
	return nil
}

// part lets the two differ in n records: a quarter each lack at the station, are
// older there, lack at the centre, and are older there.
func (h *healing) part(ctx context.Context, n int) error {
	var lacking, edits []store.Write
	heads, err := h.some(n)
	if err != nil {
		return err
	}
	for i := range n {
		switch head := heads[i]; i % 4 {
		case 0:
			w := h.observation(i)
			lacking, h.lost = append(lacking, w), append(h.lost, w.Key)
		case 1:
			edits = append(edits, store.Write{Key: head, Base: store.Any, Content: h.content(head, i, 71), Author: "nurse"})
			h.lost = append(h.lost, head)
		}
	}
	if err := h.put(ctx, append(lacking, edits...)...); err != nil {
		return err
	}
	h.made -= len(edits)
	if err := h.pull(ctx); err != nil {
		return err
	}
	h.apart = slices.Clone(h.lost)
	for i := range n {
		k := heads[i]
		if i%4 < 2 {
			continue
		}
		if i%4 == 2 {
			k.ID = fmt.Sprintf("%s-%d", elsewhere, 2*i+1)
		}
		if err := h.plant(ctx, k, i); err != nil {
			return err
		}
		h.apart = append(h.apart, k)
	}
	return nil
}

// elsewhere is a lineage of which the centre has nothing any more.
const elsewhere = record.Lineage("elsewhereelsewhe")

// plant lets a version come down that the centre does not hold.
func (h *healing) plant(ctx context.Context, k record.Key, i int) error {
	v := &record.Version{Key: k, Name: record.Name{Lineage: elsewhere, N: uint64(2*i + 2)}, Author: "nurse", Content: h.content(k, i, 72)}
	v.Stamp, v.Trace.Born = record.Stamp{Unix: time.Now().UnixMilli()}, v.Name
	if st, err := h.station.Get(k); err == nil {
		v.Base, v.Seen, v.Trace = st.Head.Ref(), st.Head.Seen, st.Head.Trace
	} else if !errors.Is(err, record.ErrNotFound) {
		return err
	}
	v.Seen = v.Seen.With(v.Name)
	at, err := h.station.Cursor(record.OwnFeed)
	if err != nil {
		return err
	}
	in := record.Arrival{Change: record.Change{Seq: at.Seq, Key: k, Ref: v.Ref(), Version: v}}
	return h.station.Apply(ctx, record.Stretch{Peer: store.Upstream, Arrived: []record.Arrival{in}, Cursor: &at})
}

// some draws observations from all over the tree.
func (h *healing) some(n int) ([]record.Key, error) {
	var out []record.Key
	step, i := max(1, h.made/(n+1)), 0
	_, err := h.centre.Agreed(healed, record.OwnFeed, record.Part{Nodes: []record.Node{""}}, func(c record.Change) error {
		if c.Key.Kind == "Observation" && i >= step*len(out) && len(out) < n {
			out = append(out, c.Key)
		}
		i++
		return nil
	})
	if err == nil && len(out) < n {
		err = errors.New("there are too few observations")
	}
	return out, err
}

// round is one exchange as its bytes tell it.
type round struct {
	engine.Result
	up, down int64
	took     time.Duration
}

// exchange runs an exchange; its bytes are counted as they would be on a wire.
func (h *healing) exchange(ctx context.Context, left *engine.Carry) (r round, err error) {
	began := time.Now()
	ask, err := engine.NewAsk(engine.AskOptions{Replica: h.station, Name: healed, Merger: h.merger, Pace: engine.DefaultPace(), Carry: left,
		Verify: func(r record.Receipt) error {
			if !ed25519.Verify(h.key.Public().(ed25519.PublicKey), r.Signed(), r.Sig) {
				return errors.New("not signed")
			}
			return nil
		}})
	if err != nil {
		return r, err
	}
	epoch, err := h.centre.Epoch()
	if err != nil {
		return r, err
	}
	serve := engine.NewServe(engine.ServeOptions{Replica: h.centre, Name: h.centre.Name(), Peer: healed, Epoch: epoch, Merger: h.merger, R4: h.r4,
		Now: began.UnixMilli(), Pace: engine.DefaultPace(), MaxContent: fhir.DefaultLimits().Bytes,
		Sign:  func(r record.Receipt) record.Receipt { r.Sig = ed25519.Sign(h.key, r.Signed()); return r },
		Hear:  func(wire.Hello) wire.Refusal { return "" },
		Admit: func(*record.Version, *record.Stand) record.Reason { return "" },
	})
	var said, heard wire.After
	if r.up, said, heard, err = pass(ctx, said, heard, ask.Next, serve.Take); err == nil {
		r.down, _, _, err = pass(ctx, heard, said, serve.Next, ask.Take)
	}
	r.Result, r.took = ask.Result(), time.Since(began)
	return r, err
}

// pass carries one direction of an exchange after another one, and counts its bytes.
func pass(ctx context.Context, sender, reader wire.After, next func() (*wire.Frame, error), take func(context.Context, *wire.Frame) error) (int64, wire.After, wire.After, error) {
	var b bytes.Buffer
	var streams *carry.Streams
	said, err := streams.Send(&b, wire.Packed, sender, next)
	if err != nil {
		return 0, said, reader, err
	}
	n := int64(b.Len())
	heard, err := streams.Receive(ctx, &b, wire.Packed, reader, take)
	return n, said, heard, err
}

// heal lets the two exchange until they are proved equal, and prints what that took.
func (h *healing) heal(ctx context.Context) error {
	fmt.Fprintf(h.out, "  records at the centre %d, different %d\n\n  %-10s %10s %10s %8s %8s %8s %6s\n", h.made, len(h.apart), "exchange", "up B", "down B", "seconds", "sent", "received", "equal")
	var all round
	var left *engine.Carry
	n := 0
	for !all.Equal {
		if n++; n > mostRounds {
			return fmt.Errorf("not equal after %d exchanges", mostRounds)
		}
		r, err := h.exchange(ctx, left)
		if err != nil {
			return err
		}
		fmt.Fprintf(h.out, "  %-10d %10d %10d %8.2f %8d %8d %6t\n", n, r.up, r.down, r.took.Seconds(), r.Sent, r.Received, r.Equal)
		all = round{r.Result, all.up + r.up, all.down + r.down, all.took + r.took}
		next := r.Next
		left = &next
	}
	fmt.Fprintf(h.out, "  %-10s %10d %10d %8.2f\n", "all", all.up, all.down, all.took.Seconds())
	began := time.Now()
	heads, size, err := h.allHeads()
	if err != nil {
		return err
	}
	fmt.Fprintf(h.out, "\n  found and healed in %d exchanges and %.1f kB; the names of all %d heads are %.1f kB (%.1f s)\n", n, float64(all.up+all.down)/1e3, heads, float64(size)/1e3, time.Since(began).Seconds())
	return h.same()
}

// same holds that what differed is equal now.
func (h *healing) same() error {
	for _, k := range h.apart {
		a, err := h.centre.Get(k)
		if err != nil {
			return err
		}
		b, err := h.station.Get(k)
		if err != nil {
			return err
		}
		if a.Head.Ref() != b.Head.Ref() || len(b.Pending) > 0 {
			return fmt.Errorf("%s is not the same at both", k)
		}
	}
	return nil
}

// allHeads is how many bytes the names of all heads are, compressed as on the wire.
func (h *healing) allHeads() (heads int, size int64, err error) {
	var c counter
	w, err := wire.NewWriter(&c, wire.Packed, wire.After{})
	if err != nil {
		return 0, 0, err
	}
	_, err = h.centre.Agreed(healed, record.OwnFeed, record.Part{Nodes: []record.Node{""}}, func(c record.Change) error {
		heads++
		return w.Write(&wire.Frame{Leaves: &wire.Leaves{Feed: record.OwnFeed, Heads: []record.Change{{Key: c.Key, Ref: c.Ref}}}})
	})
	err = errors.Join(err, w.Close())
	return heads, int64(c), err
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
