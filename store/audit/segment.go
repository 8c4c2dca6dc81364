package audit

import (
	"encoding/json"

	"tram/store/record"
)

// Segment is a run of entries of a replica's chain, as another one keeps it.
type Segment struct {
	// From is the number of the first entry, from 1 on; the others follow.
	From uint64 `json:"from"`
	// Before is the digest of the entry before, zero for none; After that of the last one.
	Before record.Digest `json:"before,omitzero"`
	After  record.Digest `json:"after,omitzero"`
	// Acts are the entries, each the JSON of an Entry as it was chained.
	Acts []json.RawMessage `json:"-"`
}

// Last is the number of the last entry; 0 where there is none.
func (s *Segment) Last() uint64 {
	if len(s.Acts) == 0 {
		return 0
	}
	return s.From + uint64(len(s.Acts)) - 1
}

// Sound reports whether the entries lead from Before to After: none was altered, taken
// out or put in.
func (s *Segment) Sound() bool {
	at := s.Before
	for _, text := range s.Acts {
		at = LinkText(at, Entry{}, text).Chain
	}
	return at == s.After
}

// Entries are the entries. It fails where one is none.
func (s *Segment) Entries() ([]Entry, error) {
	out := make([]Entry, len(s.Acts))
	for i, text := range s.Acts {
		if err := json.Unmarshal(text, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
