package thin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"tram/agent/rehearse/interop/house"
	"tram/agent/rehearse/link"
)

// couch is a station that keeps its records in PouchDB, its centre, and the link
// between them. See testdata/peers/couch.
type couch struct {
	dir     string
	centre  *exec.Cmd
	station *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	direct  string // the centre's address, "host:port"
	link    *link.Link
	days    int // how many databases were made
	cut     context.CancelFunc
	ended   chan error // of the link
}

// replication is what one sync came to.
type replication struct {
	link.Traffic
	Done     bool `json:"done"`
	Written  int  `json:"written"`
	Calls    int  `json:"requests"`
	peak     [2]int64
	worked   [2]time.Duration
	patience time.Duration
}

func startCouch(ctx context.Context, script, dir string) (c *couch, err error) {
	c = &couch{dir: dir}
	serve := exec.CommandContext(ctx, "node", script, "serve", "--dir", filepath.Join(dir, "couch-centre"))
	c.station = exec.CommandContext(ctx, "node", script, "station", "--dir", filepath.Join(dir, "couch-station"))
	serve.Stderr, c.station.Stderr = os.Stderr, os.Stderr
	said, err := serve.StdoutPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.station.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if c.in, err = c.station.StdinPipe(); err != nil {
		return nil, err
	}
	if err := serve.Start(); err != nil {
		return nil, fmt.Errorf("start PouchDB's centre: %w", err)
	}
	c.centre = serve
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	var at struct{ Port int }
	if err := json.NewDecoder(said).Decode(&at); err != nil {
		return nil, fmt.Errorf("PouchDB's centre: %w", err)
	}
	c.direct = fmt.Sprintf("127.0.0.1:%d", at.Port)
	if c.link, err = link.New(c.direct); err != nil {
		return nil, err
	}
	open, cut := context.WithCancel(ctx)
	c.cut, c.ended = cut, make(chan error, 1)
	go func() { c.ended <- c.link.Run(open) }()
	if err := c.station.Start(); err != nil {
		return nil, fmt.Errorf("start PouchDB's station: %w", err)
	}
	return c, nil
}

// stop ends both programs and the link.
func (c *couch) stop() (err error) {
	if c.cut != nil {
		c.cut()
		err = <-c.ended
	}
	for _, p := range []*exec.Cmd{c.station, c.centre} {
		if p != nil && p.Process != nil {
			p.Process.Kill()
			_ = p.Wait() // it was killed
		}
	}
	return err
}

// ask gives the station one command and reads its answer.
func (c *couch) ask(v any, command map[string]any) error {
	b, err := json.Marshal(command)
	if err == nil {
		_, err = fmt.Fprintf(c.in, "%s\n", b)
	}
	var line []byte
	if err == nil {
		line, err = c.out.ReadBytes('\n')
	}
	var trouble struct{ Error string }
	if err == nil {
		err = errors.Join(json.Unmarshal(line, v), json.Unmarshal(line, &trouble))
	}
	if err == nil && trouble.Error != "" {
		err = errors.New(trouble.Error)
	}
	if err != nil {
		return fmt.Errorf("PouchDB: %v: %w", command["do"], err)
	}
	return nil
}

// database is one that the station and the centre keep.
type database struct {
	couch *couch
	name  string
}

// database makes an empty one at both ends.
func (c *couch) database() (*database, error) {
	c.link.Set(link.Shape{})
	c.days++
	d := &database{c, fmt.Sprintf("records%d", c.days)}
	var v struct{}
	return d, c.ask(&v, map[string]any{"do": "open", "name": d.name, "url": d.url(c.link.Address())})
}

func (d *database) url(address string) string { return "http://" + address + "/" + d.name }

// load writes records at the station, or at the centre, past the link.
func (d *database) load(l load, above bool) error {
	file := filepath.Join(d.couch.dir, "couch.ndjson")
	if err := os.WriteFile(file, l.ndjson(), 0o600); err != nil {
		return err
	}
	command := map[string]any{"do": "load", "name": d.name, "file": file}
	if above {
		command["url"] = d.url(d.couch.direct)
	}
	var v struct{ Records int }
	if err := d.couch.ask(&v, command); err != nil {
		return err
	}
	if v.Records != l.records() {
		return fmt.Errorf("PouchDB took %d records of %d", v.Records, l.records())
	}
	return nil
}

// sync pushes and, unless told otherwise, pulls over a link of a shape.
func (d *database) sync(ctx context.Context, s link.Shape, patience time.Duration, pushOnly bool, weather ...link.Outage) (replication, error) {
	d.couch.link.Set(s)
	r, err := d.again(ctx, patience, pushOnly, weather...)
	d.couch.link.Set(link.Shape{})
	return r, err
}

// again is sync on the connections that are there.
func (d *database) again(ctx context.Context, patience time.Duration, pushOnly bool, weather ...link.Outage) (replication, error) {
	c := d.couch
	c.link.Reset()
	var storm sync.WaitGroup
	defer storm.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(weather) > 0 {
		storm.Go(func() { c.link.Storm(ctx, weather) })
	}
	centre := house.Worked(c.centre.Process.Pid)
	station := house.Worked(c.station.Process.Pid)
	r := replication{patience: patience}
	err := c.ask(&r, map[string]any{"do": "sync", "name": d.name, "url": d.url(c.link.Address()), "patience": patience.Milliseconds(), "oneWay": pushOnly})
	r.Traffic = c.link.Read()
	r.peak = [2]int64{house.Peak(c.station.Process.Pid), house.Peak(c.centre.Process.Pid)}
	r.worked = [2]time.Duration{house.Worked(c.station.Process.Pid) - station, house.Worked(c.centre.Process.Pid) - centre}
	if err == nil && !r.Done && len(weather) == 0 {
		err = fmt.Errorf("PouchDB was not done in %s", patience)
	}
	return r, err
}

// Figures as they are printed, "" where PouchDB did not run.
func (r replication) text(format string, args ...any) string {
	if r.Up == 0 {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func (r replication) kilo(n int64) string     { return r.text("%.1f", float64(n)/1e3) }
func (r replication) count(n int) string      { return r.text("%d", n) }
func (r replication) figure(x float64) string { return r.text("%.1f", x) }

// evening makes a database in which all but the day that is measured is at both
// ends: that day's records wait at the station, and others at the centre.
func (c *couch) evening(ctx context.Context, t *town) (*database, error) {
	d, err := c.database()
	if err != nil {
		return nil, err
	}
	if err := d.load(t.past, false); err != nil {
		return nil, err
	}
	if _, err := d.sync(ctx, link.Shape{}, enough, false); err != nil {
		return nil, err
	}
	return d, errors.Join(d.load(t.above, true), d.load(t.today, false))
}
