package rehearse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"

	"tram/agent"
)

// The ports that people know, and a day's work for a page worth looking at.
const (
	stationPort = 8642
	centrePort  = 8643
	centrePage  = 8644
)

// stageFile is written once all is made.
const stageFile = "stage.json"

// stage is what a running pair keeps between runs.
type stage struct {
	Centre  Account `json:"centre"`
	Station Account `json:"station"`
}

// Run runs a centre and a station on loopback until ctx ends. Its folder is kept:
// the next run goes on with the same records.
func Run(ctx context.Context, c *Cast, out io.Writer) (err error) {
	defer func() { err = errors.Join(err, c.Close()) }()
	st := c.Station("tram-a")
	if here, err := agent.ReadHere(st.Dir); err == nil && listens(here.Address) {
		return fmt.Errorf(NewWords("vi").Get("already")+" "+NewWords("en").Get("already"), here.Address, here.Address)
	}
	var addresses [3]string
	// Another port is better than none: whoever trains need not know of ports.
	for i, port := range []int{stationPort, centrePort, centrePage} {
		if addresses[i], err = freePort(port); err != nil {
			return err
		}
		if !strings.HasSuffix(addresses[i], fmt.Sprintf(":%d", port)) {
			both(out, "other-port", port, addresses[i])
		}
	}
	file := filepath.Join(c.Work, stageFile)
	var kept stage
	err = load(file, &kept)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return fmt.Errorf("read %s (start anew with --fresh): %w", file, err)
	}
	centre := &Centre{Account: kept.Centre, Dir: filepath.Join(c.Work, "centre"), Listen: addresses[1], Page: addresses[2], cast: c}
	// The settings name the centre anew each time, since its port may be another.
	if err := st.Settle(addresses[0], "https://"+addresses[1]); err != nil {
		return err
	}
	if fresh {
		both(out, "making")
		if centre, err = c.Centre(ctx, addresses[1], addresses[2], rand.Text()[:8]); err != nil {
			return err
		}
		if err := st.Practise(ctx, People{Seed: 1, People: 1200, Days: 3}); err != nil {
			return err
		}
		if err := centre.Enrol(ctx, st, addresses[1]); err != nil {
			return err
		}
		kept = stage{centre.Account, st.Account}
		if err := save(file, kept); err != nil {
			return err
		}
	}
	st.Account = kept.Station
	if err := centre.Start(ctx); err != nil {
		return err
	}
	if err := st.Start(ctx); err != nil {
		return err
	}
	// What comes down because of what went up is there after the second exchange.
	if err := errors.Join(st.Synced(ctx), st.Synced(ctx)); err != nil {
		return err
	}
	state, err := st.State(ctx)
	if err != nil {
		return err
	}
	both(out, "synced", state.Report.Records, state.Report.People)
	both(out, "station", st.Page, st.User, st.PIN)
	both(out, "centre", centre.Page, centre.User, centre.PIN)
	both(out, "folder", st.Dir)
	both(out, "end")
	gone := centre.proc.Done()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-st.proc.Done():
			return st.proc.Ended()
		case <-gone: // a station goes on alone; so does this
			both(out, "alone")
			gone = nil
		}
	}
}

// listens reports whether a program listens at an address of this PC.
func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// both prints a sentence in Vietnamese and in English.
func both(out io.Writer, key string, args ...any) {
	for _, lang := range []string{"vi", "en"} {
		say(out, NewWords(lang).Get(key), args...)
	}
}
