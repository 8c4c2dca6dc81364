package storage

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// at is how long the fastest part of the questions took at most.
func (r row) at(part float64) time.Duration {
	if len(r.Waits) == 0 {
		return 0
	}
	waits := slices.Sorted(slices.Values(r.Waits))
	return time.Duration(waits[min(int(part*float64(len(waits))), len(waits)-1)]) * time.Microsecond
}

// mean is how many hits a question has.
func (r row) mean() float64 { return float64(r.hits()) / float64(max(len(r.Waits), 1)) }

func (r row) hits() (sum int) {
	for _, n := range r.Hits {
		sum += n
	}
	return sum
}

// each is how many microseconds a hit took.
func (r row) each() float64 {
	var sum int64
	for _, w := range r.Waits {
		sum += w
	}
	return float64(sum) / float64(max(r.hits(), 1))
}

// printAsked sets side by side who answers how fast.
func (f *figures) printAsked(out io.Writer) {
	fmt.Fprintf(out, "\n%d people looked for, one after the other, milliseconds:\n", len(f.corpus.ask))
	fmt.Fprintf(out, "  %-20s %10s %12s %12s", "", "hits each", "store p50", "p99")
	for _, name := range []string{sqlite, pouchdb} {
		fmt.Fprintf(out, " %12s %10s %10s", name+" p50", "p99", "store is")
	}
	fmt.Fprintln(out)
	for _, kind := range []string{deskWords, deskIdentifier, fhirWords, fhirIdentifier, wholeRecord} {
		ours := f.looked.Asked[kind]
		fmt.Fprintf(out, "  %-20s %10.1f %12.2f %12.2f", kind, ours.mean(), milli(ours.at(0.5)), milli(ours.at(0.99)))
		for _, name := range []string{sqlite, pouchdb} {
			if r, ok := f.peers[name].Asked[kind]; ok {
				fmt.Fprintf(out, " %12.2f %10.2f %9.2fx", milli(r.at(0.5)), milli(r.at(0.99)), float64(r.at(0.99))/float64(max(ours.at(0.99), 1)))
			} else {
				fmt.Fprintf(out, " %12s %10s %10s", "-", "-", "-")
			}
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out, "  (\"store is\": how many times as fast at the 99th percentile)")
	for name, t := range f.peers {
		for kind, r := range t.Asked {
			if n := len(r.Waits); n < len(f.corpus.ask) {
				fmt.Fprintf(out, "  (%s, %s: only the first %d were asked, for want of patience)\n", name, kind, n)
			}
		}
	}
}

// target is a figure that the store is to reach. Sources: issue 3, Must show 6.
type target struct {
	name   string
	got    float64
	want   float64
	unit   string
	atMost bool
	why    string // where the figure comes from, of what was measured
}

func (t target) met() bool { return t.got >= t.want != t.atMost || t.got == t.want }

// print is the verdict: each target, and where the store loses.
func (f *figures) print(out io.Writer) {
	fmt.Fprintf(out, "\ntargets:\n")
	for _, t := range f.targets() {
		verdict, sign := "met", ">="
		if !t.met() {
			verdict = "NOT MET"
		}
		if t.atMost {
			sign = "<="
		}
		fmt.Fprintf(out, "  %-7s  %-46s %8.2f %s %g%s: %s\n", verdict, t.name, t.got, sign, t.want, t.unit, t.why)
	}
	fmt.Fprintf(out, "\nagainst others, which seal, version, audit and journal nothing:\n")
	for _, name := range []string{sqlite, pouchdb} {
		for _, n := range []int{1, writers} {
			if theirs, ok := f.written[n][name+": single puts"]; ok {
				ours := f.written[n][storePut]
				beside(out, fmt.Sprintf("writes, %d at once", n), name, ours.of(theirs),
					fmt.Sprintf("%.2f ms a write against %.2f, %.2f syncs against %.2f", 1000/ours.rate(), 1000/theirs.rate(), ours.syncsEach(), theirs.syncsEach()))
			}
		}
		for _, kind := range []string{fhirWords, fhirIdentifier, wholeRecord} {
			if theirs, ok := f.peers[name].Asked[kind]; ok {
				ours := f.looked.Asked[kind]
				beside(out, kind+", p99", name, float64(theirs.at(0.99))/float64(max(ours.at(0.99), 1)),
					fmt.Sprintf("%.2f ms against %.2f; all questions together %.0f us for each hit against %.0f", milli(ours.at(0.99)), milli(theirs.at(0.99)), ours.each(), theirs.each()))
			}
		}
	}
}

// beside is one line of how the store does against another.
func beside(out io.Writer, what, name string, ratio float64, why string) {
	verdict := "ahead"
	if ratio < 1 {
		verdict = "LOSES"
	}
	fmt.Fprintf(out, "  %-7s  %-28s %6.2f times as fast as %-8s %s\n", verdict, what, ratio, name+":", why)
}

func (f *figures) targets() []target {
	one, many := f.written[1], f.written[writers]
	each := func(s score) float64 { return 1000 / s.rate() } // ms of one write
	half := func(s score) float64 { return milli(s.at(0.5)) }
	bare := half(one[plainFile]) + half(one[bareSingle])
	out := []target{
		{"one writer, of bare bbolt's single puts", one[storePut].of(one[bareSingle]), 0.4, "", false,
			fmt.Sprintf("half of all writes take %.2f ms; a file's append and sync and bbolt's put, one after the other, take %.2f, which alone would be %.2f; %.2f is left for the store's own work",
				half(one[storePut]), bare, half(one[bareSingle])/bare, half(one[storePut])-bare)},
		{"64 writers, of bare bbolt's group commit", many[storePut].of(many[bareGroup]), 0.25, "", false,
			fmt.Sprintf("a write's share is %.3f ms and bbolt's %.3f; %.0f share a commit of the store, %.0f one of bbolt",
				each(many[storePut]), each(many[bareGroup]), perCommit(many[storePut]), perCommit(many[bareGroup]))},
		{"tram.db, of the plain JSON", float64(f.size.database) / float64(f.corpus.json), 1, "", true, "the most take " + f.size.largest(4)},
		{"opened from a warm cache", f.looked.Seconds, 5, " s", true,
			fmt.Sprintf("%.0f us for each of %d people, %.1f for each record", 1e6*f.looked.Seconds/float64(f.corpus.People), f.corpus.People, 1e6*f.looked.Seconds/float64(f.corpus.Records))},
		{"idle memory after opening", mega(f.looked.Memory[1]), 120, " MB", true,
			fmt.Sprintf("%.0f before the store was opened, %.0f garbage, %.0f held: %d bytes for each person", mega(f.looked.Memory[0]), mega(f.looked.Memory[1]-f.looked.Memory[2]),
				mega(f.looked.Memory[2]-f.looked.Memory[0]), (f.looked.Memory[2]-f.looked.Memory[0])/int64(max(f.corpus.People, 1)))},
	}
	for _, kind := range []string{deskWords, deskIdentifier, fhirWords, fhirIdentifier} {
		r := f.looked.Asked[kind]
		out = append(out, target{"person, " + kind + ", p99", milli(r.at(0.99)), 20, " ms", true, fmt.Sprintf("p50 %.2f; %.1f hits each among %d people", milli(r.at(0.5)), r.mean(), f.corpus.People)})
	}
	r := f.looked.Asked[wholeRecord]
	return append(out, target{wholeRecord + ", p99", milli(r.at(0.99)), 50, " ms", true, fmt.Sprintf("p50 %.2f; %.1f records each", milli(r.at(0.5)), r.mean())})
}

func perCommit(s score) float64 { return float64(s.n) / float64(max(s.commits, 1)) }
