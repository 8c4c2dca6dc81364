package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// peer is another way to keep records: a program that reads the same files and
// prints its figures as one line of JSON. See testdata/peers.
type peer struct {
	name string
	run  []string
	// limit is how many records it is given beside all people; 0 is all.
	limit int
}

// peers are those that are named in the options.
func peers(o Options) (out []peer) {
	if o.SQLite != "" {
		out = append(out, peer{sqlite, []string{o.SQLite}, 0})
	}
	if o.PouchDB != "" {
		out = append(out, peer{pouchdb, []string{"node", o.PouchDB}, o.PouchRecords})
	}
	return out
}

// The peers.
const (
	sqlite  = "SQLite"
	pouchdb = "PouchDB"
)

// tell runs the program and reads its line into v.
func (p peer) tell(ctx context.Context, v any, args ...string) error {
	cmd := exec.CommandContext(ctx, p.run[0], append(p.run[1:], args...)...)
	return tell(cmd, p.name, v)
}

// tell runs a program that prints one line of JSON.
func tell(cmd *exec.Cmd, name string, v any) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := json.Unmarshal(out.Bytes(), v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// maker lets the program write: each write alone, on the disk before it counts.
func (p peer) maker(file, dir string) maker {
	write := func(ctx context.Context, writers int, d time.Duration) (s score, err error) {
		var t struct {
			Took  int64   `json:"took"` // microseconds, as are the waits
			Waits []int64 `json:"waits"`
			Held  int     `json:"held"` // how many records this run left
		}
		if err := p.tell(ctx, &t, "write", "--file", file, "--dir", dir, "--writers", strconv.Itoa(writers), "--ms", strconv.FormatInt(d.Milliseconds(), 10)); err != nil {
			return s, err
		}
		if t.Held != len(t.Waits) || t.Held == 0 {
			return s, fmt.Errorf("%d writes left %d records", len(t.Waits), t.Held)
		}
		s = score{n: t.Held, commits: t.Held, took: time.Duration(t.Took) * time.Microsecond}
		for _, w := range t.Waits {
			s.waits = append(s.waits, time.Duration(w)*time.Microsecond)
		}
		return s, nil
	}
	return maker{p.name + ": single puts", 1, write}
}

// keep lets the program load a corpus and then, started anew, answer the questions.
func (p peer) keep(ctx context.Context, c Corpus, questions, dir string) (loaded, answered told, err error) {
	args := []string{"load", "--file", c.File, "--dir", dir}
	if p.limit > 0 {
		args = append(args, "--limit", strconv.Itoa(p.limit))
	}
	if err := p.tell(ctx, &loaded, args...); err != nil {
		return loaded, answered, err
	}
	if p.limit == 0 && loaded.Records != c.Records {
		return loaded, answered, fmt.Errorf("%s holds %d records, it was given %d", p.name, loaded.Records, c.Records)
	}
	return loaded, answered, p.tell(ctx, &answered, "ask", "--questions", questions, "--dir", dir)
}

// agree holds the hits of two sides against each other, question by question:
// whoever finds more or less looked for something else.
func agree(name string, ours, theirs map[string]row) error {
	var wrong []string
	for kind, r := range theirs {
		have, n := ours[kind].Hits, len(r.Hits)
		if n == 0 || n > len(have) || n != len(r.Waits) || !slices.Equal(r.Hits, have[:n]) {
			wrong = append(wrong, kind)
		}
	}
	if len(wrong) > 0 || len(theirs) == 0 {
		return fmt.Errorf("%s finds something else than the store: %s", name, strings.Join(wrong, "; "))
	}
	return nil
}
