package thin

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// table is all that is printed in the end.
type table struct {
	rows []row
	left []string // what was left out, and why
}

// row is one figure of each side; those that there are not are "".
type row struct {
	name                      string
	tram, pouch, bundle, zpaq string
	targets                   []target
}

// target is a figure that is to be reached. Source: issue 5.
type target struct {
	what   string // what the figure is; "" where the row says it
	got    float64
	want   float64
	unit   string
	atMost bool
}

func (t target) met() bool { return t.got >= t.want != t.atMost || t.got == t.want }

func (t target) String() string {
	verdict, sign := "NOT MET", ">="
	if t.met() {
		verdict = "met"
	}
	if t.atMost {
		sign = "<="
	}
	what := t.what
	if what != "" {
		what += " "
	}
	return fmt.Sprintf("%-7s %s%.2f %s %g%s", verdict, what, t.got, sign, t.want, t.unit)
}

// atMost and atLeast are targets.
func atMost(what string, got, want float64, unit string) target {
	return target{what, got, want, unit, true}
}

func atLeast(what string, got, want float64, unit string) target {
	return target{what, got, want, unit, false}
}

// part begins the rows of a part.
func (t *table) part(format string, args ...any) {
	t.rows = append(t.rows, row{name: fmt.Sprintf(format, args...)})
}

func (t *table) add(r row) {
	r.name = "  " + r.name
	t.rows = append(t.rows, r)
}

// leave notes what was left out, once.
func (t *table) leave(what string) {
	if !slices.Contains(t.left, what) {
		t.left = append(t.left, what)
	}
}

func (t *table) print(out io.Writer) {
	const columns = "%-34s %14s %14s %14s %10s   "
	fmt.Fprintf(out, "\n"+columns+"target\n", "", "tram", "PouchDB", "gzip'd bundle", "zpaq -m5")
	missed, all := 0, 0
	for _, r := range t.rows {
		line := r.name
		if strings.HasPrefix(r.name, "  ") {
			line = fmt.Sprintf(columns, r.name, or(r.tram), or(r.pouch), or(r.bundle), or(r.zpaq))
		}
		for i, g := range r.targets {
			if i > 0 {
				line += "\n" + fmt.Sprintf(columns, "", "", "", "", "")
			}
			line += g.String()
			all++
			if !g.met() {
				missed++
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	fmt.Fprintf(out, "%d of %d targets are not met.\n", missed, all)
	for _, l := range t.left {
		fmt.Fprintf(out, "Left out: %s.\n", l)
	}
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Figures as they are printed.
func kilo(n int64) string             { return fmt.Sprintf("%.1f", float64(n)/1e3) }
func count[N int | int64](n N) string { return fmt.Sprintf("%d", n) }
func tenths(x float64) string         { return fmt.Sprintf("%.1f", x) }
func hundredths(x float64) string     { return fmt.Sprintf("%.2f", x) }
