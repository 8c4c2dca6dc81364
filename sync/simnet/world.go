package simnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"tram/store"
	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/wire"
)

// world is one run.
type world struct {
	o        Options
	dir      string
	rng      *rand.Rand // for what no step decides: lineages
	now      int64      // Unix milliseconds, true everywhere
	folders  int
	centre   *replica
	stations []*replica
	flying   []flight
	sticks   []parcel        // that are about
	written  int             // how many requests were written on sticks
	denied   map[string]bool // whose access ended
	model    model
	story    []string
	wrong    []string
	happened map[string]int
	broken   error // of the machine; the run ends
}

// replica is one PC with its records.
type replica struct {
	*store.Store
	label  string   // for people: a, b, a' for a's clone
	name   string   // by which its upstream knows it
	up     *replica // its upstream; nil for the centre
	put    int      // how often it was put back
	dir    string
	ahead  int64 // of its clock before the true one, ms
	offset int64 // as it was measured in the last exchange
	carry  *engine.Carry
	asked  wire.After // what is known after its last request
	doubt  bool       // about its clock
	left   int        // how many more writes its disk takes; below zero all
	copies []state    // oldest first
	known
}

// known is how many restores of the centre a replica knows of: by an exchange, and with
// all that they took away.
type known struct{ heard, green int }

// state is what a replica was once.
type state struct {
	dir string
	known
}

// station is the name of the station that a replica is, or belongs to.
func (r *replica) station() string {
	for r.up != nil && r.up.up != nil {
		r = r.up
	}
	return r.name
}

// flight is a request that is still on its way.
type flight struct {
	from    *replica
	request []byte
}

// begin is when every world begins, in Unix milliseconds: 2026-01-01.
const begin = 1_767_225_600_000

// names are those of the stations.
func names() []string { return []string{"a", "b"} }

// newWorld makes a centre and two stations, the first of them with a point below it where
// asked.
func newWorld(o Options, dir string, seed uint64, point bool) (*world, error) {
	if o.keys == nil {
		var err error
		if o.keys, err = newKeys(names()...); err != nil {
			return nil, err
		}
	}
	w := &world{o: o, dir: dir, rng: rand.New(rand.NewPCG(seed, 3)), now: begin, happened: map[string]int{}, denied: map[string]bool{}}
	w.model.tokens, w.model.settled = map[string]*token{}, map[record.Key]bool{}
	w.centre = &replica{label: "centre", name: "centre", left: -1}
	if err := w.open(w.centre, w.folder()); err != nil {
		return nil, err
	}
	a, err := w.replica("a", w.centre)
	if err == nil {
		_, err = w.replica("b", w.centre)
	}
	if err == nil && point {
		_, err = w.replica("p", a)
	}
	if err != nil {
		return nil, err
	}
	return w, w.people()
}

// replica makes one more replica, below another.
func (w *world) replica(name string, up *replica) (*replica, error) {
	r := &replica{label: name, name: name, up: up, left: -1}
	w.stations = append(w.stations, r)
	if err := w.open(r, w.folder()); err != nil {
		return r, err
	}
	return r, up.AddPeer(context.Background(), store.Peer{Name: name, Station: name})
}

// people gives every world some whom all know, and states to go back to.
func (w *world) people() error {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 3 {
		w.birthAt(w.centre, rng)
	}
	for _, key := range w.model.keys() {
		for _, r := range w.stations {
			w.grant(r.station(), key)
		}
	}
	for _, r := range w.stations {
		w.exchange(r, whole, rng)
	}
	for _, r := range w.everybody() {
		r.copies = append(r.copies, w.stateOf(r))
	}
	return w.broken
}

func (w *world) folder() string {
	w.folders++
	return filepath.Join(w.dir, fmt.Sprintf("%03d", w.folders))
}

// Read gives the randomness of lineages.
func (w *world) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		copy(b[i:], binary.BigEndian.AppendUint64(nil, w.rng.Uint64()))
	}
	return len(b), nil
}

// open opens a replica's store in a folder.
func (w *world) open(r *replica, dir string) error { return w.openWith(r, dir, w) }

func (w *world) openWith(r *replica, dir string, random io.Reader) error {
	s, err := store.Open(store.Options{Dir: dir, Name: r.name, Top: r.name == "centre", R4: w.o.R4, Random: random, Clock: func() record.Stamp {
		w.now += 1000
		return record.Stamp{Unix: w.now + r.ahead, Offset: r.offset, Doubt: r.doubt}
	}})
	r.Store, r.dir = s, dir
	return err
}

// copyOf is a copy of a folder as a power cut would leave it.
func (w *world) copyOf(dir string) string {
	to := w.folder()
	w.fail(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, path[len(dir):])
		if d.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".journal" { // without most of the room ahead of what is written
			b = b[:min(len(b), len(bytes.TrimRight(b, "\x00"))+64)]
		}
		return os.WriteFile(at, b, 0o600)
	}))
	return to
}

// stateOf is a copy of a replica's state.
func (w *world) stateOf(r *replica) state { return state{w.copyOf(r.dir), r.known} }

// reopen lets a replica go on from another folder, without what it had in memory.
func (w *world) reopen(r *replica, dir string) {
	w.fail(r.Close())
	if err := w.open(r, dir); err != nil {
		w.bad("%s does not open: %v", r.label, err)
		w.fail(err)
		return
	}
	r.carry, r.offset = nil, 0
}

func (w *world) close() {
	for _, r := range append(w.stations, w.centre) {
		if r != nil && r.Store != nil {
			r.Close()
		}
	}
}

func (w *world) fail(err error) {
	if err != nil && w.broken == nil {
		w.broken = err
	}
}

func (w *world) say(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

func (w *world) bad(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *world) everybody() []*replica { return append([]*replica{w.centre}, w.stations...) }
