package practice

import (
	"compress/flate"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Summary says how much there is in some records.
type Summary struct {
	Kinds      []KindCount // by name of the kind
	Records    int
	Raw        int // bytes of JSON
	Compressed int // bytes after DEFLATE at its best, all records in one stream
}

// KindCount is how many records of one kind there are.
type KindCount struct {
	Kind    string
	Records int
}

// Summarize counts entries and compresses them.
func Summarize(entries []Entry) Summary {
	s := Summary{Records: len(entries)}
	count := new(counter)
	w, err := flate.NewWriter(count, flate.BestCompression)
	if err != nil {
		panic("practice: " + err.Error()) // the level is a constant
	}
	kinds := map[string]int{}
	for _, e := range entries {
		kinds[e.Kind]++
		s.Raw += len(e.Resource)
		// the counter below never fails
		_, _ = w.Write(e.Resource)
		_, _ = io.WriteString(w, "\n")
	}
	_ = w.Close()
	s.Compressed = int(*count)
	for kind, n := range kinds {
		s.Kinds = append(s.Kinds, KindCount{kind, n})
	}
	slices.SortFunc(s.Kinds, func(a, b KindCount) int { return strings.Compare(a.Kind, b.Kind) })
	return s
}

// String is one line for a person to read.
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records, %d bytes, compressed %d, %.0f bits a record:", s.Records, s.Raw, s.Compressed, s.Entropy())
	for _, k := range s.Kinds {
		fmt.Fprintf(&b, " %s %d", k.Kind, k.Records)
	}
	return b.String()
}

// Entropy is an upper bound of what a record says, in bits: what DEFLATE
// leaves of it when its neighbours are known.
func (s Summary) Entropy() float64 {
	if s.Records == 0 {
		return 0
	}
	return float64(8*s.Compressed) / float64(s.Records)
}

// Entropy is Summarize's figure of bits a record, for the log of a benchmark.
func Entropy(entries []Entry) float64 { return Summarize(entries).Entropy() }

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// Identifying returns what names or describes a person of this station and
// must never be readable on a disk: names, personal and insurance numbers,
// telephone numbers, birth dates before the year of the first day (a later
// one could also be the date of a log line), and the notes of the days made
// so far. Each string once.
func (s *Station) Identifying() []string {
	seen := map[string]bool{}
	var all []string
	add := func(texts ...string) {
		for _, text := range texts {
			if text != "" && !seen[text] {
				seen[text] = true
				all = append(all, text)
			}
		}
	}
	for _, p := range s.people {
		add(p.fullName(), p.personalID, p.oldID, p.insurance, p.phone, p.house.phone, p.house.line)
		if p.birth.year() < s.start.year() {
			add(p.birth.String())
		}
	}
	add(s.notes...)
	return all
}
