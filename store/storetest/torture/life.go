//go:build linux && (amd64 || arm64)

package torture

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"tram/store/storetest/torture/disk"
	"tram/store/storetest/torture/story"
	"tram/store/storetest/torture/tape"
)

// life is one recorded life of a store.
type life struct {
	Name  string
	Top   bool
	Ops   []disk.Op
	story string // a file of its marks
}

// record lets a script play on the tape. Where the script itself fails, the life
// is returned beside the error.
func record(ctx context.Context, m *tape.Mount, work, script string, seed uint64) (*life, error) {
	t, dir, marks := m.Folder(script)
	aside := filepath.Join(work, "aside", script)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return nil, err
	}
	_, err := perform(ctx, play{Script: script, Dir: dir, Aside: aside, Seed: seed, Marks: marks})
	l := &life{Name: script, Top: script == "centre", Ops: t.Ops()}
	if err == nil {
		err = l.tell(work)
	}
	return l, err
}

// tell writes the life's marks into a file.
func (l *life) tell(work string) error {
	l.story = filepath.Join(work, l.Name+".story")
	var all bytes.Buffer
	for _, op := range l.Ops {
		if op.Kind == disk.Mark {
			all.Write(op.Data)
		}
	}
	return os.WriteFile(l.story, all.Bytes(), 0o600)
}

// keep writes the life into a file, for a state to be made again.
func (l *life) keep(work string) error {
	f, err := os.Create(filepath.Join(work, l.Name+".tape"))
	if err != nil {
		return err
	}
	defer f.Close()
	return gob.NewEncoder(f).Encode(l)
}

// kept reads what keep wrote.
func kept(work, name string) (*life, error) {
	f, err := os.Open(filepath.Join(work, name+".tape"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l := &life{}
	if err := gob.NewDecoder(f).Decode(l); err != nil {
		return nil, err
	}
	return l, l.tell(work)
}

// cut is a moment of a life: how many operations were done, how many marks were
// told, and how many of these were answers.
type cut struct{ prefix, marks, answers int }

// walk plays a life and stops wherever an image may be one of its own: a mark
// changes no disk, and what comes after it is held to more.
func (l *life) walk(at func(cut, *disk.Disk) error) error {
	d := disk.New()
	var c cut
	for i, op := range l.Ops {
		d.Do(op)
		c.prefix++
		if op.Kind == disk.Mark {
			c.marks++
			if !bytes.Contains(op.Data, []byte(`"is":"`+story.Begun+`"`)) {
				c.answers++
			}
		}
		if i+1 < len(l.Ops) && l.Ops[i+1].Kind == disk.Mark {
			continue
		}
		if err := at(c, d); err != nil {
			return err
		}
	}
	return nil
}

// prefixes counts the moments.
func (l *life) prefixes() (n int) {
	l.walk(func(cut, *disk.Disk) error { n++; return nil })
	return n
}

// state is an image of a life to be judged: its draws, by prefix.
type state struct {
	prefix, number int
	sum            uint64
}

// draws bounds how often the dice are thrown for one prefix.
const draws = 400

// plan finds about so many images that differ, spread over all prefixes. Of equal
// images those are kept too that are held to more.
func (l *life) plan(seed uint64, want int) []state {
	type strict struct {
		sum     uint64
		answers int
	}
	var out []state
	seen, distinct := map[strict]bool{}, map[uint64]bool{}
	for n := 0; n < draws && len(distinct) < want; n++ {
		l.walk(func(c cut, d *disk.Disk) error {
			number := disk.Number(c.prefix, n)
			v, dice := disk.Draw(seed, c.prefix, number)
			sum := d.Image(v, dice).Sum
			if k := (strict{sum, c.answers}); !seen[k] {
				seen[k], distinct[sum] = true, true
				out = append(out, state{c.prefix, number, sum})
			}
			return nil
		})
	}
	if over := len(distinct) - want; over > 0 {
		dice := rand.New(rand.NewPCG(seed, 1))
		drop := map[uint64]bool{}
		for _, s := range out {
			if _, thrown := drop[s.sum]; !thrown {
				drop[s.sum] = dice.IntN(len(distinct)) < over
			}
		}
		out = slices.DeleteFunc(out, func(s state) bool { return drop[s.sum] })
	}
	return out
}

// String names the state for a command line.
func (s state) String() string { return fmt.Sprintf("%d:%d", s.prefix, s.number) }

// byPrefix are the draws of each prefix.
func byPrefix(states []state) map[int][]state {
	out := map[int][]state{}
	for _, s := range states {
		out[s.prefix] = append(out[s.prefix], s)
	}
	return out
}

// fault is a product or a disk that does not do as it should.
type fault struct {
	name string
	of   func(*life, uint64) *life
}

// faults are planted to see that they are found.
func faults() []fault {
	return []fault{
		{"the journal is never synced", func(l *life, _ uint64) *life {
			journal := l.inJournal()
			return l.without(func(op disk.Op) bool { return op.Kind == disk.Sync && journal[op.Node] })
		}},
		{"a disk that ignores one sync in twenty", func(l *life, seed uint64) *life {
			dice := rand.New(rand.NewPCG(seed, 2))
			return l.without(func(op disk.Op) bool {
				return (op.Kind == disk.Sync || op.Kind == disk.SyncDir) && dice.IntN(20) == 0
			})
		}},
	}
}

func (l *life) without(drop func(disk.Op) bool) *life {
	out := *l
	out.Ops = slices.DeleteFunc(slices.Clone(l.Ops), drop)
	return &out
}

// inJournal are the nodes that were made in the journal's folder.
func (l *life) inJournal() map[int]bool {
	in, out := -1, map[int]bool{}
	for _, op := range l.Ops {
		switch {
		case op.Kind == disk.Mkdir && op.Dir == 0 && op.Name == "journal":
			in = op.Node
		case op.Kind == disk.Create && op.Dir == in:
			out[op.Node] = true
		}
	}
	return out
}
