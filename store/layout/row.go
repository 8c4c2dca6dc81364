package layout

import (
	"slices"

	"tram/store/record"
)

// Row is how a record stands.
type Row struct {
	Key record.Key
	// Past are the versions in the record's history, in the order they came.
	Past []Past
	// Head is upstream's version; zero before any.
	Head    record.Ref
	Pending []record.Ref
	Preview bool
	// Came is since when the record shows what it does; zero where that is not known.
	Came   int64
	Parked record.Reason
	Gone   bool
	// Feed, Turn and Seq are where the record stands in upstream's feed; Grown says
	// that its head is a leaf of the tree there.
	Feed  string
	Turn  uint64
	Seq   uint64
	Grown bool
	// Waits says that upstream has the head, and its own upstream has not.
	Waits bool
	// Patients are the numbers of the people in whose compartments it is.
	Patients []uint64
	// Readers are the feeds that offer it.
	Readers []string
	// Left are versions made here that upstream did not take and that were let go of.
	Left []record.Ref
}

// Past is one version of a record, its order among all versions, and when it came, in Unix
// milliseconds; zero where that is not known.
type Past struct {
	Ref  record.Ref
	At   uint64
	Came int64
}

// Same says that both are one version in one place, whenever they came.
func (p Past) Same(o Past) bool { return p.Ref == o.Ref && p.At == o.At }

// Find looks for a version by its name.
func (r *Row) Find(name record.Name) (Past, bool) {
	i := slices.IndexFunc(r.Past, func(p Past) bool { return p.Ref.Name == name })
	if i < 0 {
		return Past{}, false
	}
	return r.Past[i], true
}

// Line is what those below get of the record: what is pending here, until upstream's
// version includes it (replication.md, rule 5). It is zero where there is nothing.
func (r *Row) Line() record.Ref {
	if len(r.Pending) > 0 {
		return r.Pending[len(r.Pending)-1]
	}
	if r.Gone {
		return record.Ref{}
	}
	return r.Head
}

// The first byte of an encoded row: the form in which it stands, and the older one
// without any moment.
const (
	rowForm  = 2
	rowForm5 = 1 // up to schema 5
)

// Encode writes the row.
func (r *Row) Encode() []byte {
	w := &writer{b: make([]byte, 0, 128)}
	w.byte(rowForm)
	w.text(r.Key.Kind)
	w.text(r.Key.ID)
	w.number(uint64(len(r.Past)))
	for _, p := range r.Past {
		w.ref(p.Ref)
		w.number(p.At)
		w.number(uint64(p.Came))
	}
	r.place(w, r.Head)
	w.number(uint64(len(r.Pending)))
	for _, p := range r.Pending {
		r.place(w, p)
	}
	w.flags(r.Preview, r.Gone, r.Grown, r.Waits)
	w.number(uint64(r.Came - r.lastCame())) // nearly always nothing
	w.text(string(r.Parked))
	w.text(r.Feed)
	w.number(r.Turn)
	w.number(r.Seq)
	w.number(uint64(len(r.Patients)))
	for _, p := range r.Patients {
		w.number(p)
	}
	w.number(uint64(len(r.Readers)))
	for _, f := range r.Readers {
		w.text(f)
	}
	if len(r.Left) > 0 { // few have any
		w.number(uint64(len(r.Left)))
		for _, p := range r.Left {
			r.place(w, p)
		}
	}
	return w.b
}

// lastCame is when the last version came.
func (r *Row) lastCame() int64 {
	if len(r.Past) == 0 {
		return 0
	}
	return r.Past[len(r.Past)-1].Came
}

// place writes a version as its place in the past, which nearly all have.
func (r *Row) place(w *writer, ref record.Ref) {
	if ref.IsZero() {
		w.number(0)
		return
	}
	i := slices.IndexFunc(r.Past, func(p Past) bool { return p.Ref == ref })
	w.number(uint64(i + 2))
	if i < 0 {
		w.ref(ref)
	}
}

func (r *Row) placed(b *reader) record.Ref {
	switch n := b.number(); {
	case n == 0:
		return record.Ref{}
	case n == 1:
		return b.ref()
	case n-2 < uint64(len(r.Past)):
		return r.Past[n-2].Ref
	}
	b.fail()
	return record.Ref{}
}

// DecodeRow reads what Encode wrote.
func DecodeRow(stored []byte) (*Row, error) {
	b := &reader{b: stored}
	form := b.byte()
	if form != rowForm && form != rowForm5 {
		return nil, ErrForm
	}
	r := &Row{Key: record.Key{Kind: b.text(), ID: b.text()}}
	for range b.count() {
		p := Past{Ref: b.ref(), At: b.number()}
		if form == rowForm {
			p.Came = int64(b.number())
		}
		r.Past = append(r.Past, p)
	}
	r.Head = r.placed(b)
	for range b.count() {
		r.Pending = append(r.Pending, r.placed(b))
	}
	f := b.byte()
	r.Preview, r.Gone, r.Grown, r.Waits = f&1 != 0, f&2 != 0, f&4 != 0, f&8 != 0
	if form == rowForm {
		r.Came = r.lastCame() + int64(b.number())
	}
	r.Parked, r.Feed = record.Reason(b.text()), b.text()
	r.Turn, r.Seq = b.number(), b.number()
	for range b.count() {
		r.Patients = append(r.Patients, b.number())
	}
	for range b.count() {
		r.Readers = append(r.Readers, b.text())
	}
	if len(b.b) == 0 {
		return r, b.end()
	}
	for range b.count() {
		r.Left = append(r.Left, r.placed(b))
	}
	return r, b.end()
}

// OwnEntry is a change made here that has no receipt yet; its order is its key.
type OwnEntry struct {
	Number uint64
	Ref    record.Ref
	Prev   uint64
	// Foreign says that another replica made it: its chain is not ours to prove,
	// upstream's answer is enough.
	Foreign bool
	// Held says that it came from below and was not taken in here: upstream decides.
	Held bool
	// Urgent says that it goes before others.
	Urgent bool
	// Verdict and Reason are upstream's answer; empty before any.
	Verdict record.Verdict
	Reason  record.Reason
}

// Encode writes the entry.
func (e *OwnEntry) Encode() []byte {
	w := &writer{b: make([]byte, 0, 80)}
	w.number(e.Number)
	w.ref(e.Ref)
	w.number(e.Prev)
	w.flags(e.Foreign, e.Held, e.Urgent)
	w.text(string(e.Verdict))
	w.text(string(e.Reason))
	return w.b
}

// DecodeOwn reads what Encode wrote.
func DecodeOwn(stored []byte) (OwnEntry, error) {
	b := &reader{b: stored}
	e := OwnEntry{Number: b.number(), Ref: b.ref(), Prev: b.number()}
	f := b.byte()
	e.Foreign, e.Held, e.Urgent = f&1 != 0, f&2 != 0, f&4 != 0
	e.Verdict, e.Reason = record.Verdict(b.text()), record.Reason(b.text())
	return e, b.end()
}
