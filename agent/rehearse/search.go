package rehearse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tram/agent/rehearse/process"
	"tram/agent/rehearse/scan"
	"tram/store/practice"
)

// leastSecrets is how many texts at least are searched for.
const leastSecrets = 200

type scanCmd struct {
	Work string `help:"Folder that is made anew." default:".build/scan" placeholder:"DIR"`
}

// Run plays the demo, whose stations were killed, copied and rolled back, and
// then searches all that is left on the disk.
func (s scanCmd) Run(ctx context.Context, t *theatre) error {
	began := time.Now()
	d, err := t.play(ctx, s.Work, "")
	if err != nil {
		return err
	}
	secrets := known(d, began)
	if len(secrets) < leastSecrets {
		return fmt.Errorf(d.Words.Get("few"), len(secrets), leastSecrets)
	}
	dir, err := os.MkdirTemp("", "tram-scan-")
	if err != nil {
		return err
	}
	// A search that finds nothing proves nothing before it has found what is there.
	for _, text := range secrets[:3] {
		err = errors.Join(err, scan.SelfTest(dir, text))
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	scanner := scan.New(secrets)
	d.tell("planted", 3, scanner.Forms)
	if err := d.a.leaveMore(ctx); err != nil {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(d.Cast.Work, "*.log"))
	if err != nil {
		return err
	}
	r, err := scanner.Paths(append(logs, d.a.Dir, d.b.Dir, d.centre.Dir)...)
	if err != nil {
		return err
	}
	d.tell("scanned", scanner.Secrets, scanner.Forms, r.Files, r.Bytes, len(r.Hits))
	for _, h := range r.Hits[:min(20, len(r.Hits))] {
		d.tell("hit", h.File, h.Offset, h.Form)
	}
	if len(r.Hits) > 0 {
		return fmt.Errorf(d.Words.Get("hits"), len(r.Hits))
	}
	return nil
}

// leaveMore leaves what a station may have besides: a backup, and a database that was
// set aside when it was made anew.
func (s *Station) leaveMore(ctx context.Context) error {
	tram := s.cast.program("tram")
	if _, err := process.Tool(ctx, tram, "backup", filepath.Join(s.Dir, "station.backup"), "--data", s.Dir); err != nil {
		return err
	}
	_, err := process.Tool(ctx, tram, "repair", "--data", s.Dir)
	return err
}

// known are the texts of the practice station that really stand in the records:
// what is not there cannot be found on a disk either. The station is made as
// `tram practice` made it, before or after midnight.
func known(d *Demo, began time.Time) []string {
	var all strings.Builder
	for _, k := range d.Last.Keys() {
		all.WriteString(d.Last[k].Content)
		all.WriteByte('\n')
	}
	text := all.String()
	var out []string
	seen := map[string]bool{}
	p := practicePeople()
	for _, now := range []time.Time{began, time.Now()} {
		st := practice.New(p.Seed, practice.Options{People: p.People, Start: now.AddDate(0, 0, -p.Days*7/5-1)})
		for n := range p.Days {
			st.Day(n)
		}
		for _, secret := range st.Identifying() {
			if !seen[secret] && strings.Contains(text, secret) {
				seen[secret] = true
				out = append(out, secret)
			}
		}
	}
	return out
}
