package central

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tram/store"
	"tram/store/record"
	"tram/sync/proof"
)

// certificate is what a station says of some of its versions, all of them received
// where there is a receipt.
func (p *pc) certificate(names ...record.Name) proof.Certificate {
	t := p.site.t
	t.Helper()
	r, err := p.Receipt(p.Lineage())
	must(t, err)
	top, _, err := p.Chain(p.Lineage(), 0)
	must(t, err)
	c := proof.Certificate{Station: p.name, Day: "2026-11-03", Entries: len(names), Lineages: []record.Link{top}}
	took, wait := proof.Received{Receipt: r}, proof.Group{Why: proof.Unsent}
	for _, n := range names {
		if n.N <= r.N {
			took.Numbers = append(took.Numbers, n.N)
		} else {
			wait.Names = append(wait.Names, n)
		}
	}
	if r.N > 0 {
		c.Received = []proof.Received{took}
	}
	if len(wait.Names) > 0 {
		c.Waiting = []proof.Group{wait}
	}
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		cursor, err := p.Cursor(feed)
		must(t, err)
		tree, err := p.Tree(store.Upstream, feed)
		must(t, err)
		c.Feeds = append(c.Feeds, proof.Feed{Cursor: cursor, Root: tree.Root()})
	}
	return c
}

// ruled checks a certificate and draws what was ruled: "word/is".
func (s *site) ruled(c proof.Certificate) []string {
	s.t.Helper()
	b, _, err := proof.Encode(c)
	must(s.t, err)
	got, err := s.prove(b)
	must(s.t, err)
	var out []string
	for _, r := range got.Ruled {
		out = append(out, strings.TrimPrefix(r.Word, "proof-")+"/"+strings.TrimPrefix(r.Is, "proof-"))
	}
	return out
}

func (p *pc) version(k record.Key) record.Name {
	p.site.t.Helper()
	st, err := p.Get(k)
	must(p.site.t, err)
	return st.Shown.Name
}

func TestCertificateIsChecked(t *testing.T) {
	s := newSite(t)
	a := s.enrolledPC("tram-a")
	k := a.born("")
	first := a.version(k)
	a.sync()
	second := a.version(a.born(""))
	good := a.certificate(first, second)
	want := func(name string, c proof.Certificate, want ...string) {
		t.Helper()
		if got := s.ruled(c); !slices.Equal(got, want) {
			t.Errorf("%s: %v\nwant %v", name, got, want)
		}
	}
	change := func(f func(*proof.Certificate)) proof.Certificate {
		c := good
		c.Received, c.Feeds, c.Lineages = slices.Clone(good.Received), slices.Clone(good.Feeds), slices.Clone(good.Lineages)
		f(&c)
		return c
	}
	want("as it is", good, "whole/holds", "sum/holds", "signed/holds", "chain/holds", "held/holds", "came/open", "short/open", "equal-own/holds", "equal-shared/holds")
	want("a receipt that nobody signed", change(func(c *proof.Certificate) { c.Received[0].At++ }),
		"whole/holds", "sum/holds", "unsigned/fails", "came/open", "short/open", "equal-own/holds", "equal-shared/holds")
	want("an entry that never came", change(func(c *proof.Certificate) {
		c.Received[0].Numbers, c.Entries = append(slices.Clone(c.Received[0].Numbers), second.N), 3
	}), "whole/holds", "sum/holds", "signed/holds", "chain/holds", "missing/fails", "came/open", "short/open", "equal-own/holds", "equal-shared/holds")
	want("a sum that is wrong", change(func(c *proof.Certificate) { c.Entries = 9 }),
		"whole/holds", "sum/fails", "signed/holds", "chain/holds", "held/holds", "came/open", "short/open", "equal-own/holds", "equal-shared/holds")
	want("a root that is another, at the same place", change(func(c *proof.Certificate) { c.Feeds[0].Root = record.Sum() }),
		"whole/holds", "sum/holds", "signed/holds", "chain/holds", "held/holds", "came/open", "short/open", "differs-own/fails", "equal-shared/holds")
	want("a place that the centre never gave", change(func(c *proof.Certificate) { c.Feeds[0].Root, c.Feeds[0].Epoch = record.Sum(), "x" }),
		"whole/holds", "sum/holds", "signed/holds", "chain/holds", "held/holds", "came/open", "short/open", "cursor-own/open", "equal-shared/holds")
	want("a station that nobody knows", change(func(c *proof.Certificate) { c.Station = "tram-x" }),
		"whole/holds", "stranger/fails", "sum/holds", "signed/holds", "chain/holds", "held/holds", "came/open", "short/open")
	want("a book with another content", change(func(c *proof.Certificate) {
		c.Lineages[0] = good.Received[0].Link
		c.Lineages[0].Chain = record.Sum()
	}), "whole/holds", "sum/holds", "signed/holds", "chain/holds", "held/holds", "came/open", "other/fails", "equal-own/holds", "equal-shared/holds")
	// The station hands in what waited, and the feed goes on.
	a.sync()
	want("a day later", good, "whole/holds", "sum/holds", "signed/holds", "chain/holds", "held/holds", "came/holds", "chain/holds", "moved-own/open", "equal-shared/holds")
}

func TestCertificateMovesNoTerminal(t *testing.T) {
	s := newSite(t)
	b, _, err := proof.Encode(proof.Certificate{Station: "tram\x1b[2J\n-x"})
	must(t, err)
	got, err := s.prove(b)
	must(t, err)
	if i := slices.IndexFunc(got.Ruled, func(r ruling) bool { return r.Word == "proof-stranger" }); i < 0 || got.Ruled[i].Args[0] != "tram[2J-x" {
		t.Errorf("got %+v", got.Ruled)
	}
}

// A restored centre does not hold what it signed for later.
func TestCertificateAtRestoredCentre(t *testing.T) {
	s := newSite(t)
	a := s.enrolledPC("tram-a")
	a.born("")
	a.sync()
	s.end()
	old := filepath.Join(t.TempDir(), "old")
	must(t, os.CopyFS(old, os.DirFS(s.dir)))
	s.start()
	later := a.version(a.born(""))
	a.sync()
	c := a.certificate(later)
	s.end()
	must(t, os.RemoveAll(s.dir))
	must(t, os.CopyFS(s.dir, os.DirFS(old)))
	s.start()
	if got := s.ruled(c); !slices.Contains(got, "short/fails") {
		t.Errorf("got %v, want the book to be too short", got)
	}
}

func TestProofCheckCommand(t *testing.T) {
	s := newSite(t)
	a := s.enrolledPC("tram-a")
	name := a.version(a.born(""))
	a.sync()
	b, _, err := proof.Encode(a.certificate(name))
	must(t, err)
	words := allWords(t)["en"]
	for file, c := range map[string]struct {
		text string
		code int
		out  string
		err  string
	}{
		"good.json":    {string(b), 0, "Holds: The centre holds all 1 entries", ""},
		"altered.json": {strings.Replace(string(b), `"entries": 1`, `"entries": 2`, 1), 1, "DOES NOT HOLD: The certificate was altered", "1 things do not hold"},
		"none.json":    {"hello", 1, "", words["proof-form"]},
	} {
		at := filepath.Join(t.TempDir(), file)
		must(t, os.WriteFile(at, []byte(c.text), 0o600))
		var out, trouble strings.Builder
		code := Main(context.Background(), []string{"--language", "en", "proof", "check", "--data", s.dir, at}, &out, &trouble)
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(trouble.String(), c.err) || strings.Contains(out.String()+trouble.String(), "%!") {
			t.Errorf("%s: %d\n%s%s", file, code, out.String(), trouble.String())
		}
	}
}
