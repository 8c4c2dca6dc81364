package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tram/store/record"
)

const (
	// MaxReport is how long an encoded report may be, in bytes.
	MaxReport = 1024
	// maxRead is how much a reader takes: a newer station may say more.
	maxRead   = 4 << 10
	maxCodes  = 8
	maxGroups = 12
	// maxCount is above every number of things that need somebody.
	maxCount = 1 << 30
	maxInt   = 1 << 50 // above every time in milliseconds and every disk in bytes
)

// ErrReport says that a text is no status report.
var ErrReport = errors.New("not a status report")

// Failure says how the last exchange failed. The list is closed and only grows.
type Failure string

// The failures; empty where the last exchange succeeded.
const (
	FailLink        Failure = "link"        // the centre could not be reached
	FailCut         Failure = "cut"         // the link broke in mid-exchange
	FailLater       Failure = "later"       // the centre asked to come later
	FailRefused     Failure = "refused"     // the centre refuses this station
	FailCertificate Failure = "certificate" // a certificate did not verify
	FailNonsense    Failure = "nonsense"    // the answer could not be read
	FailVersion     Failure = "version"     // the centre wants a newer version
	FailSecond      Failure = "second"      // the centre heard another PC as this station
	FailHere        Failure = "here"        // this PC could not read or save
)

// code is the health value that a failure shows as; empty for none of its own.
func (f Failure) code() Code {
	switch f {
	case FailLink:
		return NoLink
	case FailCut:
		return LinkCuts
	case FailLater:
		return CentreBusy
	case FailRefused:
		return CentreRefuses
	case FailCertificate:
		return Certificate
	case FailNonsense:
		return CentreNonsense
	case FailVersion:
		return VersionOld
	case FailSecond:
		return SecondPC
	case FailHere:
		return ReadFailed
	case "":
		return ""
	}
	return UnknownCode
}

// Position is the last receipt: upstream proved that it holds the lineage up
// to N, at At by its clock (Unix milliseconds).
type Position struct {
	Lineage record.Lineage `json:"l"`
	N       uint64         `json:"n"`
	At      int64          `json:"at"`
}

// Group is how many elements of one kind and path are contested, with the class by
// which merging treats them. Element is a path without items: "contact.telecom".
type Group struct {
	Kind    string `json:"k"`
	Element string `json:"e"`
	Class   string `json:"c"`
	N       int64  `json:"n"`
}

// Sticks is what a station knows of the sticks that it wrote.
type Sticks struct {
	Last  uint64 `json:"n"`           // the number of the one written last
	Taken uint64 `json:"a,omitempty"` // the highest number whose answer was read
	// Out counts those on their way of which nothing was heard, Since is when the
	// first was written after the last of which anything was.
	Out   int64 `json:"o,omitempty"`
	Since int64 `json:"t,omitempty"`
	// Refused is why the last file was not taken; empty where an answer was, since.
	Refused Stick `json:"r,omitempty"`
}

// Report is what a station says of itself. It holds counts and codes, never a
// patient's data. Times are Unix milliseconds by the station's own clock, 0
// for never; sizes are bytes. Readers ignore fields they do not know.
type Report struct {
	Station string `json:"s"`
	Version string `json:"v"`
	Made    int64  `json:"t"`
	// Offset is what upstream's clock was ahead at the last exchange, in
	// milliseconds; Doubt says that this clock is or was wrong.
	Offset int64  `json:"off,omitempty"`
	Doubt  bool   `json:"dbt,omitempty"`
	OS     string `json:"os"`
	Arch   string `json:"ar"`

	DiskFree  int64 `json:"df"`
	DiskTotal int64 `json:"dt"`
	Database  int64 `json:"db"`

	People  int64 `json:"pe"`
	Records int64 `json:"re"`
	// Waiting counts entries not yet answered, Parked those upstream could not
	// take, Untold values in the vault whose writer has not seen it.
	Waiting   int64 `json:"wa,omitempty"`
	Parked    int64 `json:"pk,omitempty"`
	Conflicts int64 `json:"cf,omitempty"`
	Untold    int64 `json:"ut,omitempty"`
	// Undated counts the times that entries were made by a wrong clock and nobody has
	// said yet when it was.
	Undated int64 `json:"ud,omitempty"`
	// Messages counts those that came in and wait for somebody to say whose they are.
	Messages int64 `json:"ms,omitempty"`
	// Used is how many bytes went over the link today, where the centre bounds them.
	Used int64 `json:"lu,omitempty"`
	// Attachments counts those that are not known to be both here and upstream.
	Attachments int64 `json:"at,omitempty"`
	// Oldest is when the oldest entry that waits was made; 0 where none waits.
	Oldest int64 `json:"old,omitempty"`

	// Tried and Synced are when the last exchange was tried, and when one last
	// succeeded; a failure never moves Synced.
	Tried    int64   `json:"try,omitempty"`
	Synced   int64   `json:"syn,omitempty"`
	Failures int64   `json:"fn,omitempty"`
	Failure  Failure `json:"fc,omitempty"`

	Lineage record.Lineage `json:"li,omitempty"`
	Receipt Position       `json:"rc,omitzero"`
	Stick   Sticks         `json:"sk,omitzero"`
	// Up is how long the program has been running, in seconds.
	Up int64 `json:"up"`
	// Slot is the kind of slot that opened the key, such as "file" or "tpm".
	Slot string `json:"key,omitempty"`
	// Codes are the values that the station found by itself, beside those that
	// Judge draws from the figures; the first 8 travel.
	Codes []Code `json:"hc,omitempty"`
	// Contested are the groups of what a person must decide, the biggest first; as many
	// as there is room for travel, and Rest counts the elements of all others.
	Contested []Group `json:"cg,omitempty"`
	Rest      int64   `json:"cr,omitempty"`
}

// Encode is the report as compact JSON of at most MaxReport bytes. Texts and
// figures beyond what a station can mean are cut to size.
func (r Report) Encode() []byte {
	b, err := json.Marshal(r.bounded())
	if err != nil { // plain fields always marshal
		return nil
	}
	return b
}

// Parse reads a report that came from outside. It fails with ErrReport for
// what is none; a text or figure out of bounds is cut to size. Whether the
// station is the one it says is for the caller to compare.
func Parse(b []byte) (Report, error) {
	if len(b) > maxRead {
		return Report{}, fmt.Errorf("%w: longer than %d bytes", ErrReport, maxRead)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrReport, err)
	}
	return r.bounded(), nil
}

// bounded cuts every part to what fits into MaxReport and can be shown.
func (r Report) bounded() Report {
	r.Station, r.Version = plain(r.Station, 63), plain(r.Version, 32)
	r.OS, r.Arch, r.Slot = plain(r.OS, 12), plain(r.Arch, 12), plain(r.Slot, 12)
	r.Failure = Failure(plain(string(r.Failure), 16))
	if !r.Lineage.Valid() {
		r.Lineage = ""
	}
	if !r.Receipt.Lineage.Valid() {
		r.Receipt = Position{}
	}
	r.Offset = max(-maxInt, min(r.Offset, maxInt))
	r.Receipt.N, r.Stick.Last, r.Stick.Taken = min(r.Receipt.N, maxInt), min(r.Stick.Last, maxInt), min(r.Stick.Taken, maxInt)
	r.Stick.Refused = Stick(plain(string(r.Stick.Refused), 12))
	for _, n := range []*int64{
		&r.Made, &r.DiskFree, &r.DiskTotal, &r.Database, &r.People, &r.Records, &r.Waiting, &r.Parked,
		&r.Conflicts, &r.Untold, &r.Undated, &r.Messages, &r.Oldest, &r.Tried, &r.Synced, &r.Failures, &r.Receipt.At, &r.Up, &r.Rest,
		&r.Attachments, &r.Used, &r.Stick.Out, &r.Stick.Since,
	} {
		*n = max(0, min(*n, maxInt))
	}
	for _, n := range []*int64{&r.Parked, &r.Conflicts, &r.Untold, &r.Undated, &r.Messages, &r.Attachments, &r.Failures, &r.Stick.Out} {
		*n = min(*n, maxCount)
	}
	var codes []Code
	for _, c := range r.Codes[:min(len(r.Codes), maxCodes)] {
		if c = Code(plain(string(c), 20)); c != "" {
			codes = append(codes, c)
		}
	}
	r.Codes = codes
	return r.grouped()
}

// grouped keeps the groups that there is room for and adds the others to the rest.
func (r Report) grouped() Report {
	groups := r.Contested
	r.Contested = nil
	for _, g := range groups {
		g = Group{plain(g.Kind, 40), plain(g.Element, 60), plain(g.Class, 16), max(0, min(g.N, maxInt))}
		with := r
		with.Contested = append(slices.Clone(r.Contested), g)
		switch {
		case g.N == 0:
		case g.Kind != "" && g.Element != "" && len(with.Contested) <= maxGroups && with.fits():
			r = with
		default:
			r.Rest = min(r.Rest+g.N, maxInt)
		}
	}
	return r
}

// fits reports whether there is room, however large the rest becomes.
func (r Report) fits() bool {
	r.Rest = maxInt
	b, err := json.Marshal(r)
	return err == nil && len(b) <= MaxReport
}

// plain keeps of s the letters, digits and - . _ +, at most n of them, so that
// a hostile report shows nothing but a word.
func plain(s string, n int) string {
	out := make([]byte, 0, min(len(s), n))
	for i := 0; i < len(s) && len(out) < n; i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '+' {
			out = append(out, c)
		}
	}
	return string(out)
}
