//go:build linux && (amd64 || arm64)

package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tram/store/storetest/torture/judge"
	"tram/store/storetest/torture/story"
)

// fullCmd fills disks.
type fullCmd struct {
	Seed uint64 `help:"Seed of the work; 0 draws one."`
	Only string `help:"Only the stages whose names hold this text."`
	Work string `help:"Folder for images and stories; made anew." default:".build/torture/full" type:"path"`
}

// stage is one way in which a disk becomes full.
type stage struct {
	name string
	kind string // of file system
	mib  int
	// what is on it: the data folder, the journal, or both.
	data, journal bool
	writes        uint64 // what fill writes: 0 records, 1 attachments first, 2 both
	// eaten is what others leave of it, in KiB, before the store is opened anew; -1
	// where they take nothing. Slowly says that they take it while the store writes.
	eaten  int
	slowly bool
	bare   bool // the store keeps no room back
}

// room is what is taken away and given back, in KiB: enough to go on.
func (s stage) room() int { return s.mib << 10 / 4 }

func stages() []stage {
	var out []stage
	for _, fs := range []struct {
		kind string
		mib  int
	}{{"tmpfs", 12}, {"ext4", 16}, {"ext4", 64}, {"btrfs", 64}} {
		for writes, what := range []string{"records", "attachments first", "both"} {
			s := stage{name: fmt.Sprintf("%s %d MiB, %s", fs.kind, fs.mib, what), kind: fs.kind, mib: fs.mib, data: true, journal: true, writes: uint64(writes), eaten: -1, bare: true}
			out = append(out, s)
			if s.name, s.bare = s.name+", kept", false; fs.kind != "ext4" || fs.mib < 64 {
				out = append(out, s)
			}
		}
	}
	out = append(out,
		stage{name: "journal first", kind: "ext4", mib: 12, journal: true, eaten: -1, bare: true},
		stage{name: "database first", kind: "ext4", mib: 12, data: true, eaten: -1, bare: true},
		stage{name: "others, slowly", kind: "ext4", mib: 32, data: true, journal: true, writes: 2, slowly: true, bare: true},
		stage{name: "others, slowly, kept", kind: "ext4", mib: 32, data: true, journal: true, writes: 2, slowly: true})
	for _, kib := range []int{0, 16, 64, 256, 1024, 1100, 2048} {
		out = append(out, stage{name: fmt.Sprintf("a new store, %d KiB left", kib), kind: "ext4", mib: 16, data: true, journal: true, eaten: kib, bare: true})
	}
	return out
}

func (c fullCmd) Run(ctx context.Context, out io.Writer) (err error) {
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano()) >> 10
	}
	if err := errors.Join(os.RemoveAll(c.Work), os.MkdirAll(c.Work, 0o700)); err != nil {
		return err
	}
	run := &filler{fullCmd: c, ctx: ctx, out: out, court: newCourt(ctx)}
	defer func() { err = errors.Join(err, run.court.close()) }()
	fmt.Fprintf(out, "seed %d\n%-34s %8s %8s %9s %9s %9s\n", c.Seed, "full by", "saved", "refused", "full", "with room", "findings")
	wrong := 0
	for _, s := range stages() {
		if !strings.Contains(s.name, c.Only) {
			continue
		}
		n, err := run.stage(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		wrong += n
	}
	if wrong > 0 || !run.planted {
		return fmt.Errorf("%d stages lost something; the planted fault found: %t", wrong, run.planted)
	}
	return nil
}

type filler struct {
	fullCmd
	ctx     context.Context
	out     io.Writer
	court   *court
	planted bool
}

// stage fills one disk, judges it full, gives room back and judges it again.
func (r *filler) stage(s stage) (wrong int, err error) {
	small := &volume{kind: s.kind, mib: s.mib, image: filepath.Join(r.Work, "image"), dir: filepath.Join(r.Work, "small")}
	if err := small.mount(r.ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, small.unmount()) }()
	f, err := newFolder(r.Work, "large")
	if err != nil {
		return 0, err
	}
	f.journal = filepath.Join(r.Work, "large", "journal")
	if s.data {
		f.dir = filepath.Join(small.dir, "data")
	}
	if s.journal {
		f.journal = filepath.Join(small.dir, "journal")
	}
	if err := small.take(s.room()); err != nil {
		return 0, err
	}
	if s.eaten >= 0 && !s.slowly {
		err = small.leave(s.eaten)
	}
	if err != nil {
		return 0, err
	}
	stop := func() error { return nil }
	if s.slowly {
		stop = small.eat()
	}
	told, err := perform(r.ctx, play{Script: "fill", Dir: f.dir, Journal: f.journal, Seed: r.Seed - r.Seed%3 + s.writes, Bare: s.bare})
	if err = errors.Join(err, stop(), f.hear(told)); err != nil {
		fmt.Fprintf(r.out, "FOUND: %s: %v\n", s.name, err)
		return 1, r.ctx.Err()
	}
	if err := small.leave(0); err != nil { // others take the last of it
		return 0, err
	}
	_, spent := os.Stat(filepath.Join(f.dir, "ballast"))
	full, err := f.judge(r.court, judge.Case{Full: true})
	if err != nil {
		return 0, err
	}
	if err := small.give(); err != nil {
		return 0, err
	}
	if spent != nil && slices.ContainsFunc(full.Wrong, judge.Shut) { // without room that is kept back it need not open
		full.How, full.Wrong = "shut", nil
	}
	after, err := f.judge(r.court, judge.Case{Thorough: true})
	if err != nil {
		return 0, err
	}
	for _, v := range []judge.Verdict{full, after} {
		if len(v.Wrong) > 0 {
			wrong++
		}
	}
	fmt.Fprintf(r.out, "%-34s %8d %8d %9s %9s %9d\n", s.name, f.saved(), f.refused(), full.How, after.How, wrong)
	if len(full.Wrong) > 0 {
		fmt.Fprintln(r.out, found("while the disk is full", full))
	}
	if len(after.Wrong) > 0 {
		fmt.Fprintln(r.out, found("with room again", after))
	}
	if f.refused() == 0 && f.saved() > 0 {
		return 0, errors.New("the disk did not fill")
	}
	return wrong, r.plant(f)
}

// plant takes a refused write for an acknowledged one: that must be found, once in
// a run.
func (r *filler) plant(f *folder) error {
	i := slices.IndexFunc(f.marks, func(m story.Mark) bool {
		return m.Word == story.Refused && len(f.asked(m.ID).Writes) == 1
	})
	if r.planted || i < 0 {
		return nil
	}
	lied := *f
	lied.marks = slices.Clone(f.marks)
	lied.marks[i].Word, lied.marks[i].Names = story.Saved, []string{"never-1"}
	lied.marks = slices.DeleteFunc(lied.marks, func(m story.Mark) bool { return m.Word == story.Settled && m.ID == f.marks[i].ID })
	v, err := lied.judge(r.court, judge.Case{})
	r.planted = len(v.Wrong) > 0
	fmt.Fprintf(r.out, "planted: a refused write taken for a saved one: found %t\n", r.planted)
	return err
}

// asked is what was asked for under a number.
func (f *folder) asked(id int64) story.Asked {
	for _, m := range f.marks {
		if m.Word == story.Begun && m.ID == id {
			return m.Asked
		}
	}
	return story.Asked{}
}

// refused counts what was not acknowledged.
func (f *folder) refused() (n int) {
	for _, m := range f.marks {
		if m.Word == story.Refused || m.Word == story.Unknown {
			n++
		}
	}
	return n
}
