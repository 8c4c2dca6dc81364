package agent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tram/agent/health"
	"tram/agent/web/show"
	"tram/store/account"
	"tram/store/fhir"
	"tram/store/seal"
	"tram/sync/proof"
	"tram/sync/status"
)

// compared is how both sides compared last.
func (a *Agent) compared() proof.Last {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// tallied adds to a report what people have to look at: open conflicts by element
// and class, and values of this station's staff that they were not told of.
func (a *Agent) tallied(r status.Report) status.Report {
	tally, err := a.store.Tally()
	if err != nil {
		a.o.Log.Error("cannot count conflicts", "err", err)
		return r
	}
	counts := map[status.Group]int64{}
	for c, n := range tally.Contested {
		element, class := a.merger.Class(c.Kind, c.Path)
		counts[status.Group{Kind: c.Kind, Element: strings.ReplaceAll(element, "[x]", ""), Class: class}] += int64(n)
	}
	for g, n := range counts {
		g.N = n
		r.Contested = append(r.Contested, g)
	}
	slices.SortFunc(r.Contested, func(a, b status.Group) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Element, b.Element))
	})
	book := account.New(a.store, time.Now, account.Cost{})
	for author, n := range tally.Untold {
		if _, err := book.Find(author); err == nil { // a program is not told
			r.Untold += int64(n)
		}
	}
	return r
}

// errDay says that a day is not written as one.
var errDay = errors.New("a day is written as 2026-11-27")

// sendProof sends the certificate of a day, today's where none is named.
func (a *Agent) sendProof(w http.ResponseWriter, r *http.Request) {
	rep := a.Report()
	day := time.UnixMilli(rep.Made + rep.Offset)
	if text := r.URL.Query().Get("day"); text != "" {
		var err error
		if day, err = time.ParseInLocation(time.DateOnly, text, time.Local); err != nil {
			answer(w, nil, errDay)
			return
		}
	}
	c, err := health.Certify(a.store, rep, day, a.compared())
	if err != nil {
		answer(w, nil, err)
		return
	}
	b, _, err := proof.Encode(c)
	answer(w, json.RawMessage(b), err)
}

type proofCmd struct {
	Day  string `help:"The day, such as 2026-11-27; today where it is left out." placeholder:"DATE"`
	Out  string `help:"Also write the certificate into a file that the centre can check." type:"path" placeholder:"FILE"`
	JSON bool   `help:"Print it for programs."`
}

// Run prints the certificate that the running station makes.
func (c proofCmd) Run(t *tool) error {
	if _, err := time.Parse(time.DateOnly, c.Day); c.Day != "" && err != nil {
		return errors.New(words(t.lang(), "proof-day"))
	}
	var raw json.RawMessage
	if err := t.call("GET", "/local/proof?day="+c.Day, "", nil, &raw); err != nil {
		return err
	}
	cert, digest, err := proof.Decode(raw)
	if err != nil {
		return err
	}
	if c.Out != "" {
		var file bytes.Buffer
		if err := json.Indent(&file, raw, "", " "); err != nil {
			return err
		}
		file.WriteByte('\n')
		if err := seal.WriteFile(c.Out, file.Bytes()); err != nil {
			return fmt.Errorf("write the certificate: %w", err)
		}
	}
	if c.JSON {
		return printJSON(t.out, raw)
	}
	kinds, err := t.kinds()
	if err != nil {
		return err
	}
	sections, err := proof.Sections(cert, digest, t.lang(), kinds)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(t.out, proof.Text(sections))
	return err
}

// kinds says what a kind of record is called, as the page does.
func (t *tool) kinds() (func(string) string, error) {
	r4, err := fhir.Load()
	if err != nil {
		return nil, err
	}
	s, err := show.New(r4, t.lang(), time.Local)
	if err != nil {
		return nil, err
	}
	return s.Kind, nil
}
