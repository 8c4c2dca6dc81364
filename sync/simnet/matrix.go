package simnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"tram/store"
	"tram/store/backup"
	"tram/store/layout"
	"tram/store/seal"
	"tram/store/space"
)

// matrixCmd plays one script of people's work over and over. In each run a replica is
// put back to an earlier state while the others go on.
type matrixCmd struct {
	Points int    `default:"20" help:"How many earlier points each cell goes back to; a clone, a fourth of them."`
	Tasks  int    `default:"130" help:"How long the script is."`
	Seed   uint64 `default:"1" help:"Of which script and points are drawn."`
	Who    string `help:"Only this one: station, centre, both or clone."`
	How    string `help:"Only this way: folder, database or backup."`
	Point  int    `default:"-1" help:"Only this point of each cell, drawn."`
	Dir    string `help:"Where the folders of the replicas go; a disk in memory where there is one."`
	First  bool   `help:"Stop at the first cell with findings."`
	Show   int    `default:"2" help:"How many runs with findings are made shorter and drawn."`
}

// errFindings ends a matrix with findings.
var errFindings = errors.New("not every restored run came to what people typed")

// cell is who is put back, and how: the whole folder with its journal; the database
// alone, the newer journal beside it; a backup of the product's own.
type cell struct{ who, how string }

func cells() []cell {
	var out []cell
	for _, who := range []string{"station", "centre", "both", "clone"} {
		for _, how := range []string{"folder", "database", "backup"} {
			out = append(out, cell{who, how})
		}
	}
	return out
}

// spot is one run of a cell: which state is put back, and when. Overtake lets the
// restored side write, before it is heard again, until its counter has passed every number
// that it lost.
type spot struct {
	cell
	n        int
	seed     uint64
	taken    map[string]int // by label: before which task its state was kept
	at       int            // before which task it is put back
	overtake bool
	skip     map[int]bool // tasks left out, to make a finding shorter
}

// spots draws the points of a cell.
func (c cell) spots(seed uint64, tasks, points int) []spot {
	if c.who == "clone" {
		points = (points + 3) / 4
	}
	var out []spot
	rng := rand.New(rand.NewPCG(seed, uint64(slices.Index(cells(), c))))
	for n := range points {
		s := spot{cell: c, n: n, seed: seed, taken: map[string]int{}, overtake: n%2 == 1}
		s.at = tasks/8 + rng.IntN(tasks*3/4)
		for _, label := range c.replicas() {
			s.taken[label] = firsts + rng.IntN(s.at-firsts)
		}
		out = append(out, s)
	}
	return out
}

// replicas are the labels of those whose state is put back.
func (c cell) replicas() []string {
	return map[string][]string{"station": {"a"}, "centre": {"centre"}, "both": {"a", "centre"}, "clone": {"a"}}[c.who]
}

// sum is what a run or a cell came to.
type sum struct {
	spot                                    spot
	texts                                   map[int][]string
	points, typed, back, journal, destroyed int
	took                                    time.Duration
	findings                                []string
	story                                   []string
}

func (s *sum) add(o sum) {
	s.points, s.typed, s.back, s.journal, s.destroyed = s.points+o.points, s.typed+o.typed, s.back+o.back, s.journal+o.journal, s.destroyed+o.destroyed
	s.took += o.took
	s.findings = append(s.findings, o.findings...)
}

// Run plays all cells, or the one that is asked for.
func (c matrixCmd) Run(ctx context.Context, out io.Writer) error {
	o, err := (runCmd{Dir: c.Dir}).options()
	if err != nil {
		return err
	}
	space.Memory(ctx, memory)
	began, tasks := time.Now(), script(c.Seed, c.Tasks)
	plain, err := rehearse(ctx, o, tasks, spot{seed: c.Seed, at: -1}, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "script %d: %d tasks, %d values typed without anything put back\n", c.Seed, c.Tasks, plain.typed)
	fmt.Fprintf(out, "  %-9s %-9s %6s %8s %10s %12s %10s %9s %8s\n", "restored", "from", "points", "typed", "came back", "from journal", "destroyed", "findings", "seconds")
	var all sum
	all.add(plain)
	var bad []sum
	for _, cell := range cells() {
		if c.Who != "" && c.Who != cell.who || c.How != "" && c.How != cell.how {
			continue
		}
		from := time.Now()
		got, err := c.play(ctx, o, tasks, cell, plain.texts)
		if err != nil {
			return fmt.Errorf("%s from %s: %w", cell.who, cell.how, err)
		}
		var row sum
		for _, g := range got {
			row.add(g)
			if len(g.findings) > 0 {
				bad = append(bad, g)
			}
		}
		row.took = time.Since(from)
		all.add(row)
		row.print(out, cell.who, cell.how)
		if c.First && len(bad) > 0 {
			break
		}
	}
	all.took = time.Since(began)
	all.print(out, "all", "")
	if len(bad) > 0 {
		fmt.Fprintf(out, "first finding: %s from %s, point %d: %s\n", bad[0].spot.who, bad[0].spot.how, bad[0].spot.n, bad[0].findings[0])
	}
	for _, b := range bad[:min(c.Show, len(bad))] {
		short, err := shorter(ctx, o, tasks, b, plain.texts)
		if err != nil {
			return err
		}
		short.draw(out)
	}
	if len(all.findings) > 0 {
		return errFindings
	}
	return nil
}

func (s *sum) print(out io.Writer, who, how string) {
	fmt.Fprintf(out, "  %-9s %-9s %6d %8d %10d %12d %10d %9d %8.1f\n", who, how, s.points, s.typed, s.back, s.journal, s.destroyed, len(s.findings), s.took.Seconds())
}

// draw tells the story of a run with findings.
func (s *sum) draw(out io.Writer) {
	fmt.Fprintf(out, "\n%s from %s, point %d:\n", s.spot.who, s.spot.how, s.spot.n)
	for _, line := range s.story {
		fmt.Fprintf(out, "    %s\n", line)
	}
	for _, line := range s.findings {
		fmt.Fprintf(out, "  finding: %s\n", line)
	}
}

// play plays the points of a cell on all cores.
func (c matrixCmd) play(ctx context.Context, o Options, tasks []task, of cell, reference map[int][]string) ([]sum, error) {
	spots := of.spots(c.Seed, len(tasks), c.Points)
	if c.Point >= 0 {
		spots = spots[min(c.Point, len(spots)):min(c.Point+1, len(spots))]
	}
	out, errs := make([]sum, len(spots)), make([]error, len(spots))
	next := make(chan int)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := range next {
				out[i], errs[i] = rehearse(ctx, o, tasks, spots[i], reference)
			}
		})
	}
	for i := range spots {
		next <- i
	}
	close(next)
	all.Wait()
	return out, errors.Join(errs...)
}

// shorter leaves out tasks for as long as something is found.
func shorter(ctx context.Context, o Options, tasks []task, bad sum, reference map[int][]string) (sum, error) {
	for size := len(tasks) / 2; size > 0; size /= 2 {
		for from := firsts; from < len(tasks); from += size {
			try := bad.spot
			try.skip = maps.Clone(try.skip)
			if try.skip == nil {
				try.skip = map[int]bool{}
			}
			for i := from; i < min(from+size, len(tasks)); i++ {
				try.skip[i] = true
			}
			if len(try.skip) == len(bad.spot.skip) {
				continue
			}
			got, err := rehearse(ctx, o, tasks, try, reference)
			if err != nil {
				return bad, err
			}
			if len(got.findings) > 0 && gist(got.findings[0]) == gist(bad.findings[0]) {
				bad = got
			}
		}
	}
	return bad, nil
}

// gist is a finding without names and numbers, which differ from run to run.
func gist(finding string) string {
	first, _, _ := strings.Cut(finding, "\n")
	return regexp.MustCompile(`[a-z2-7]{16}-|[0-9]`).ReplaceAllString(first, "")
}

// rehearse plays the script once, puts back what the spot says, lets all links work in
// the end, and holds what comes of it against what people typed. Its error is one of the
// machine.
func rehearse(ctx context.Context, o Options, tasks []task, s spot, reference map[int][]string) (out sum, err error) {
	began := time.Now()
	dir, err := os.MkdirTemp(o.Dir, "matrix")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	w, err := newWorld(o, dir, s.seed, false)
	if err != nil {
		return out, fmt.Errorf("make a world: %w", err)
	}
	defer w.close()
	p := newPlay(w, tasks, s.skip)
	out = sum{spot: s, points: 1}
	for i := range tasks {
		for label, at := range s.taken {
			if at == i {
				p.keep(p.named(label), s.how)
			}
		}
		if i == s.at {
			out.journal, out.destroyed = p.putBack(ctx, s)
		}
		p.step(i)
		if w.broken != nil || ctx.Err() != nil {
			return out, errors.Join(w.broken, ctx.Err())
		}
	}
	p.end()
	p.judge(reference)
	out.typed, out.back, out.texts = p.typed(), p.cameBack(), p.texts()
	out.findings, out.story, out.took = w.wrong, w.story, time.Since(began)
	return out, w.broken
}

// keep keeps a state of a replica for later: its folder, or a backup that the product
// makes of it, and its key.
func (p *play) keep(r *replica, how string) {
	if how != "backup" {
		p.kept[r.label] = p.copyOf(r.dir)
		return
	}
	dir := p.folder()
	path := filepath.Join(dir, "backup")
	p.fail(os.Mkdir(dir, 0o700))
	p.fail(backup.Save(path, func(out io.Writer) error { return r.Backup(context.Background(), out) },
		func(in io.Reader) error { return r.CheckBackup(context.Background(), in) }))
	key, err := os.ReadFile(filepath.Join(r.dir, store.KeyFile))
	p.fail(errors.Join(err, os.WriteFile(filepath.Join(dir, store.KeyFile), key, 0o600)))
	p.kept[r.label] = dir
}

// folderFrom makes the folder that a replica goes on from.
func (p *play) folderFrom(ctx context.Context, r *replica, how string) string {
	kept := p.kept[r.label]
	switch how {
	case "folder":
		return p.copyOf(kept)
	case "database":
		dir := p.copyOf(r.dir)
		old, err := os.ReadFile(filepath.Join(kept, layout.DatabaseFile))
		p.fail(errors.Join(err, os.WriteFile(filepath.Join(dir, layout.DatabaseFile), old, 0o600)))
		return dir
	}
	dir := p.folder()
	in, err := os.Open(filepath.Join(kept, "backup"))
	if err != nil {
		p.fail(err)
		return dir
	}
	defer in.Close()
	p.fail(backup.Restore(ctx, dir, in, seal.KeyFile(filepath.Join(kept, store.KeyFile))))
	key, err := os.ReadFile(filepath.Join(kept, store.KeyFile))
	p.fail(errors.Join(err, os.WriteFile(filepath.Join(dir, store.KeyFile), key, 0o600)))
	return dir
}

// putBack lets replicas go on from the states that were kept of them, or a clone begin
// with one, and tells how many tasks the journal gave back and how many are nowhere any
// more.
func (p *play) putBack(ctx context.Context, s spot) (journal, destroyed int) {
	for _, t := range p.model.missing(p.surviving()) {
		p.bad("%s is lost, and nothing took it away", t)
	}
	rng := rand.New(rand.NewPCG(s.seed, 6))
	var back []*replica
	tops := map[*replica]uint64{}
	for _, label := range s.replicas() {
		r := p.named(label)
		lives, err := r.Lives(math.MaxInt)
		p.fail(err)
		p.remember(r)
		had, dir := p.has(r), p.folderFrom(ctx, r, s.how)
		if s.who == "clone" {
			if r = p.clone(r, dir); r == nil {
				return 0, 0
			}
		} else {
			p.reopen(r, dir)
			p.say("%-7s goes on from a %s of before task %d", r.label, s.how, s.taken[label])
		}
		if p.broken != nil {
			return 0, 0
		}
		back, tops[r] = append(back, r), p.top(lives)
		now := p.has(r)
		for i := range had {
			if e := p.entries[i]; now[i] && e.at == label && i >= s.taken[label] {
				journal++
			}
			if !now[i] {
				p.away[i] = append(p.away[i], r)
			}
		}
		p.happened["station restored"]++
		if label == "centre" {
			p.model.restores++
		}
	}
	destroyed = p.takeStock()
	if destroyed > 0 && (s.how == "database" || s.who == "clone") {
		p.bad("%d tasks are nowhere any more, though nothing was taken away", destroyed)
	}
	for _, r := range back {
		for n := 0; n < 2 || s.overtake && p.last.N <= tops[r] && n < 500; n++ {
			p.more(r, rng)
		}
	}
	return journal, destroyed
}

// clone opens a second PC of a station, at which every second task of it is done from
// now on.
func (p *play) clone(of *replica, dir string) *replica {
	r := &replica{label: of.label + "'", name: of.name, up: of.up, left: -1, known: of.known}
	if err := p.open(r, dir); err != nil {
		p.bad("a clone of %s does not open: %v", of.label, err)
		p.fail(err)
		return nil
	}
	p.stations = append(p.stations, r)
	p.second = r
	p.say("%-7s is a clone of %s", r.label, of.label)
	return r
}

// has are the tasks whose values a replica has.
func (p *play) has(r *replica) map[int]bool {
	out := map[int]bool{}
	for i, e := range p.entries {
		if e.done && e.value != "" && e.kind != tDelete && e.kind != tGrant && kept(r, e.key)[e.value] {
			out[i] = true
		}
	}
	return out
}

// cameBack counts the tasks that a replica had lost and has again.
func (p *play) cameBack() int {
	n := 0
	for i, all := range p.away {
		for _, r := range all {
			if kept(r, p.entries[i].key)[p.entries[i].value] {
				n++
			}
		}
	}
	return n
}

func (p *play) typed() int {
	n := 0
	for i, e := range p.entries {
		if e.done && e.kind != tGrant && e.kind != tDelete && i >= firsts {
			n++
		}
	}
	return n
}

// step does the next task of the script.
func (p *play) step(i int) {
	rng := rand.New(rand.NewPCG(uint64(i), 7))
	e := p.entries[i]
	if e.kind != tExchange {
		if !e.done {
			p.waiting = append(p.waiting, i)
		}
	} else {
		p.catchUp(p.named(e.at), rng)
		if e.at == "b" && p.second != nil {
			p.catchUp(p.second, rng)
		}
	}
	p.retry()
}

// end lets all links work, and what waited be done.
func (p *play) end() {
	rng := rand.New(rand.NewPCG(0, 0))
	p.say("        all links work from here on")
	p.rest(rng)
	for left := -1; left != len(p.waiting); {
		left = len(p.waiting)
		p.retry()
		p.rest(rng)
	}
	for _, i := range p.waiting {
		p.bad("task %d, %s at %s, cannot be done", i, p.entries[i].kind, p.entries[i].at)
	}
}

// judge holds the replicas against what people typed and against a run without anything
// put back.
func (p *play) judge(reference map[int][]string) {
	for _, r := range p.everybody() {
		p.remember(r)
	}
	p.nothingLost()
	p.allThere()
	p.allEqual()
	p.greenIsTrue()
	p.receipted()
	p.differs(reference)
	p.sound()
}
