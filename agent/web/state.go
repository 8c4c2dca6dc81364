package web

import (
	"net/http"
	"strconv"
	"strings"

	"rsc.io/qr"

	"tram/agent/health"
	"tram/store"
	"tram/store/record"
	"tram/sync/status"
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
}

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
