package api

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// levels is how many numbers of clients there are.
const levels = 3

// table is all that is printed in the end.
type table struct {
	people, records int
	rows            []row
	http, bolt      [levels]score
	said            []string
}

// row is one operation with one number of clients: the station, then Medplum, whose
// score is empty where it did not run.
type row struct {
	name    string
	clients int
	scores  [2]score
}

// say notes a line for below the table.
func (t *table) say(format string, args ...any) {
	t.said = append(t.said, fmt.Sprintf(format, args...))
}

// memory notes what the servers hold without the pages of files, and how busy the
// machine is where it tells.
func (t *table) memory(when string, tram, medplum *server) {
	line := fmt.Sprintf("memory %s: tram %d MB", when, tram.own()>>20)
	if medplum != nil {
		line += fmt.Sprintf(", Medplum %d MB", medplum.own()>>20)
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil { // proc_loadavg(5)
		load, _, _ := strings.Cut(string(b), " ")
		line += fmt.Sprintf("; the machine's load %s on %d cores", load, runtime.NumCPU())
	}
	t.say("%s.", line)
}

// print prints operation by operation what each side did, and how far that is from the
// other side and from what the machine allows the same number of clients.
func (t *table) print(out io.Writer) {
	fmt.Fprintf(out, "\nthe FHIR API with %d records of %d people, milliseconds:\n", t.records, t.people)
	fmt.Fprintf(out, "%-26s %7s | %9s %9s %9s %9s %7s %8s | %9s %9s %9s %9s %7s | %8s %8s %8s\n", "", "clients",
		"tram 1/s", "p50", "p99", "worked", "hits", "commits", "Medplum", "p50", "p99", "worked", "hits", "tram is", "of HTTP", "of bbolt")
	for _, r := range t.rows {
		ours, theirs := r.scores[0], r.scores[1]
		level := slices.Index(clients(), r.clients)
		fmt.Fprintf(out, "%-26s %7d | %s %8.3f | %s | %8s %8s %8s\n", r.name, r.clients,
			ours, ours.each(float64(ours.commits)), theirs,
			ours.of(theirs), ours.of(t.http[level]), ours.of(t.bolt[level]))
	}
	fmt.Fprintln(out, "what the machine allows, of the same client:")
	for i, n := range clients() {
		fmt.Fprintf(out, "%-26s %7d | %s\n", "HTTP with empty answers", n, t.http[i])
	}
	for i, n := range clients() {
		fmt.Fprintf(out, "%-26s %7d | %s\n", "bbolt alone, synced", n, t.bolt[i])
	}
	fmt.Fprintln(out, "Each read and search of the station is written down before it is answered, with a sync of its own or shared, and each write is synced twice;")
	fmt.Fprintln(out, "Medplum keeps nothing on the disk. Commits are those of the database for each request; the sync of the journal comes on top.")
	fmt.Fprintln(out, "Worked is the server's own processor time for each request, which says the same on a busy machine as on an idle one.")
	for _, s := range t.said {
		fmt.Fprintln(out, s)
	}
}

// String is the rate, the waits, and the work and hits of a request; nothing was
// measured where there are none.
func (s score) String() string {
	if len(s.waits) == 0 {
		return fmt.Sprintf("%9s %9s %9s %9s %7s", "-", "-", "-", "-", "-")
	}
	return fmt.Sprintf("%9.1f %9.2f %9.2f %9.2f %7.1f", s.rate(), milli(s.at(0.5)), milli(s.at(0.99)), s.each(milli(s.worked)), s.each(float64(s.hits)))
}

// of is how many times as many requests as another this is.
func (s score) of(o score) string {
	if len(s.waits) == 0 || len(o.waits) == 0 {
		return "-"
	}
	ratio, digits := s.rate()/o.rate(), 2
	switch {
	case ratio >= 10:
		digits = 0
	case ratio < 0.1:
		digits = 4
	}
	return fmt.Sprintf("%.*fx", digits, ratio)
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
