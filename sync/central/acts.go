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
	"tram/sync/trust"
)

// actsFolder holds what stations hand in of who did and who looked: a folder for each
// replica, in it a sealed file for each segment, named by its first and last number and
// the digest that it leads to. One that comes again is the same file; one of a station that was
// put back stands beside the one that it made before.
const actsFolder = "acts"

func (c *Centre) actsDir() string { return filepath.Join(c.o.Dir, actsFolder) }

// acts is the folder as an exchange sees it.
type acts struct{ *Centre }

// Kept is the highest number of a replica's audit here.
func (c acts) Kept(peer string) (kept uint64) {
	names, err := c.segments(peer)
	if err != nil {
		c.o.Log.Error("cannot read what is kept of a station's audit", "replica", peer, "err", err)
	}
	for _, name := range names {
		var from, last uint64
		if n, _ := fmt.Sscanf(filepath.Base(name), "%d-%d-", &from, &last); n == 2 {
			kept = max(kept, last)
		}
	}
	return kept
}

// Keep keeps a segment durably, where there is room.
func (c acts) Keep(_ context.Context, peer string, seg audit.Segment) error {
	err := c.keep(peer, seg)
	if err != nil {
		c.o.Log.Error("cannot keep a station's audit", "replica", peer, "err", err)
	}
	return err
}

func (c acts) keep(peer string, seg audit.Segment) error {
	if err := c.store.Blobs().Room(0); err != nil {
		return err
	}
	head, err := json.Marshal(seg)
	if err != nil {
		return err
	}
	text := append(head, '\n')
	for _, act := range seg.Acts {
		text = append(append(text, act...), '\n')
	}
	return c.writeActs(filepath.Join(peer, fmt.Sprintf("%020d-%020d-%x.sealed", seg.From, seg.Last(), seg.After[:8])), text)
}

func (c *Centre) writeActs(name string, text []byte) error {
	path := filepath.Join(c.actsDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := errors.Join(seal.SyncDir(c.o.Dir), seal.SyncDir(c.actsDir())); err != nil {
		return err
	}
	return writeSealed(c.box, path, actsPlace(name), text)
}

// writeSealed writes once more where keys rotated meanwhile: who seals anew what is there
// may not have seen the file.
func writeSealed(box seal.Box, path, place string, text []byte) error {
	for {
		sealed, err := box.Seal(place, text)
		if err == nil {
			err = seal.WriteFile(path, sealed)
		}
		if err != nil || box.Newest(sealed) {
			return err
		}
	}
}

func readSealed(box seal.Box, path, place string) ([]byte, error) {
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return box.Open(place, sealed)
}

func actsPlace(name string) string { return actsFolder + "/" + filepath.ToSlash(name) }

// segments names the segments of a replica, or of all where replica is "*", each replica's in
// the order of their numbers.
func (c *Centre) segments(replica string) ([]string, error) { return segmentsIn(c.actsDir(), replica) }

func segmentsIn(dir, replica string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, replica, "*.sealed")) // in their order
	for i := range files {
		if files[i], err = filepath.Rel(dir, files[i]); err != nil {
			return nil, err
		}
	}
	return files, err
}

// Reseal seals anew what lies sealed beside the records in a data folder: the authority, and
// what was handed in of the audit. What does not open stays as it is.
func Reseal(dir string, box seal.Box) error {
	if err := trust.Reseal(authorityDir(dir), box); err != nil {
		return err
	}
	acts := filepath.Join(dir, actsFolder)
	names, err := segmentsIn(acts, "*")
	if err != nil {
		return err
	}
	for _, name := range names {
		path, place := filepath.Join(acts, name), actsPlace(name)
		text, err := readSealed(box, path, place)
		if errors.Is(err, seal.ErrAltered) {
			continue
		}
		if err == nil {
			err = writeSealed(box, path, place, text)
		}
		if err != nil {
			return fmt.Errorf("seal %s anew: %w", name, err)
		}
	}
	return nil
}

// Act is one entry of a replica's audit, or stands for a file of them that cannot be read.
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
// where that is ""; about one person's records, as they are here, or all where person is "".
func (c *Centre) Acts(replica, person string) ([]Act, error) {
	c.mu.Lock()
	known := replica == "" || c.fleet[replica] != nil
	c.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("%s: %w", replica, ErrUnknown)
	}
	if replica == "" {
		replica = "*"
	}
	names, err := c.segments(replica)
	if err != nil {
		return nil, err
	}
	about, err := c.recordsOf(person)
	if err != nil {
		return nil, err
	}
	var out []Act
	var of string // the replica at hand
	var ends map[record.Digest]bool
	for _, name := range names {
		if who := filepath.Dir(name); who != of {
			of, ends = who, map[record.Digest]bool{{}: true}
		}
		seg, entries, err := c.segment(name)
		if err != nil { // it was altered, or cannot be read
			c.o.Log.Error("cannot read a segment of an audit", "file", name, "err", err)
			out = append(out, Act{Replica: of, N: seg.From, Broken: true})
			continue
		}
		broken, at := !seg.Sound() || !ends[seg.Before], seg.Before
		for i, e := range entries {
			at = audit.LinkText(at, e, seg.Acts[i]).Chain
			again := ends[at] // the answer was lost, and it came once more
			ends[at] = true
			if again || person != "" && !about[e.Key] {
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

// recordsOf are the records of a person, those that links join with it, and what is about them, deleted
// or not; none where person is "".
func (c *Centre) recordsOf(person string) (map[record.Key]bool, error) {
	if person == "" {
		return nil, nil
	}
	ids := append(c.store.Linked(person), person)
	all, err := c.store.About(ids...)
	out := map[record.Key]bool{}
	for _, id := range ids {
		out[record.Key{Kind: "Patient", ID: id}] = true
	}
	for _, key := range all {
		out[key] = true
	}
	return out, err
}

func (c *Centre) segment(name string) (seg audit.Segment, entries []audit.Entry, err error) {
	text, err := readSealed(c.box, filepath.Join(c.actsDir(), name), actsPlace(name))
	if err != nil {
		return seg, nil, err
	}
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(head, &seg); err != nil {
		return seg, nil, err
	}
	for line := range strings.Lines(string(rest)) {
		seg.Acts = append(seg.Acts, json.RawMessage(strings.TrimSuffix(line, "\n")))
	}
	entries, err = seg.Entries()
	return seg, entries, err
}
