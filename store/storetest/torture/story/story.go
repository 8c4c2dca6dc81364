// Package story is what a process that writes says of itself, and the plain
// model of what must be on the disk after it was cut short.
//
// It owns the mark, written as one line before and after each thing that is
// asked of a store, and the model that marks add up to. It promises that a model
// tells apart what was acknowledged, which must be there, what was begun and not
// answered, which may be there whole, and all else, which must not. It does no
// I/O of its own and does not know how a store keeps things.
package story

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Word says what a mark tells.
type Word string

// The words.
const (
	Opened  Word = "opened"  // a store was opened, under Mark.Lineage
	Closed  Word = "closed"  // it was closed
	Begun   Word = "begun"   // Mark.ID was asked for
	Saved   Word = "saved"   // Mark.ID was acknowledged; for writes with Mark.Names
	Refused Word = "refused" // Mark.ID was refused: nothing of it is there
	Unknown Word = "unknown" // Mark.ID failed, and may be there whole
	Settled Word = "settled" // a judge found that Mark.ID, begun, is there or is not
	Note    Word = "note"    // something for people to read
)

// Mark is one line.
type Mark struct {
	Word    Word     `json:"is"`
	ID      int64    `json:"id,omitempty"`
	Lineage string   `json:"lineage,omitempty"`
	Names   []string `json:"names,omitempty"` // of the versions that writes became
	There   bool     `json:"there,omitempty"` // of what is settled
	Text    string   `json:"text,omitempty"`
	Asked
}

// Asked is what was asked for: one of the fields.
type Asked struct {
	Writes  []Write  `json:"writes,omitempty"`
	Blob    string   `json:"blob,omitempty"` // its id
	Setting *Setting `json:"set,omitempty"`
	Audit   *Audit   `json:"audit,omitempty"`
	Held    []Held   `json:"held,omitempty"`   // versions that upstream says it holds
	Cursor  *Cursor  `json:"cursor,omitempty"` // also beside Writes
}

// Write is one version to be. Name is empty where the store names it.
type Write struct {
	Key     string `json:"key"`
	Name    string `json:"name,omitempty"`
	Content string `json:"is,omitempty"`
	Delete  bool   `json:"del,omitempty"`
	// Far says that another replica made it, so that nobody here did; Down that it
	// came from upstream, of which the journal keeps nothing.
	Far  bool `json:"far,omitempty"`
	Down bool `json:"down,omitempty"`
}

// Setting is a small value under a name. One process sets a name's values one
// after the other.
type Setting struct{ Name, Value string }

// Audit is an entry about a record, told apart by its code.
type Audit struct{ Key, Code string }

// Held is a version that upstream holds.
type Held struct{ Key, Name string }

// Cursor is how far a feed got.
type Cursor struct {
	Feed string
	Seq  uint64
}

// Teller writes marks. It is safe for concurrent use.
type Teller struct {
	mu   sync.Mutex
	w    io.Writer
	last int64
}

// NewTeller writes to w, one Write for a mark, and numbers from after on.
func NewTeller(w io.Writer, after int64) *Teller { return &Teller{w: w, last: after} }

// Tell writes a mark.
func (t *Teller) Tell(m Mark) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tell(m)
}

func (t *Teller) tell(m Mark) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = t.w.Write(append(b, '\n'))
	return err
}

// Begin tells that something is asked for, and numbers it.
func (t *Teller) Begin(a Asked) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	return t.last, t.tell(Mark{Word: Begun, ID: t.last, Asked: a})
}

// Parse reads lines of marks; a last one without an end was cut short and does
// not count.
func Parse(b []byte) ([]Mark, error) {
	var out []Mark
	for {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return out, nil
		}
		b = rest
		var m Mark
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("line %d of a story: %w", len(out)+1, err)
		}
		out = append(out, m)
	}
}
