package central

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tram/store/record"
	"tram/sync/proof"
	"tram/sync/trust"
)

// The words of a ruling: what holds, what nobody can tell yet, what does not hold.
const (
	holds = "proof-holds"
	open  = "proof-open"
	fails = "proof-fails"
)

// ruling is one thing that the centre says of a certificate: one of the words above,
// the key of a sentence, and what goes into it.
type ruling struct {
	Is   string   `json:"is"`
	Word string   `json:"word"`
	Args []string `json:"args,omitempty"`
}

// judgement gathers rulings.
type judgement struct {
	c    *Centre
	out  []ruling
	cert proof.Certificate
}

func (j *judgement) say(is, word string, args ...any) {
	r := ruling{Is: is, Word: word}
	for _, a := range args {
		r.Args = append(r.Args, printable(fmt.Sprint(a)))
	}
	j.out = append(j.out, r)
}

// printable keeps what a terminal only shows: the file comes from outside.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// prove holds a station's certificate against the centre's records. It fails with
// proof.ErrForm for what is none; one that does not hold is no error.
func (c *Centre) prove(raw []byte) (said, error) {
	j := &judgement{c: c}
	var digest record.Digest
	var err error
	j.cert, digest, err = proof.Decode(raw)
	if errors.Is(err, proof.ErrAltered) {
		j.say(fails, "proof-altered")
		return said{Ruled: j.out}, nil
	}
	if err != nil {
		return said{}, err
	}
	j.say(holds, "proof-whole", digest)
	for _, step := range []func() error{j.station, j.sum, j.receipts, j.waiting, j.books, j.roots} {
		if err := step(); err != nil {
			return said{}, fmt.Errorf("check certificate: %w", err)
		}
	}
	return said{Ruled: j.out}, nil
}

// station says whether the centre knows who speaks, and whether it is a second PC.
func (j *judgement) station() error {
	j.c.mu.Lock()
	defer j.c.mu.Unlock()
	m := j.c.fleet[j.cert.Station]
	if m == nil {
		j.say(fails, "proof-stranger", j.cert.Station)
		return nil
	}
	for _, l := range j.cert.Lineages {
		if slices.Contains(m.Twin, l.Lineage) {
			j.say(fails, "proof-twin", l.Lineage)
		}
	}
	return nil
}

// sum adds the day up.
func (j *judgement) sum() error {
	took, wait := j.cert.Took(), j.cert.Wait()
	is := holds
	if took+wait+j.cert.Returned != j.cert.Entries {
		is = fails
	}
	j.say(is, "proof-sum", j.cert.Entries, took, wait)
	return nil
}

// receipts proves each receipt, and that the entries under it are in the chain that
// the centre computes itself.
func (j *judgement) receipts() error {
	epoch, err := j.c.store.Epoch()
	if err != nil {
		return err
	}
	for _, r := range j.cert.Received {
		if trust.VerifyReceipt(j.c.authority.ReceiptKey(), r.Receipt) != nil {
			j.say(fails, "proof-unsigned", r.Lineage, r.N)
			continue
		}
		j.say(holds, "proof-signed", r.Lineage, r.N, time.UnixMilli(r.At).Format("02/01/2006 15:04"))
		if r.Epoch != epoch {
			j.say(open, "proof-epoch", r.Lineage, r.N)
		}
		if sound, err := j.chain(r.Link, fails); err != nil || !sound {
			if err != nil {
				return err
			}
			continue
		}
		missing := 0
		for _, n := range r.Numbers {
			_, ok, err := j.c.store.Chain(r.Lineage, max(n, 1))
			if err != nil {
				return err
			}
			if !ok || n > r.N {
				missing++
			}
		}
		if missing > 0 {
			j.say(fails, "proof-missing", missing, len(r.Numbers), r.Lineage)
			continue
		}
		j.say(holds, "proof-held", len(r.Numbers), r.Lineage)
	}
	return nil
}

// chain compares a link with the centre's own, and says with short what it is where
// the centre's does not reach so far.
func (j *judgement) chain(l record.Link, short string) (sound bool, err error) {
	if l.N == 0 {
		return true, nil
	}
	have, ok, err := j.c.store.Chain(l.Lineage, l.N)
	if err != nil {
		return false, err
	}
	top, _, err := j.c.store.Chain(l.Lineage, 0)
	switch {
	case err != nil:
		return false, err
	case ok && have.Chain == l.Chain:
		j.say(holds, "proof-chain", l.Lineage, l.N)
		return true, nil
	case !ok && top.N < l.N:
		j.say(short, "proof-short", l.Lineage, l.N, top.N)
	default:
		j.say(fails, "proof-other", l.Lineage, l.N)
	}
	return false, nil
}

// waiting says how many of the entries that waited have come since.
func (j *judgement) waiting() error {
	all, came := 0, 0
	for _, g := range j.cert.Waiting {
		for _, n := range g.Names {
			_, ok, err := j.c.store.Chain(n.Lineage, max(n.N, 1))
			if err != nil {
				return err
			}
			all++
			if ok {
				came++
			}
		}
	}
	switch {
	case all == 0:
	case came == all:
		j.say(holds, "proof-came", came, all)
	default:
		j.say(open, "proof-came", came, all)
	}
	return nil
}

// books compares how far the station's lineages reached.
func (j *judgement) books() error {
	for _, l := range j.cert.Lineages {
		if slices.ContainsFunc(j.cert.Received, func(r proof.Received) bool { return r.Link == l }) {
			continue // said with its receipt
		}
		if _, err := j.chain(l, open); err != nil {
			return err
		}
	}
	return nil
}

// roots compares the trees as they are now. Where they differ and the feed went on
// since, that is why; where it did not, records differ.
func (j *judgement) roots() error {
	j.c.mu.Lock()
	known := j.c.fleet[j.cert.Station] != nil
	j.c.mu.Unlock()
	if !known {
		return nil
	}
	for _, f := range j.cert.Feeds {
		if f.Feed != record.OwnFeed && f.Feed != record.SharedFeed {
			continue
		}
		tree, err := j.c.store.Tree(j.cert.Station, f.Feed)
		if err != nil {
			return err
		}
		if tree.Root() == f.Root {
			j.say(holds, "proof-equal-"+f.Feed)
			continue
		}
		page, err := j.c.store.Offer(j.cert.Station, f.Cursor, 1)
		switch {
		case errors.Is(err, record.ErrCursor):
			j.say(open, "proof-cursor-"+f.Feed)
		case err != nil:
			return err
		case page.Cursor.Seq != f.Seq || len(page.Changes) > 0:
			j.say(open, "proof-moved-"+f.Feed)
		default:
			j.say(fails, "proof-differs-"+f.Feed)
		}
	}
	return nil
}

type proofCmd struct {
	Check proofCheckCmd `cmd:"" help:"Say what of a station's certificate holds."`
}

type proofCheckCmd struct {
	Data string `required:"" help:"Data folder." type:"path"`
	File string `arg:"" help:"The file that tram proof --out or the station's page wrote." type:"existingfile"`
}

// Run prints each thing that was checked in a sentence; it fails where one does not
// hold.
func (p proofCheckCmd) Run(ctx context.Context, t *tool) error {
	info, err := os.Stat(p.File)
	if err != nil {
		return err
	}
	if info.Size() > proof.MaxFile {
		return proof.ErrForm
	}
	raw, err := os.ReadFile(p.File)
	if err != nil {
		return err
	}
	if _, _, err := proof.Decode(raw); errors.Is(err, proof.ErrForm) {
		return err
	}
	s, err := t.ask(ctx, p.Data, asked{Do: "proof", Proof: raw})
	if err != nil {
		return err
	}
	broken := 0
	for _, r := range s.Ruled {
		args := make([]any, len(r.Args))
		for i, a := range r.Args {
			args[i] = a
		}
		fmt.Fprintf(t.out, "%s: %s\n", t.words[r.Is], fmt.Sprintf(t.words[r.Word], args...))
		if r.Is == fails {
			broken++
		}
	}
	if broken > 0 {
		return fmt.Errorf(t.words["proof-broken"], strconv.Itoa(broken))
	}
	fmt.Fprintln(t.out, t.words["proof-sound"])
	return nil
}
