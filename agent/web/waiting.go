package web

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tram/agent/health"
	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/sync/carry/stick"
	"tram/sync/proof"
	"tram/sync/status"
)

const (
	maxWaiting = 300
	// maxToday bounds how far back the day's certificate looks.
	maxToday = 5000
	barDays  = 14
)

// waitingPage is what is not at the centre yet, and why.
type waitingPage struct {
	Counts  store.Counts
	Alike   int          // records that are shown just as the centre has them
	Parked  []parkedLine // what the centre did not take
	Kept    []keptLine   // of records that left
	Entries []waitingLine
	More    int
	Bars    []bar
	Day     certificate
	Needs   []need         // what needs a person
	Cause   *status.Health // what keeps entries here; nil where nothing does
	CanSync bool
	Long    *long
	Tried   int64 // when the last exchange was tried; 0 for never
	Failed  bool  // that one did not succeed
	Sticks  *sticks
	OnStick int // entries of the list that are on a stick on its way
}

// waitingLine is one entry that waits.
type waitingLine struct {
	store.Entry
	when
	Who    string
	Title  string
	Person string
	Whose  record.Key // the person; the record itself where that is nobody here
	Away   bool       // the record is not here any more, and nothing is left to open
	Stick  *stick.Trip
}

// sticks is what is known of the sticks that were written.
type sticks struct {
	stick.Trail
	Away  int         // of which nothing was heard
	Lines []stickLine // the newest first
	Marks []stickMark // of the drawing, the oldest first
	Wide  int
}

// stickLine is one stick in words.
type stickLine struct {
	stick.Trip
	Title, Todo string
	Days        int64 // since it was written
}

// stickMark is one stick as drawn.
type stickMark struct {
	stick.Trip
	X, Next int // the middle, and where the line goes on to; 0 for the last
	Day     string
}

// maxSticks bounds how many sticks are shown.
const maxSticks = 10

// bar is how many entries of one day wait.
type bar struct {
	Label   string
	N       int
	X, Y, H int // of the drawing, 100 units high
}

// certificate says of one day's entries where they are.
type certificate struct {
	Made, Received int
	Waiting        int
	You            int
	Partial        bool // the day had more than could be counted
}

// waiting shows what is not at the centre yet, why, and what to do.
func (c *call) waiting() error {
	var p waitingPage
	var err error
	if p.Counts, err = c.Store.Waiting(); err != nil {
		return err
	}
	if p.Alike, err = c.Store.Alike(); err != nil {
		return err
	}
	if p.Parked, err = c.parked(); err != nil {
		return err
	}
	if p.Kept, err = c.kept(); err != nil {
		return err
	}
	trail, err := stick.TrailOf(c.Store)
	if err != nil {
		return err
	}
	p.Sticks = c.sticks(trail)
	if p.Entries, err = c.entries(p.Counts.Parked); err != nil {
		return err
	}
	for i := range p.Entries {
		if e := &p.Entries[i]; e.Verdict == "" {
			if e.Stick = trail.With(e.Version); e.Stick != nil {
				p.OnStick++
			}
		}
	}
	shown := c.toldOf(p.Entries...)
	for _, l := range p.Parked {
		shown = append(shown, c.toldOf(l.waitingLine)...)
	}
	if err := c.searched(shown); err != nil {
		return err
	}
	p.More = max(0, p.Counts.Waiting-len(p.Entries))
	p.Bars = bars(p.Entries, c.Now().In(c.Zone))
	if p.Day, err = c.certify(); err != nil {
		return err
	}
	r := c.Report()
	p.Needs = c.needs(r)
	p.Cause, p.CanSync, p.Tried, p.Failed = c.cause(r), c.SyncNow != nil, r.Tried, r.Failures > 0
	p.Long = c.long()
	c.render(http.StatusOK, "waiting", "waiting.title", p)
	return nil
}

// sticks is what is known of the sticks in words and as a drawing; nil where none was
// ever written.
func (c *call) sticks(t stick.Trail) *sticks {
	if len(t.Trips) == 0 && t.Refused == nil {
		return nil
	}
	away := len(t.Out())
	t.Trips = t.Trips[max(0, len(t.Trips)-maxSticks):]
	const from, step = 40, 72
	out := &sticks{Trail: t, Away: away, Wide: 2*from + (len(t.Trips)-1)*step}
	for i, trip := range t.Trips {
		m := stickMark{Trip: trip, X: from + i*step, Next: from + (i+1)*step}
		if i == len(t.Trips)-1 {
			m.Next = 0
		}
		l := stickLine{Trip: trip}
		l.Title, l.Todo = status.TripWords(c.lang, trip.State)
		if trip.At != 0 {
			m.Day = time.UnixMilli(trip.At).In(c.Zone).Format("02/01")
			l.Days = max(0, c.Now().UnixMilli()-trip.At) / (24 * time.Hour).Milliseconds()
		}
		out.Marks, out.Lines = append(out.Marks, m), append(out.Lines, l)
	}
	slices.Reverse(out.Lines)
	return out
}

// entries lists what waits for the centre, oldest first, beside what is parked.
func (c *call) entries(parked int) ([]waitingLine, error) {
	list, err := c.Store.WaitingList(maxWaiting + parked)
	if err != nil {
		return nil, err
	}
	var out []waitingLine
	names := c.names()
	for _, e := range list {
		if e.Verdict != record.Parked && len(out) < maxWaiting {
			out = append(out, c.waits(e, names))
		}
	}
	return out, nil
}

// waits is an entry in words, as far as the user may see it.
func (c *call) waits(e store.Entry, names func(string) string) waitingLine {
	l := waitingLine{Entry: e, when: c.when(e.Version, e.Stamp), Who: names(e.Author), Title: c.show[c.lang].Kind(e.Key.Kind)}
	if c.user.Role.Sees(e.Key.Kind) {
		_, err := c.Store.Version(e.Key, e.Version)
		l.Away = errors.Is(err, record.ErrNotFound)
		l.Title, l.Whose, l.Person = c.titleOf(e, l.Title)
	}
	return l
}

// toldOf are the people of whom lines say more than the kind of a record.
func (c *call) toldOf(lines ...waitingLine) []record.Key {
	var out []record.Key
	for _, l := range lines {
		if !l.Away && c.user.Role.Sees(l.Key.Kind) {
			out = append(out, l.Whose)
		}
	}
	return out
}

// titleOf says what an entry is about, and whom.
func (c *call) titleOf(e store.Entry, kind string) (title string, whose record.Key, person string) {
	v, err := c.Store.Version(e.Key, e.Version)
	if err != nil {
		return kind, e.Key, ""
	}
	content, err := fhir.Parse(v.Content, fhir.DefaultLimits())
	if err != nil {
		return kind, e.Key, ""
	}
	id, person := c.personOf(content)
	if l := c.show[c.lang].Line(content); l.Title != kind && e.Key.Kind != "Patient" {
		kind += ": " + l.Short()
	}
	return kind, personOr(id, e.Key), person
}

// bars counts the waiting entries of the last two weeks; what is older stands
// with the first day.
func bars(list []waitingLine, now time.Time) []bar {
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	out := make([]bar, barDays)
	most := 1
	for i := range out {
		out[i].Label = today.AddDate(0, 0, i-barDays+1).Format("02/01")
	}
	for _, e := range list {
		at := time.UnixMilli(e.At)
		i := barDays - 1
		for i > 0 && at.Before(today.AddDate(0, 0, i-barDays+1)) {
			i--
		}
		out[i].N++
		most = max(most, out[i].N)
	}
	for i := range out {
		out[i].X = 4 + i*44
		out[i].H = out[i].N * 90 / most
		out[i].Y = 100 - out[i].H
	}
	return out
}

// certify counts the entries made here today and those that the centre proved to
// hold.
func (c *call) certify() (certificate, error) {
	now := c.Now().In(c.Zone)
	start := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location()).UnixMilli()
	list, partial, err := c.Store.Made(start, math.MaxInt64, maxToday, c.wrongTimes().Dated)
	d := certificate{Made: len(list), Partial: partial}
	for _, e := range list {
		switch e.Place {
		case record.Centre:
			d.Received++
		case record.NeedsUs:
			d.You++
		default:
			d.Waiting++
		}
	}
	return d, err
}

// cause is the health value that says why entries stay here; nil for none.
func (c *call) cause(r status.Report) *status.Health {
	h := health.Cause(r, c.Now().UnixMilli()+r.Offset)
	if h == nil {
		return nil
	}
	said := h.In(c.lang)
	return &said
}

// sync asks for an exchange. The answer does not wait for it: a thin link may
// take minutes.
func (c *call) sync() error {
	if c.SyncNow != nil {
		c.SyncNow()
	}
	return c.goTo("/waiting", "sync")
}

// health tells programs and installers how the station is. It holds no patient's
// data and needs no sign-in.
func (w *Web) health(rw http.ResponseWriter, r *http.Request) {
	report := w.Report()
	values := status.Judge(report, w.Now().UnixMilli()+report.Offset)
	b, err := json.Marshal(struct {
		OK      bool            `json:"ok"`
		Version string          `json:"version"`
		Station string          `json:"station"`
		Values  []status.Health `json:"values"`
	}{status.Well(values), w.Version, report.Station, status.In(w.languageOf(r), values)})
	if err != nil {
		http.Error(rw, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.Write(append(b, '\n')) // a program that went away needs no answer
}

// proofPage is the certificate of a day, to be printed.
type proofPage struct {
	Day      string // 2026-11-27, as the form has it
	Sections []proof.Section
	Out      int // sticks on their way
}

// dayProof makes the certificate of the day that the address names, today's where
// it names none.
func (c *call) dayProof() (proof.Certificate, error) {
	now := c.Now().In(c.Zone)
	if text := c.r.URL.Query().Get("day"); text != "" {
		day, err := time.ParseInLocation(time.DateOnly, text, c.Zone)
		if err != nil {
			return proof.Certificate{}, errBadForm
		}
		now = day
	}
	r := c.Report()
	var last proof.Last
	if c.Last != nil {
		last = c.Last()
	}
	return health.Certify(c.Store, r, now, last)
}

// proof shows the certificate of a day. It holds no patient's data.
func (c *call) proof() error {
	made, err := c.dayProof()
	if err != nil {
		return err
	}
	_, digest, err := proof.Encode(made)
	if err != nil {
		return err
	}
	trail, err := stick.TrailOf(c.Store)
	if err != nil {
		return err
	}
	p := proofPage{Day: made.Day, Out: len(trail.Out())}
	if p.Sections, err = proof.Sections(made, digest, c.lang, c.show[c.lang].Kind); err != nil {
		return err
	}
	c.render(http.StatusOK, "proof", "proof.title", p)
	return nil
}

// proofFile hands out the certificate as the file that the centre checks.
func (c *call) proofFile() error {
	made, err := c.dayProof()
	if err != nil {
		return err
	}
	b, _, err := proof.Encode(made)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="tram-proof-`+made.Day+`.json"`)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	c.w.Write(b) // a browser that went away needs no answer
	return nil
}
