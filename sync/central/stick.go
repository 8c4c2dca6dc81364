package central

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"tram/sync/carry/stick"
	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/wire"
)

// errStick says that a stick cannot be read or written.
var errStick = errors.New("no stick")

// Stick takes what stations wrote onto the stick mounted at dir, and puts the
// answers beside it.
func (c *Centre) Stick(ctx context.Context, dir string) ([]stick.Outcome, error) {
	now := c.o.Now().UnixMilli()
	desk := stick.Centre{Store: c.store, Authority: c.authority, Now: func() int64 { return now },
		Begin: func(replica, key string, p engine.Pace) (*engine.Serve, error) {
			if c.stranger(replica, key) {
				return nil, nil
			}
			return c.serving(replica, now, c.hearStick(ctx, replica, now), p)
		}}
	files, err := desk.Visit(ctx, dir)
	for _, f := range files {
		c.noteStick(ctx, f, now)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = fmt.Errorf("%w: %w", errStick, err)
	}
	return files, err
}

// noteStick keeps for people that a file was refused, with the station that its name
// names, until one of that station is taken. What is wrong with the note is no
// reason to stop.
func (c *Centre) noteStick(ctx context.Context, f stick.Outcome, now int64) {
	name := stick.Maker(f.File)
	heard := f.Code.Taken() || f.Code == status.StickRefused
	c.mu.Lock()
	m := c.fleet[name]
	same := m == nil || heard && m.Refused == nil
	c.mu.Unlock()
	if same {
		return
	}
	_, err := c.change(ctx, name, func(m *member) {
		if m.Refused = nil; !heard {
			m.Refused = &stick.Refused{Code: f.Code, At: now}
		}
	})
	if err != nil {
		c.o.Log.Error("cannot keep that a file from a stick was refused", "replica", name, "err", err)
	}
}

// Stick is what the centre knows of a station's sticks; times are Unix milliseconds.
type Stick struct {
	// Comes says that the station came by stick last, and has not called since.
	Comes bool `json:"comes"`
	stick.Visit
	// Expected is the lowest number that has not come where a higher one has, Got the
	// lowest that came in its place; 0 where none is missing.
	Expected uint64 `json:"expected,omitempty"`
	Got      uint64 `json:"got,omitempty"`
	// Refused is the last file under the station's name that was not taken, by a name
	// that anybody may give; nil where one was, since. Why and Todo are its words.
	Refused *stick.Refused `json:"refused,omitempty"`
	Why     string         `json:"why,omitempty"`
	Todo    string         `json:"todo,omitempty"`
}

// stickOf is nil where no stick ever came. What was on a number up to taken the
// station has an answer for: it is not missed any more, nor where a restored centre
// has forgotten that it came.
func stickOf(lang string, v stick.Visit, m *member, taken uint64) *Stick {
	v.Miss = slices.DeleteFunc(v.Miss, func(n uint64) bool { return n <= taken })
	if v.At == 0 && m.Refused == nil {
		return nil
	}
	s := &Stick{Comes: v.At > m.Called, Visit: v, Refused: m.Refused}
	if m.Refused != nil {
		s.Why, s.Todo = status.StickWords(lang, m.Refused.Code)
	}
	if len(v.Miss) > 0 {
		s.Expected = v.Miss[0]
		for s.Got = s.Expected; slices.Contains(v.Miss, s.Got); s.Got++ {
		}
	}
	return s
}

// hearStick is hear for what was said when the stick was written. Only a newer
// report is kept. A lineage that has long been followed may still come by: no
// stick makes a second PC of it, nor does it go before who speaks live
// (replication.md, rule 19).
func (c *Centre) hearStick(ctx context.Context, peer string, now int64) func(wire.Hello) wire.Refusal {
	return func(h wire.Hello) wire.Refusal {
		rep, bad := status.Parse(h.Report)
		m, err := c.change(ctx, peer, func(m *member) {
			old, none := status.Parse(m.Report)
			said := rep.Made + rep.Offset
			if bad == nil && (none != nil || said > old.Made+old.Offset) {
				m.Report, m.Seen = rep.Encode(), max(m.Seen, min(now, said))
			}
		})
		switch {
		case err != nil:
			c.o.Log.Error("cannot keep a report", "replica", peer, "err", err)
			return wire.Stopped
		case m.Denied:
			return wire.Revoked
		case slices.Contains(m.Twin, h.Life):
			return wire.SecondPC
		}
		return ""
	}
}

type stickCmd struct {
	Take stickTakeCmd `cmd:"" help:"Take what stations wrote, and write the answers."`
}

type stickTakeCmd struct {
	Dir  string `arg:"" help:"Where the stick is." type:"existingdir"`
	Data string `required:"" help:"Data folder." type:"path"`
}

func (s stickTakeCmd) Run(ctx context.Context, t *tool) error {
	res, err := t.ask(ctx, s.Data, asked{Do: "stick", File: s.Dir})
	if err != nil {
		return err
	}
	if len(res.Files) == 0 {
		fmt.Fprintf(t.out, t.words["stick-none"]+"\n", s.Dir)
	}
	refused := 0
	for _, f := range res.Files {
		if !f.Code.Fine() {
			refused++
		}
		title, todo := status.StickWords(t.lang, f.Code)
		fmt.Fprintf(t.out, t.words["stick-file"]+"\n", f.File, title, f.Sent, f.Taken, f.Received, todo)
	}
	if refused > 0 {
		return fmt.Errorf(t.words["stick-some"], refused, len(res.Files))
	}
	return nil
}
