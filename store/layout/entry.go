package layout

// What a journal's entry can be of.
const (
	// Put is a version made here: its bytes.
	Put = 'p'
	// Taken is a change from below: the peer, the decision as JSON, the bytes of its
	// version and of the merge, which may be empty.
	Taken = 't'
	// Void takes back the entry that ends at a position of the journal.
	Void = 'v'
	// Setting is a small value: the key it stands under, and the value.
	Setting = 's'
	// Act is an entry of the audit: its order, and the entry as JSON.
	Act = 'a'
	// Peer is a replica below, as JSON.
	Peer = 'e'
	// Whole, the first of its transaction, says that the entries behind it make all of
	// the transaction: its number in the database, 8 bytes. Journals of schema 3 to 5 may
	// have it without; then the number is empty, which no transaction has.
	Whole = 'w'
)

// Entry is what the journal keeps of one change: enough to make it again.
type Entry struct {
	Kind  byte
	Parts [][]byte
}

// parts is how many parts an entry of each kind has; -1 for an unknown kind.
func parts(kind byte) int {
	switch kind {
	case Taken:
		return 4
	case Setting, Act:
		return 2
	case Put, Void, Peer, Whole:
		return 1
	}
	return -1
}

// EncodeEntries writes the entries of one transaction.
func EncodeEntries(es []Entry) []byte {
	size := 0
	for _, e := range es {
		for _, p := range e.Parts {
			size += len(p) + 8
		}
	}
	w := &writer{b: make([]byte, 0, size+2)}
	for _, e := range es {
		w.byte(e.Kind)
		for _, p := range e.Parts {
			w.part(p)
		}
	}
	return w.b
}

// DecodeEntries reads what EncodeEntries wrote.
func DecodeEntries(stored []byte) ([]Entry, error) {
	b := &reader{b: stored}
	var out []Entry
	for len(b.b) > 0 {
		e := Entry{Kind: b.byte()}
		n := parts(e.Kind)
		if n < 0 {
			return nil, ErrForm
		}
		if e.Kind == Whole && (len(b.b) == 0 || b.b[0] != 8) {
			e.Parts, n = [][]byte{nil}, 0
		}
		for range n {
			e.Parts = append(e.Parts, b.take(b.number()))
		}
		out = append(out, e)
	}
	return out, b.end()
}
