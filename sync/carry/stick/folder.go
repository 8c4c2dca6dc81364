package stick

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tram/store/seal"
	"tram/sync/status"
	"tram/sync/trust"
)

// Folder is the folder of a stick that holds files of both directions.
const Folder = "tram"

// maxFiles bounds how many files of a stick are looked at.
const maxFiles = 4096

// nameOf is a file's name on a stick; it says nothing of people.
func nameOf(replica, dir string, n uint64) string {
	return fmt.Sprintf("tram-%s-%s-%d.tram", replica, dir, n)
}

// entry is a file on a stick, by its name alone.
type entry struct {
	name, replica, dir string
	n                  uint64
}

func entryOf(name string) (entry, bool) {
	rest, ok := strings.CutPrefix(name, "tram-")
	rest, ok2 := strings.CutSuffix(rest, ".tram")
	i := strings.LastIndexByte(rest, '-')
	if !ok || !ok2 || i < 0 {
		return entry{}, false
	}
	n, err := strconv.ParseUint(rest[i+1:], 10, 64)
	j := strings.LastIndexByte(rest[:i], '-')
	if err != nil || j < 0 {
		return entry{}, false
	}
	e := entry{name, rest[:j], rest[j+1 : i], n}
	return e, trust.ValidName(e.replica) && (e.dir == up || e.dir == down)
}

// Request tells whether a file of a stick, by its name, is what a station wrote.
func Request(name string) bool {
	e, ok := entryOf(strings.TrimSuffix(name, part))
	return ok && e.dir == up
}

// Maker is the replica that a request's name names; "" for any other name. Names
// prove nothing.
func Maker(name string) string {
	e, ok := entryOf(name)
	if !ok || e.dir != up {
		return ""
	}
	return e.replica
}

// part ends the name of a file that is not written whole yet.
const part = ".part"

// place is the folder of a stick, open. Nothing outside is reached through it.
type place struct {
	root *os.Root
	path string
}

// enter opens the folder in dir, which is made where make is set.
func enter(dir string, make bool) (*place, error) {
	path := filepath.Join(dir, Folder)
	if make {
		if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &place{root, path}, nil
}

// list names the files of a direction, those of lower numbers first.
func (p *place) list(is func(entry) bool) ([]entry, error) {
	f, err := p.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxFiles)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var out []entry
	for _, name := range names {
		if e, ok := entryOf(name); ok && is(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.replica, b.replica), cmp.Compare(a.n, b.n))
	})
	return out, nil
}

// read reads a file whole; what is no plain file, or too large, is refused unread.
// Its error is a refusal.
func (p *place) read(name string) ([]byte, error) {
	info, err := p.root.Lstat(name)
	if err != nil {
		return nil, refusal{status.StickAltered}
	}
	if !info.Mode().IsRegular() {
		return nil, refusal{status.StickAltered}
	}
	if info.Size() > MaxFile {
		return nil, refusal{status.StickLarge}
	}
	f, err := p.root.Open(name)
	if err != nil {
		return nil, refusal{status.StickAltered}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil { // a bad place on the stick; the files beside it may be good
		return nil, refusal{status.StickAltered}
	}
	return b, nil
}

// write writes a file aside, syncs it and gives it its name. A stick's file system
// may keep no rights, so none are set.
func (p *place) write(f File) error {
	aside := f.Name + part
	w, err := p.root.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = w.Write(f.Bytes)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return errors.Join(err, p.root.Remove(aside))
	}
	if err := p.root.Rename(aside, f.Name); err != nil {
		return err
	}
	return seal.SyncDir(p.path)
}

// drop removes what its maker wrote before, and tells which: the newer file says all
// of it.
func (p *place) drop(replica, dir string, before uint64) (gone []uint64, err error) {
	old, err := p.list(func(e entry) bool { return e.replica == replica && e.dir == dir && e.n < before })
	for _, e := range old {
		if bad := p.root.Remove(e.name); bad != nil {
			err = errors.Join(err, bad)
			continue
		}
		gone = append(gone, e.n)
	}
	return gone, err
}

// Asker is a station at a stick: the station itself, or who speaks with it.
type Asker interface {
	// Make makes the next request. It may be called again; each has its own number.
	Make(ctx context.Context) (File, error)
	// Take takes an answer; the same again changes nothing. Its error lasts no
	// longer than what is wrong at the station.
	Take(ctx context.Context, b []byte) (Result, error)
	// Note is told of each file that yielded nothing, for people to read. It may be
	// called again for one file.
	Note(ctx context.Context, code status.Stick) error
	// Replaced is told which requests a later one took the place of on a stick, for
	// people to read. It may be called again.
	Replaced(ctx context.Context, n []uint64) error
}

// Outcome is what became of one file of a stick.
type Outcome struct {
	File string
	Result
}

// Read takes every answer for a replica that lies on the stick mounted at dir.
func Read(ctx context.Context, dir, replica string, s Asker) ([]Outcome, error) {
	p, err := enter(dir, false)
	if err != nil {
		return nil, fmt.Errorf("read the stick: %w", err)
	}
	defer p.root.Close()
	files, err := p.list(func(e entry) bool { return e.dir == down && e.replica == replica })
	if err != nil {
		return nil, fmt.Errorf("read the stick: %w", err)
	}
	var out []Outcome
	for _, e := range files {
		b, err := p.read(e.name)
		res, _ := told(Result{}, err)
		if err == nil {
			if res, err = s.Take(ctx, b); err != nil {
				return out, err
			}
		}
		out = append(out, Outcome{e.name, res})
		if res.Code.Taken() {
			continue
		}
		if err := s.Note(ctx, res.Code); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Write puts the next request onto the stick mounted at dir, in place of this
// replica's earlier ones there, and returns its name.
func Write(ctx context.Context, dir, replica string, s Asker) (string, error) {
	if _, err := os.Stat(dir); err != nil { // before a number is given
		return "", fmt.Errorf("write to the stick: %w", err)
	}
	f, err := s.Make(ctx)
	if err != nil {
		return "", err
	}
	p, err := enter(dir, true)
	if err != nil {
		return "", fmt.Errorf("write to the stick: %w", err)
	}
	defer p.root.Close()
	e, ok := entryOf(f.Name)
	if !ok || e.replica != replica || e.dir != up {
		return "", fmt.Errorf("write to the stick: a file without a name")
	}
	if err := p.write(f); err != nil {
		return "", fmt.Errorf("write to the stick: %w", err)
	}
	gone, err := p.drop(replica, up, e.n)
	if len(gone) > 0 {
		err = errors.Join(err, s.Replaced(ctx, gone))
	}
	return f.Name, err
}

// Visit takes every request that lies on the stick mounted at dir, and puts the
// answers beside them.
func (c *Centre) Visit(ctx context.Context, dir string) ([]Outcome, error) {
	p, err := enter(dir, false)
	if err != nil {
		return nil, fmt.Errorf("read the stick: %w", err)
	}
	defer p.root.Close()
	files, err := p.list(func(e entry) bool { return e.dir == up })
	if err != nil {
		return nil, fmt.Errorf("read the stick: %w", err)
	}
	var out []Outcome
	for _, e := range files {
		var answer File
		b, err := p.read(e.name)
		res, _ := told(Result{}, err)
		if err == nil {
			if res, answer, err = c.Take(ctx, b); err != nil {
				return out, err
			}
		}
		out = append(out, Outcome{e.name, res})
		if answer.Name == "" {
			continue
		}
		if err := p.write(answer); err != nil {
			return out, fmt.Errorf("write to the stick: %w", err)
		}
		if _, err := p.drop(res.Station, down, res.N); err != nil {
			return out, fmt.Errorf("write to the stick: %w", err)
		}
	}
	return out, nil
}
