//go:build linux && (amd64 || arm64)

package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tram/store/storetest/torture/judge"
	"tram/store/storetest/torture/story"
)

// folder is a store on a real file system, with the story of all its lives.
type folder struct {
	dir     string
	journal string
	story   string
	marks   []story.Mark
}

func newFolder(work, name string) (*folder, error) {
	f := &folder{dir: filepath.Join(work, name), story: filepath.Join(work, name+".story")}
	if err := os.RemoveAll(f.dir); err != nil {
		return nil, err
	}
	return f, os.MkdirAll(f.dir, 0o700)
}

// last is the highest number that was asked for.
func (f *folder) last() (n int64) {
	for _, m := range f.marks {
		n = max(n, m.ID)
	}
	return n
}

// hear takes in what a process told.
func (f *folder) hear(told []byte) error {
	marks, err := story.Parse(told)
	if err != nil {
		return err
	}
	f.marks = append(f.marks, marks...)
	return nil
}

// saved counts what was acknowledged to scripts.
func (f *folder) saved() (n int) {
	for _, m := range f.marks {
		if m.Word == story.Saved && m.ID > 0 {
			n++
		}
	}
	return n
}

// judge judges the folder as it is, and learns what became of what was begun.
func (f *folder) judge(c *court, how judge.Case) (judge.Verdict, error) {
	var all bytes.Buffer
	for _, m := range f.marks {
		b, err := json.Marshal(m)
		if err != nil {
			return judge.Verdict{}, err
		}
		all.Write(append(b, '\n'))
	}
	if err := os.WriteFile(f.story, all.Bytes(), 0o600); err != nil {
		return judge.Verdict{}, err
	}
	how.Dir, how.Journal = f.dir, f.journal
	v := c.one(trial{Case: how, Story: f.story, Marks: len(f.marks)})
	f.marks = append(f.marks, v.Settled...)
	return v, nil
}

// drop removes the folder.
func (f *folder) drop() error { return os.RemoveAll(f.dir) }

// found says what is wrong.
func found(what string, v judge.Verdict) string {
	return fmt.Sprintf("FOUND: %s\n  %s", what, strings.Join(v.Wrong, "\n  "))
}
