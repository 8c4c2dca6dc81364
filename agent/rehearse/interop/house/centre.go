package house

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Centre is a running centre.
type Centre struct {
	programs Programs
	dir      string
	*process
	address string // for stations, "host:port"
	page    string // of the page and the FHIR face, the same
	token   string // of a program; "" before Admit
}

// StartCentre starts a centre on a data folder, on free ports of loopback.
func StartCentre(ctx context.Context, programs Programs, dir string) (*Centre, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var before int64 // bytes that an earlier run left in the log
	if info, err := os.Stat(dir + ".log"); err == nil {
		before = info.Size()
	}
	p, err := spawn("tram-central", programs.Central, dir+".log",
		"run", "--data", dir, "--listen", "127.0.0.1:0", "--page", "127.0.0.1:0", "--level", "info")
	if err != nil {
		return nil, err
	}
	c := &Centre{programs: programs, dir: dir, process: p}
	// It prints the address for stations, and that of the page, in a sentence of its language.
	address := regexp.MustCompile(`(?s)(127\.0\.0\.1:\d+).*?http://(127\.0\.0\.1:\d+)`)
	err = p.await(ctx, func() bool {
		b, err := os.ReadFile(p.log.Name())
		if err == nil {
			if found := address.FindStringSubmatch(string(b[before:])); found != nil {
				c.address, c.page = found[1], found[2]
			}
		}
		return c.address != ""
	})
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return c, nil
}

// Address is where stations reach the centre, "host:port".
func (c *Centre) Address() string { return c.address }

// Enrol makes a one-time kit for a station that reaches the centre at an address
// "host:port", and puts it into the station's data folder.
func (c *Centre) Enrol(ctx context.Context, s *Station, address string) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	_, err := command(ctx, c.programs.Central, "enrol", "--data", c.dir, "--station", s.name,
		"--address", "https://"+address, "--out", filepath.Join(s.dir, "enrol.json"))
	return err
}

// GrantAll lets a station hold everybody whom another one holds.
func (c *Centre) GrantAll(ctx context.Context, to, from string) error {
	_, err := command(ctx, c.programs.Central, "grant", "--data", c.dir, "--to", to, "--from", from)
	return err
}

// grantBatch keeps a command line within what every system takes.
const grantBatch = 100

// Grant lets a station hold the Patients with the ids.
func (c *Centre) Grant(ctx context.Context, to string, ids []string) error {
	for len(ids) > 0 {
		n := min(grantBatch, len(ids))
		args := []string{"grant", "--data", c.dir, "--to", to}
		for _, id := range ids[:n] {
			args = append(args, "--person="+id)
		}
		if _, err := command(ctx, c.programs.Central, args...); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
		ids = ids[n:]
	}
	return nil
}

// Face is where the centre's FHIR face is, and the token of a program; see Admit.
func (c *Centre) Face() (base, token string) { return "http://" + c.page + "/fhir", c.token }

// Admit makes an account and a token for Holds and Face, once for a data folder.
func (c *Centre) Admit(ctx context.Context) error {
	pin := filepath.Join(filepath.Dir(c.dir), "pin")
	if err := os.WriteFile(pin, []byte("cau-may-"+rand.Text()), 0o600); err != nil {
		return err
	}
	out, err := command(ctx, c.programs.Central, "staff", "--data", c.dir, "--user", "it", "--pin-file", pin)
	c.token = strings.TrimSpace(string(out))
	return err
}

// Holds reports whether the centre has a record "Kind/id".
func (c *Centre) Holds(ctx context.Context, key string) (bool, error) {
	base, token := c.Face()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/"+key, http.NoBody)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		return false, fmt.Errorf("the centre answers %s", resp.Status)
	}
	return resp.StatusCode == http.StatusOK, nil
}

// Peak is the most memory that the centre held so far, in bytes; 0 for unknown.
func (c *Centre) Peak() int64 { return c.peak() }

// Own is what the centre holds now without the pages of files, in bytes.
func (c *Centre) Own() int64 { return c.own() }

// Worked is the time that the centre's processor took so far.
func (c *Centre) Worked() time.Duration { return c.worked() }

// Stop stops the centre.
func (c *Centre) Stop() error { return c.stop() }
