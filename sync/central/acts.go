package central

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tram/store/audit"
	"tram/store/record"
	"tram/store/seal"
)

// actsFolder holds what stations hand in of who did and who looked: a folder for each
// replica, in it a sealed file for each segment, named by its first number and the
// digest that it leads to. One that comes again is the same file; one of a station that was
// put back stands beside the one that it made before.
const actsFolder = "acts"

func (c *Centre) actsDir() string { return filepath.Join(c.o.Dir, actsFolder) }

// keepActs keeps a segment durably.
func (c *Centre) keepActs(_ context.Context, peer string, seg audit.Segment) error {
	head, err := json.Marshal(seg)
	if err != nil {
		return err
	}
	text := append(head, '\n')
	for _, act := range seg.Acts {
		text = append(append(text, act...), '\n')
	}
	name := filepath.Join(peer, fmt.Sprintf("%012d-%x.sealed", seg.From, seg.After[:8]))
	if err := c.writeActs(name, text); err != nil {
		c.o.Log.Error("cannot keep a station's audit", "replica", peer, "err", err)
		return err
	}
	return nil
}

func (c *Centre) writeActs(name string, text []byte) error {
	sealed, err := c.box.Seal(actsPlace(name), text)
	if err != nil {
		return err
	}
	path := filepath.Join(c.actsDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return seal.WriteFile(path, sealed)
}

func (c *Centre) readActs(name string) ([]byte, error) {
	sealed, err := os.ReadFile(filepath.Join(c.actsDir(), name))
	if err != nil {
		return nil, err
	}
	return c.box.Open(actsPlace(name), sealed)
}

func actsPlace(name string) string { return actsFolder + "/" + filepath.ToSlash(name) }

// segments names the segments of a replica, or of all where replica is "", each replica's in
// the order of their numbers.
func (c *Centre) segments(replica string) ([]string, error) {
	if replica == "" {
		replica = "*"
	}
	files, err := filepath.Glob(filepath.Join(c.actsDir(), replica, "*.sealed")) // in their order
	for i := range files {
		if files[i], err = filepath.Rel(c.actsDir(), files[i]); err != nil {
			return nil, err
		}
	}
	return files, err
}

// resealActs seals all segments anew.
func (c *Centre) resealActs() error {
	names, err := c.segments("")
	for _, name := range names {
		var text []byte
		if text, err = c.readActs(name); err == nil {
			err = c.writeActs(name, text)
		}
		if err != nil {
			return fmt.Errorf("seal %s anew: %w", name, err)
		}
	}
	return err
}

// Act is one entry of a replica's audit.
type Act struct {
	Replica string `json:"replica"`
	N       uint64 `json:"n"`
	audit.Entry
	// Broken says that the entry is of a segment that was altered, or that others are missing
	// in front of it.
	Broken bool `json:"broken,omitempty"`
}

// maxListed bounds how many entries are listed.
const maxListed = 100_000

// ErrManyActs says that there are more entries than can be listed at once.
var ErrManyActs = errors.New("too many entries")

// Acts lists who did and who looked as far as stations handed it in: of one replica, or all
// where that is ""; about one person's record, or all where person is "".
func (c *Centre) Acts(replica, person string) ([]Act, error) {
	c.mu.Lock()
	known := replica == "" || c.fleet[replica] != nil
	c.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("%s: %w", replica, ErrUnknown)
	}
	names, err := c.segments(replica)
	if err != nil {
		return nil, err
	}
	var out []Act
	var of string // the replica at hand
	ends := map[record.Digest]bool{}
	for _, name := range names {
		if who := filepath.Dir(name); who != of {
			of, ends = who, map[record.Digest]bool{{}: true}
		}
		seg, err := c.segment(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		broken := !seg.Sound() || !ends[seg.Before]
		ends[seg.After] = true
		entries, err := seg.Entries()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		for i, e := range entries {
			if person != "" && e.Key != (record.Key{Kind: "Patient", ID: person}) {
				continue
			}
			if len(out) == maxListed {
				return nil, ErrManyActs
			}
			out = append(out, Act{of, seg.From + uint64(i), e, broken})
		}
	}
	return out, nil
}

func (c *Centre) segment(name string) (seg audit.Segment, err error) {
	text, err := c.readActs(name)
	if err != nil {
		return seg, err
	}
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(head, &seg); err != nil {
		return seg, err
	}
	for line := range strings.Lines(string(rest)) {
		seg.Acts = append(seg.Acts, json.RawMessage(strings.TrimSuffix(line, "\n")))
	}
	return seg, nil
}
