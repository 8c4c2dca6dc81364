package intake

import (
	_ "embed"
	"errors"
	"strconv"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"

	"tram/agent/intake/csv"
	"tram/agent/intake/hl7v2"
	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
)

//go:embed words.toml
var words []byte

// Code says why a file is not taken. The list only grows.
type Code string

// The codes that set a file aside.
const (
	NotJSON       Code = "not-json"
	Empty         Code = "empty"
	NotFHIR       Code = "not-fhir"
	TooLarge      Code = "too-large"
	TooDeep       Code = "too-deep"
	TooManyLines  Code = "too-many-lines"
	RefersNowhere Code = "refers-to-nothing"
	Stale         Code = "stale"
	IDTaken       Code = "id-taken"
	Deleted       Code = "deleted"
	Twice         Code = "twice"       // one record twice in a file
	Request       Code = "request"     // a Bundle entry asks for something else than to create or update
	Conditional   Code = "conditional" // a Bundle entry or reference that a search decides about
	Mismatch      Code = "id-mismatch" // an entry's address and its resource name different records
	NotAFile      Code = "not-a-file"  // a link, or something else than a file
	Unreadable    Code = "unreadable"  // the system does not let us read it
	Refused       Code = "refused"     // the store failed three times for no reason that we know
	ListFull      Code = "list-full"   // as many messages wait as may
	Rejected      Code = "rejected"    // a person said that it belongs to nobody here
	NotJoined     Code = "not-joined"  // nobody chose whom the number that is given up leads to
	BadFrame      Code = "bad-frame"   // no frame of MLLP, or too large a one
	NoMap         Code = "no-map"      // a table without a map
	TwoMaps       Code = "two-maps"    // a table that two maps are for
	AsideFull     Code = "aside-full"  // a message of the network, and aside/ takes no more
)

// The codes that leave a file for later.
const (
	DiskFull     Code = "disk-full"
	StoreStopped Code = "store-stopped"
)

// Codes lists all codes.
func Codes() []Code {
	out := []Code{NotJSON, Empty, NotFHIR, TooLarge, TooDeep, TooManyLines, RefersNowhere, Stale, IDTaken, Deleted,
		Twice, Request, Conditional, Mismatch, NotAFile, Unreadable, Refused, ListFull, Rejected, NotJoined, BadFrame, NoMap, TwoMaps, AsideFull, DiskFull, StoreStopped}
	for _, c := range hl7v2.Codes() { // those of messages and tables keep their names
		out = append(out, Code(c))
	}
	for _, c := range csv.Codes() {
		out = append(out, Code(c))
	}
	for _, why := range []Why{Unknown, Several, BareNumber, OtherName, OtherBirth, OtherSex} {
		out = append(out, Code("row-"+string(why)))
	}
	return out
}

// Refusal says why a file is not taken, and where in it. It names places and
// ids, never content.
type Refusal struct {
	Code Code
	Line int          // from 1, in the file; 0 where no line is to blame
	Path string       // of the element: "Patient.contact[0].name", "Bundle.entry[3].request"
	Key  record.Key   // the record that is meant
	What string       // for NotFHIR fhir.Issue.Key, for NotJSON fhir.SyntaxError.Code, for messages and tables their Error.What
	More []fhir.Issue // for NotFHIR what else is wrong
}

// Error names the code and the place.
func (r *Refusal) Error() string {
	s := string(r.Code)
	if r.Line > 0 {
		s += " at line " + strconv.Itoa(r.Line)
	}
	if r.Path != "" {
		s += " in " + r.Path
	}
	if !r.Key.IsZero() {
		s += " (" + r.Key.String() + ")"
	}
	return s
}

// Later reports whether the file can be taken later as it is.
func (r *Refusal) Later() bool { return r.Code == DiskFull || r.Code == StoreStopped }

// refusalOf makes of any error what it means for the file.
func refusalOf(err error) *Refusal {
	var r *Refusal
	var invalid *store.InvalidError
	var text *fhir.SyntaxError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &invalid):
		r = &Refusal{Code: NotFHIR, Key: invalid.Key, More: invalid.Issues}
		if len(invalid.Issues) > 0 {
			r.Path, r.What, r.More = invalid.Issues[0].Path, invalid.Issues[0].Key, invalid.Issues[1:]
		}
		return r
	case errors.As(err, &text): // within the file's limits, beyond the store's
		r = syntax(text, nil, 0)
		r.Line = 0
		return r
	case errors.Is(err, record.ErrStale), errors.Is(err, record.ErrMoved):
		return &Refusal{Code: Stale}
	case errors.Is(err, record.ErrExists), errors.Is(err, store.ErrParked):
		return &Refusal{Code: IDTaken}
	case errors.Is(err, record.ErrDeleted):
		return &Refusal{Code: Deleted}
	case diskFull(err), errors.Is(err, store.ErrFull):
		return &Refusal{Code: DiskFull}
	case errors.Is(err, store.ErrStopped):
		return &Refusal{Code: StoreStopped}
	}
	return &Refusal{Code: Refused}
}

// diskFull knows the errors of a full disk or quota: ENOSPC, EDQUOT, and
// ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL of Windows.
func diskFull(err error) bool {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return false
	}
	if windows {
		return no == 39 || no == 112
	}
	return no == syscall.ENOSPC || no == syscall.EDQUOT
}

// Text is one sentence that says what is wrong and what to do, in "vi" or
// "en"; any other language reads English.
func (r *Refusal) Text(language string) string {
	var table map[string]map[string]string
	if err := toml.Unmarshal(words, &table); err != nil {
		return string(r.Code)
	}
	word := func(key string) string {
		if s := table[key][language]; s != "" {
			return s
		}
		return table[key]["en"]
	}
	var where []string
	if r.Line > 0 {
		where = append(where, word("at-line")+" "+strconv.Itoa(r.Line))
	}
	if r.Path != "" {
		where = append(where, r.Path)
	}
	if !r.Key.IsZero() {
		where = append(where, r.Key.String())
	}
	place := ""
	if len(where) > 0 {
		place = " (" + strings.Join(where, ", ") + ")"
	}
	what := ""
	if r.What != "" {
		if what = word("what-" + r.What); what != "" {
			what = ": " + what
		}
	}
	text := word(string(r.Code))
	if text == "" {
		text = string(r.Code) + "{place}."
	}
	return strings.NewReplacer("{place}", place, "{what}", what).Replace(text)
}

// Note is what stands beside a file that was set aside: a sentence in each
// language, the code, and for IT the first places that are wrong.
func (r *Refusal) Note() []byte {
	lines := []string{r.Text("vi"), "", r.Text("en"), "", "[" + string(r.Code) + "]"}
	for i, m := range r.More {
		if i == 19 {
			lines = append(lines, "...")
			break
		}
		lines = append(lines, m.Path+": "+m.Key)
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}
