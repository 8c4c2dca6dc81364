// Package judge opens what a cut left of a store and holds it against the story
// that the store's process told.
//
// It owns the verdict. It promises that a store passes only where it opens by
// itself, passes its own check, holds all that was acknowledged, nothing of what
// was refused, what was begun whole or not at all, and can be written to, closed
// and opened again; and, where asked, that the journal alone makes every version
// again. It does not know what was done to the disk.
package judge

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/storetest/torture/act"
	"tram/store/storetest/torture/story"
)

// Case is a folder to judge.
type Case struct {
	Dir     string
	Journal string // "" for the usual folder
	Top     bool
	// Thorough checks once more after the store was opened again, and judges whether
	// the journal alone makes every version again. The database is removed for it.
	Thorough bool
	// Full says that the disk has no room: what must still work is opening and
	// reading.
	Full bool
}

// How a store opened.
const (
	Straight = "straight"
	Replayed = "replayed" // its journal had more than its database
	Repaired = "repaired" // it said that something was wrong
)

// Verdict is what came of it.
type Verdict struct {
	How     string
	Wrong   []string
	Records int // versions that were there
	// Settled tells of everything that was begun and not answered whether it is
	// there.
	Settled []story.Mark
}

// most bounds how many faults of one case are told.
const most = 12

// Judge judges.
func Judge(ctx context.Context, r4 *fhir.R4, c Case, m *story.Model) Verdict {
	j := &judge{ctx: ctx, r4: r4, c: c, m: m}
	j.first()
	if c.Thorough && len(j.v.Wrong) == 0 {
		j.alone()
	}
	if len(j.v.Wrong) > most {
		j.v.Wrong = append(j.v.Wrong[:most], fmt.Sprintf("and %d more", len(j.v.Wrong)-most))
	}
	return j.v
}

type judge struct {
	ctx context.Context
	r4  *fhir.R4
	c   Case
	m   *story.Model
	v   Verdict
}

func (j *judge) wrong(format string, args ...any) {
	j.v.Wrong = append(j.v.Wrong, fmt.Sprintf(format, args...))
}

func (j *judge) open() (*store.Store, *ear) {
	heard := &ear{Handler: slog.DiscardHandler}
	s, err := act.Open(j.c.Dir, j.c.Journal, j.c.Top, j.r4, slog.New(heard))
	if err != nil {
		j.wrong("%s%v", shut, err)
		return nil, heard
	}
	return s, heard
}

const shut = "it does not open: "

// Shut tells of something wrong whether it is that the store does not open.
func Shut(wrong string) bool { return strings.HasPrefix(wrong, shut) }

// first opens, compares, writes, and opens once more.
func (j *judge) first() {
	s, heard := j.open()
	j.v.How = heard.how()
	if s == nil {
		return
	}
	j.check(s)
	j.compare(s)
	if j.m.Lineages[string(s.Lineage())] {
		j.wrong("lineage %s was used before", s.Lineage())
	}
	var key record.Key
	if !j.c.Full && len(j.v.Wrong) == 0 {
		key = j.write(s)
	}
	if err := s.Close(); err != nil {
		j.wrong("it does not close: %v", err)
	}
	if len(j.v.Wrong) > 0 || j.c.Full {
		return
	}
	if s, _ = j.open(); s == nil {
		return
	}
	if j.c.Thorough {
		j.check(s)
	}
	if _, err := s.Get(key); err != nil {
		j.wrong("what was written after the cut is not there: %v", err)
	}
	if err := s.Close(); err != nil {
		j.wrong("it does not close again: %v", err)
	}
}

func (j *judge) write(s *store.Store) record.Key {
	key := record.Key{Kind: "Patient", ID: s.NewID()}
	content := fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"text":"after the cut"}]}`, key.ID)
	vs, err := s.Put(j.ctx, store.Write{Key: key, Content: content, Author: "judge"})
	if err != nil {
		j.wrong("nothing can be written: %v", err)
		return key
	}
	j.v.Settled = append(j.v.Settled,
		story.Mark{Word: story.Begun, ID: after, Asked: story.Asked{Writes: []story.Write{{Key: key.String(), Content: string(content)}}}},
		story.Mark{Word: story.Saved, ID: after, Names: []string{vs[0].Name.String()}})
	return key
}

// after is the number of the write that a judge makes; no script's is negative.
const after = -1

func (j *judge) check(s *store.Store) {
	found, err := s.Check(j.ctx)
	if err != nil {
		j.wrong("%v", err)
	}
	for _, f := range found {
		j.wrong("check: %s %s %s", f.Code, f.Key, f.Text)
	}
}

// scopes is the kind of the records in which a store at the top itself notes
// which stations hold whom; no script writes such.
const scopes = "Basic"

// versions are all that the store holds.
func (j *judge) versions(s *store.Store) []story.Seen {
	all, next, err := s.HistoryAll(store.Since{Limit: 1 << 30})
	if err != nil || next != "" {
		j.wrong("its history cannot be read: %v", err)
	}
	var out []story.Seen
	for _, v := range all {
		if j.c.Top && v.Key.Kind == scopes {
			continue
		}
		out = append(out, story.Seen{Key: v.Key.String(), Name: v.Name.String(), Content: string(v.Content), Deleted: v.Deleted})
	}
	j.v.Records = len(out)
	return out
}

// alone removes the database and holds what the journal makes of it against the
// model: every version that was made here, audit entries and settings.
func (j *judge) alone() {
	if err := os.Remove(filepath.Join(j.c.Dir, "tram.db")); err != nil {
		j.wrong("%v", err)
		return
	}
	s, _ := j.open()
	if s == nil {
		j.v.Wrong[0] = "without its database " + j.v.Wrong[0]
		return
	}
	defer s.Close()
	have := map[string]bool{}
	for _, v := range j.versions(s) {
		have[v.Name] = true
	}
	for _, name := range j.m.Order {
		if w := j.m.Versions[name]; !w.Down && !have[name] {
			j.wrong("version %s of %s is not in the journal", name, w.Key)
		}
	}
	j.audits(s)
	j.settings(s)
	j.check(s)
}

// ear hears what a store says while it opens.
type ear struct {
	slog.Handler
	words []slog.Level
}

func (e *ear) Enabled(context.Context, slog.Level) bool { return true }

func (e *ear) Handle(_ context.Context, r slog.Record) error {
	e.words = append(e.words, r.Level)
	return nil
}

func (e *ear) how() string {
	switch {
	case len(e.words) == 0:
		return Straight
	case slices.Max(e.words) > slog.LevelInfo:
		return Repaired
	}
	return Replayed
}
