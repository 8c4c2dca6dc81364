// Package status owns what a station says about itself: the report in front of
// each exchange, the health values that follow from it, and every word about
// them that people read, in Vietnamese and English.
//
// It promises that a report holds no patient's data and fits into 1 KB, that
// every code on its closed list has words in both languages, and that the same
// report and moment give the same values on a station and at its centre. It
// does no I/O, reads no clock, and does not know how facts are collected or
// carried.
package status

// Severity says how much a health value matters.
type Severity string

// The severities, from nothing to worst.
const (
	OK   Severity = "ok"   // nothing to do
	Info Severity = "info" // good to know; work goes on
	Warn Severity = "warn" // somebody should do something soon
	Stop Severity = "stop" // saving or sending has stopped until somebody acts
)

// level orders severities; an unknown one counts as Warn.
func (s Severity) level() int {
	switch s {
	case OK:
		return 0
	case Info:
		return 1
	case Stop:
		return 3
	}
	return 2
}

// Health is one thing that is so at a station, with what to do about it.
type Health struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	// Title and Todo are empty until In fills them.
	Title string `json:"title"`
	Todo  string `json:"todo"`
	// Why is the code of another value in the same list that explains this one:
	// when that is settled, this one goes by itself. Empty where none does.
	Why Code `json:"why,omitempty"`
	// Params are the report's figures for the texts, by name.
	Params map[string]string `json:"-"`
}

// In returns h with its words in a language ("vi" or "en"), for a station's people.
func (h Health) In(lang string) Health { return h.said(lang, Words) }

// AtCentre is the same for those whom a station's people are told to call.
func (h Health) AtCentre(lang string) Health { return h.said(lang, centreWords) }

func (h Health) said(lang string, words func(lang, code string) (title, todo string)) Health {
	title, todo := words(lang, string(h.Code))
	params := h.Params
	if h.Code == RefusedStick {
		why, what := StickWords(lang, Stick(params["stick"]))
		params = map[string]string{"stick": why, "sticktodo": what}
	}
	h.Title, h.Todo = fill(title, params), fill(todo, params)
	return h
}

// In returns a copy of the values with their words in a language.
func In(lang string, values []Health) []Health {
	out := make([]Health, len(values))
	for i, h := range values {
		out[i] = h.In(lang)
	}
	return out
}

// AtCentre is the same for the centre.
func AtCentre(lang string, values []Health) []Health {
	out := make([]Health, len(values))
	for i, h := range values {
		out[i] = h.AtCentre(lang)
	}
	return out
}

// Worst is the worst severity in the list; OK for an empty one.
func Worst(values []Health) Severity {
	worst := OK
	for _, h := range values {
		if h.Severity.level() > worst.level() {
			worst = h.Severity
		}
	}
	return worst
}

// Well reports whether nobody needs to do anything: nothing is Warn or Stop.
func Well(values []Health) bool { return Worst(values).level() < Warn.level() }
