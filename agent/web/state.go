package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rsc.io/qr"

	"tram/agent/health"
	"tram/agent/web/show"
	"tram/store"
	"tram/store/record"
	"tram/sync/status"
	"tram/sync/wire"
)

// statePage is how the station is.
type statePage struct {
	Values   []status.Health
	Report   status.Report
	Worst    status.Severity
	Free     string
	Total    string
	Database string
	Up       string
	QR       *drawing
	Receipts []record.Receipt
	Lives    []store.Life
	Checked  bool
	Findings []store.Finding
	Mended   *store.Mended // that nobody read of yet
	Link     Link
	Hours    string // between which the link may be used; "" for always
	Share    string // what of its day's bytes was used; "" where they are not bounded
	Long     *long
}

// Link is how the link to the centre is used: what it may be used for, and how many bytes
// went over it today.
type Link struct {
	wire.Allowance
	Used int64
	Progress
}

// Progress is how far work is that takes more than one exchange.
type Progress struct {
	// Done are the records that went up or came down since it began, and Left those that
	// are still to do, at most; 0 where nothing takes long.
	Done, Left uint64
	Carried    int64         // bytes up and down since it began
	Time       time.Duration // what the rest takes, as fast as until now; 0 where that cannot be told
}

// long is long work in words.
type long struct {
	Progress
	All        uint64
	Moved, End string
}

// link is how the link is used.
func (c *call) link() Link {
	if c.Options.Link == nil {
		return Link{}
	}
	return c.Options.Link()
}

// long is the work with the centre that takes long; nil where none does.
func (c *call) long() *long {
	p := c.link().Progress
	if p.Left == 0 {
		return nil
	}
	l := &long{Progress: p, All: p.Done + p.Left, Moved: megabytes(p.Carried)}
	if p.Time > 0 {
		l.End = c.say("state.hours", int64(p.Time/time.Hour), int64(p.Time/time.Minute%60)+1)
	}
	return l
}

// megabytes is a number of bytes in MB with two digits behind the point.
func megabytes(n int64) string { return strconv.FormatFloat(float64(n)/1e6, 'f', 2, 64) }

// drawing is black squares as one path of an SVG.
type drawing struct {
	Size int
	Path string
}

// state shows how the station is, as the centre sees it.
func (c *call) state() error { return c.stateWith(false) }

// check lets the store check itself whole.
func (c *call) check() error { return c.stateWith(true) }

func (c *call) stateWith(check bool) error {
	r := c.Report()
	p := statePage{Report: r, Checked: check, Free: size(r.DiskFree), Total: size(r.DiskTotal), Database: size(r.Database)}
	p.Values = status.In(c.lang, status.Judge(r, c.Now().UnixMilli()+r.Offset))
	p.Worst = status.Worst(p.Values)
	p.Up = c.say("state.hours", r.Up/3600, r.Up/60%60)
	p.Link, p.Long = c.link(), c.long()
	if p.Link.From != p.Link.Until {
		clock := func(m int) string { return fmt.Sprintf("%02d:%02d", m/60, m%60) }
		p.Hours = c.say("state.link-hours", clock(p.Link.From), clock(p.Link.Until))
	}
	if p.Link.Bytes > 0 {
		p.Share = c.say("state.link-share", megabytes(p.Link.Used), megabytes(p.Link.Bytes))
	}
	p.QR = code(string(r.Encode()))
	var err error
	if p.Receipts, err = c.Store.Receipts(); err != nil {
		return err
	}
	if p.Lives, err = c.Store.Lives(5); err != nil {
		return err
	}
	if p.Mended, err = health.Mended(c.Store); err != nil {
		return err
	}
	// The check reads everything; it runs only when somebody asks.
	if check {
		if p.Findings, err = c.Store.Check(c.r.Context()); err != nil {
			return err
		}
	}
	c.render(http.StatusOK, "state", "state.title", p)
	return nil
}

// sawMended notes who read that the database was rebuilt: the rebuild that the page
// showed, and no later one.
func (c *call) sawMended() error {
	at, err := strconv.ParseInt(c.r.PostForm.Get("at"), 10, 64)
	if err != nil {
		return errBadForm
	}
	if err := health.SawMended(c.r.Context(), c.Store, health.Seen{Mended: at, Who: c.user.User, At: c.Now().UnixMilli()}); err != nil {
		return err
	}
	return c.goTo("/state", "mended")
}

// code draws a text as a QR code (ISO/IEC 18004) with its quiet zone of four
// modules; nil where it is too long for one.
func code(text string) *drawing {
	q, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil
	}
	const quiet = 4
	var b strings.Builder
	for y := range q.Size {
		// Runs of black modules keep the drawing small: it is part of the page.
		for x := 0; x < q.Size; x++ {
			from := x
			for x < q.Size && q.Black(x, y) {
				x++
			}
			if n := x - from; n > 0 {
				b.WriteString("M" + strconv.Itoa(from+quiet) + " " + strconv.Itoa(y+quiet) + "h" + strconv.Itoa(n) + "v1h-" + strconv.Itoa(n) + "z")
			}
		}
	}
	return &drawing{q.Size + 2*quiet, b.String()}
}

// size is a number of bytes in words.
func size(n int64) string {
	switch {
	case n <= 0:
		return "–"
	case n >= 10<<30:
		return strconv.FormatInt(n>>30, 10) + " GB"
	}
	return strconv.FormatInt((n+1<<20-1)>>20, 10) + " MB"
}

// when is a moment at which something was made, as a page shows it.
type when struct {
	At    int64
	Doubt bool
	// Was is the time that the version carries, where a person put it right, and By who
	// that was.
	Was int64
	By  string
	// Session is the number of the clock's wrong session, 0 for none.
	Session int
}

// wrongTimes are when the clock was wrong; a page shows what versions say where they
// cannot be read.
func (c *call) wrongTimes() health.Sessions {
	if c.clocks == nil {
		s, err := health.LoadSessions(c.Store)
		if err != nil {
			c.Log.Error("cannot read when the clock was wrong", "err", err)
		}
		c.clocks = &s
	}
	return *c.clocks
}

// when is the moment at which a version was made: its own, or what a person said of
// it. It decides nothing.
func (c *call) when(name record.Name, stamp record.Stamp) when {
	dated := c.wrongTimes().Dated(name, stamp)
	i := c.wrongTimes().Of(name)
	w := when{At: dated.Corrected(), Doubt: dated.Doubt, Session: i + 1}
	if i >= 0 && !w.Doubt {
		w.Was, w.By = stamp.Corrected(), c.names()(c.wrongTimes().List()[i].Said.Who)
	}
	return w
}

// clockLine is one wrong session in words.
type clockLine struct {
	health.Session
	N      int
	Behind bool
	Off    string // how far the clock was off
}

func (c *call) clockLine(i int, s health.Session) clockLine {
	off := max(s.By, -s.By) / 60_000 // minutes
	l := clockLine{Session: s, N: i + 1, Behind: s.By > 0}
	switch days := off / (24 * 60); {
	case days >= 365 && days%365 == 0:
		l.Off = c.say("clock.whole-years", days/365)
	case days >= 365:
		l.Off = c.say("clock.years", days/365, days%365)
	case days > 0:
		l.Off = c.say("clock.days", days, off/60%24)
	case off >= 60:
		l.Off = c.say("state.hours", off/60, off%60)
	default:
		l.Off = c.say("clock.minutes", off)
	}
	return l
}

// undated are the sessions of which nobody has said anything yet.
func (c *call) undated() []clockLine {
	var out []clockLine
	for i, s := range c.wrongTimes().List() {
		if s.Said == nil {
			out = append(out, c.clockLine(i, s))
		}
	}
	return out
}

// maxDated is how many entries of a session a page names.
const maxDated = 100

// clockPage asks when the entries of a wrong session were made.
type clockPage struct {
	clockLine
	Then, Until int64  // when its entries were made most likely
	First       int64  // when a person said that it began
	Who         string // said so
	Seen        int64  // when that was, 0 for never
	Shows       bool   // there is a time to be shown beside the one that they carry
	Lines       []waitingLine
	More        int

	Choice, Typed, Fault string
}

// clock shows one wrong session and asks about it.
func (c *call) clock() error {
	kept, err := c.book.Draft(c.user.User, c.r.URL.Path)
	if err != nil {
		return err
	}
	return c.clockAgain(http.StatusOK, kept.Get("choice"), kept.Get("first"), "")
}

func (c *call) wrongTime() (int, health.Session, error) {
	n, err := strconv.Atoi(c.r.PathValue("n"))
	list := c.wrongTimes().List()
	if err != nil || n < 1 || n > len(list) {
		return 0, health.Session{}, record.ErrNotFound
	}
	return n - 1, list[n-1], nil
}

func (c *call) clockAgain(code int, choice, typed, fault string) error {
	i, s, err := c.wrongTime()
	if err != nil {
		return err
	}
	p := clockPage{clockLine: c.clockLine(i, s), Then: s.From + s.By, Until: s.To + s.By, Choice: choice, Typed: typed, Fault: fault}
	by := s.By
	names := c.names()
	if said := s.Said; said != nil {
		p.First, p.Who, p.Seen, by = s.From+said.By, names(said.Who), said.At, said.By
	}
	p.Shows = by != 0
	made, err := c.wrongTimes().Made(c.Store, i)
	if err != nil {
		return err
	}
	for _, e := range made[:min(maxDated, len(made))] {
		l := c.waits(e, names)
		l.At = e.Stamp.Corrected() + by
		p.Lines = append(p.Lines, l)
	}
	if err := c.searched(c.toldOf(p.Lines...)); err != nil {
		return err
	}
	p.More = s.Entries - len(p.Lines)
	c.render(code, "clock", "clock.title", p)
	return nil
}

// dated keeps what somebody says of a wrong session.
func (c *call) dated() error {
	i, s, err := c.wrongTime()
	if err != nil {
		return err
	}
	f := c.r.PostForm
	choice, typed := f.Get("choice"), strings.TrimSpace(f.Get("first"))
	seen := int64(0)
	if s.Said != nil {
		seen = s.Said.At
	}
	if f.Get("seen") != strconv.FormatInt(seen, 10) {
		return c.clockAgain(http.StatusConflict, choice, typed, "clock.stale")
	}
	now := c.Now().UnixMilli() + c.Report().Offset
	said := health.Dated{Who: c.user.User, At: now}
	switch choice {
	case "":
		return c.clockAgain(http.StatusUnprocessableEntity, "", typed, "clock.choose")
	case "leave":
	case "likely":
		if said.By = s.By; s.By == 0 {
			return errBadForm
		}
	case "other":
		iso, ok := show.ISOTime(typed, c.Zone)
		first, err := time.Parse(time.RFC3339, iso)
		if !ok || err != nil {
			return c.clockAgain(http.StatusUnprocessableEntity, choice, typed, "fault.no-moment")
		}
		// What is typed has no seconds.
		said.By = first.UnixMilli() - s.From/60_000*60_000
		if s.To+said.By > now+time.Minute.Milliseconds() {
			return c.clockAgain(http.StatusUnprocessableEntity, choice, typed, "clock.future")
		}
	default:
		return errBadForm
	}
	if err := health.Date(c.r.Context(), c.Store, i, said); err != nil {
		return err
	}
	c.forget()
	return c.goTo("/clock/"+strconv.Itoa(i+1), "dated")
}
