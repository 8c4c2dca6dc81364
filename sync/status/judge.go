package status

import (
	"slices"
	"strconv"
)

const (
	minute = int64(60_000)
	day    = 24 * 60 * minute

	// linkTries is how many failures in a row make a missing link worth saying;
	// one or two are an ordinary day at the end of a thin line.
	linkTries = 3
	// clockSlack is how far a PC's clock may be off before it is said.
	clockSlack = 5 * minute

	// stickPatience is how long a stick may be under way: it goes by hand, there and
	// back.
	stickPatience = 7 * day

	mega = int64(1 << 20)
)

// Judge tells how a station is and why, from its report, at the moment now
// (Unix milliseconds by the centre's clock; a station gives its own clock plus
// Offset). The values are ordered by severity, where a cause counts as much as
// the worst that follows from it and stands before it: the first one is the
// answer to "why". A station with nothing to say is Fine.
func Judge(r Report, now int64) []Health {
	r = r.bounded()
	found := map[Code]bool{}
	unknown := Code("")
	known := Codes()
	for _, c := range r.Codes {
		if !slices.Contains(known, c) {
			found[UnknownCode], unknown = true, c
		} else if c != Fine {
			found[c] = true
		}
	}
	if c := r.Failure.code(); c != "" && r.Failures > 0 {
		patient := c == NoLink || c == LinkCuts || c == CentreBusy
		if !patient || r.Failures >= linkTries {
			found[c] = true
		}
		if c == UnknownCode {
			unknown = Code(r.Failure)
		}
	}
	drawFigures(r, now, found)
	if found[DiskFull] { // of the states of a disk, the worst is told
		delete(found, DiskNoFiles)
	}
	if found[DiskFull] || found[DiskNoFiles] {
		delete(found, DiskLow)
	}
	if len(found) == 0 {
		found[Fine] = true
	}
	return explain(found, params(r, now, unknown))
}

// drawFigures adds the values that follow from a report's figures.
func drawFigures(r Report, now int64, found map[Code]bool) {
	set := func(c Code, is bool) {
		if is {
			found[c] = true
		}
	}
	set(Parked, r.Parked > 0)
	set(Conflicts, r.Conflicts > 0)
	set(Untold, r.Untold > 0)
	set(Undated, r.Undated > 0)
	set(Messages, r.Messages > 0)
	set(ClockDoubt, r.Doubt || r.Offset > clockSlack || r.Offset < -clockSlack)
	set(Silent, now-(r.Made+r.Offset) >= day)
	// One that was too old tells only that a later one was quicker.
	set(RefusedStick, r.Stick.Refused != "" && r.Stick.Refused != StickOld)
	set(SilentStick, stickOut(r, now) >= stickPatience)
	switch days := behind(r, now) / day; {
	case days >= 21:
		found[Behind21] = true
	case days >= 7:
		found[Behind7] = true
	case days >= 3:
		found[Behind3] = true
	case days >= 1:
		found[Behind1] = true
	}
}

// behind is for how many milliseconds the station has not reached its centre,
// or its oldest entry has waited, whichever is longer.
func behind(r Report, now int64) int64 {
	var out int64
	for _, since := range []int64{r.Synced, r.Oldest} {
		if since > 0 {
			out = max(out, now-(since+r.Offset))
		}
	}
	return out
}

// stickOut is for how many milliseconds nothing was heard of the oldest stick on its
// way; 0 where none is.
func stickOut(r Report, now int64) int64 {
	if r.Stick.Since == 0 {
		return 0
	}
	return max(0, now-(r.Stick.Since+r.Offset))
}

// explain turns the codes found into values, each with its cause if that was
// found too, and puts them in order.
func explain(found map[Code]bool, params map[string]string) []Health {
	type value struct {
		Health
		weight, rank int
	}
	var out []value
	at := map[Code]int{}
	table := rules()
	for rank, ru := range table {
		if found[ru.code] {
			at[ru.code] = len(out)
			h := Health{Code: ru.code, Severity: ru.severity, Params: params}
			out = append(out, value{h, ru.severity.level(), rank})
		}
	}
	// From the last effect up, so that a weight climbs through a chain of causes.
	for _, ru := range slices.Backward(table) {
		i, ok := at[ru.code]
		if !ok {
			continue
		}
		for _, effect := range ru.explains {
			if j, ok := at[effect]; ok {
				out[j].Why = ru.code
				out[i].weight = max(out[i].weight, out[j].weight)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b value) int {
		if a.weight != b.weight {
			return b.weight - a.weight
		}
		return a.rank - b.rank
	})
	list := make([]Health, len(out))
	for i, v := range out {
		list[i] = v.Health
	}
	return list
}

// params are the figures that texts may name.
func params(r Report, now int64, unknown Code) map[string]string {
	num := func(n int64) string { return strconv.FormatInt(n, 10) }
	off := r.Offset
	if off < 0 {
		off = -off
	}
	return map[string]string{
		"station":   r.Station,
		"version":   r.Version,
		"waiting":   num(r.Waiting),
		"parked":    num(r.Parked),
		"conflicts": num(r.Conflicts),
		"untold":    num(r.Untold),
		"undated":   num(r.Undated),
		"messages":  num(r.Messages),
		"failures":  num(r.Failures),
		"days":      num(max(0, behind(r, now)) / day),
		"silent":    num(max(0, now-(r.Made+r.Offset)) / day),
		"offset":    num(off / minute),
		"free":      size(r.DiskFree),
		"code":      string(unknown),
		"sticks":    num(r.Stick.Out),
		"stickdays": num(stickOut(r, now) / day),
		"stick":     string(r.Stick.Refused), // In gives it its words
		"sticktodo": "",
	}
}

// size is a number of bytes in whole MB, or GB from 10 of them on.
func size(n int64) string {
	if n >= 10240*mega {
		return strconv.FormatInt(n/(1024*mega), 10) + " GB"
	}
	return strconv.FormatInt(n/mega, 10) + " MB"
}
