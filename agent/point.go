package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"tram/store/seal"
	"tram/sync/central"
	"tram/sync/status"
	"tram/sync/trust"
)

// openPoints makes ready for points, where the settings name an address for them.
func (a *Agent) openPoints() error {
	c := a.o.Config
	if c.Points.Address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Points.Address)
	if err != nil {
		return err
	}
	listen := ":" + port // the PC's address may change, and points are known by their keys
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		listen = c.Points.Address
	}
	a.points, err = central.Points(central.Options{Dir: c.Data.Folder, Listen: listen, Hosts: []string{host}, Log: a.o.Log, Now: a.now},
		a.store, a.merger, a.r4, a.receiptKey)
	if err != nil { // the station goes on without
		a.o.Log.Error("points are not answered", "err", err)
		a.mark(status.PointsClosed, true)
	}
	return nil
}

// receiptKey is the key of the centre's receipts; nil while the station is not enrolled.
func (a *Agent) receiptKey() ed25519.PublicKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.link.identity == nil || !a.link.identity.Enrolled() {
		return nil
	}
	return a.link.identity.ReceiptKey()
}

// pointsAgain is how long a port that was taken is left before it is tried again.
const pointsAgain = time.Minute

// servePoints answers points until ctx ends. The station goes on where it cannot.
func (a *Agent) servePoints(ctx context.Context) error {
	for {
		err := a.points.Serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		a.o.Log.Error("points are not answered", "err", err)
		a.mark(status.PointsClosed, true)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pointsAgain):
		}
		a.mark(status.PointsClosed, false)
	}
}

// pointFace is what the command line asks about points.
func (a *Agent) pointFace(mux *http.ServeMux) {
	say := func(w http.ResponseWriter, r *http.Request, v any, err error) {
		for _, known := range []struct {
			err error
			key string
		}{{trust.ErrName, "point-name"}, {central.ErrNoCentre, "point-not-enrolled"}, {central.ErrUnknown, "point-unknown"}, {errNoPoints, "point-none"}} {
			if errors.Is(err, known.err) {
				err = errors.New(words(a.lang(r), known.key))
			}
		}
		answer(w, v, err)
	}
	open := func(do func(w http.ResponseWriter, r *http.Request) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if a.points == nil {
				say(w, r, nil, errNoPoints)
				return
			}
			v, err := do(w, r)
			say(w, r, v, err)
		}
	}
	mux.HandleFunc("GET /local/points", open(func(w http.ResponseWriter, r *http.Request) (any, error) {
		return a.points.Fleet(a.lang(r))
	}))
	mux.HandleFunc("POST /local/point/{name}", open(func(w http.ResponseWriter, r *http.Request) (any, error) {
		return a.points.Enrol(r.Context(), r.PathValue("name"), "", "https://"+a.o.Config.Points.Address)
	}))
	mux.HandleFunc("POST /local/point/{name}/{access}", open(func(w http.ResponseWriter, r *http.Request) (any, error) {
		return struct{}{}, a.points.Deny(r.Context(), r.PathValue("name"), r.PathValue("access") == "end")
	}))
}

// errNoPoints says that the settings name no address for points.
var errNoPoints = errors.New("this station has no address for points")

type pointCmd struct {
	Add  pointAddCmd  `cmd:"" help:"Make a one-time enrolment kit for a point."`
	List pointListCmd `cmd:"" help:"List the points, when each spoke last and how it is."`
	Deny pointDenyCmd `cmd:"" help:"End a point's access, or give it back."`
}

type pointAddCmd struct {
	Name string `arg:"" help:"The point's name: 1 to 40 of a-z, 0-9 and \"-\"."`
	File string `arg:"" optional:"" help:"Where the kit is written." type:"path" default:"enrol.json"`
}

func (c pointAddCmd) Run(t *tool) error {
	var kit trust.Kit
	if err := t.call("POST", "/local/point/"+url.PathEscape(c.Name), "", nil, &kit); err != nil {
		return err
	}
	b, err := json.MarshalIndent(kit, "", "  ")
	if err != nil {
		return err
	}
	if err := seal.WriteFile(c.File, b); err != nil {
		return err
	}
	fmt.Fprintf(t.out, words(t.lang(), "point-added")+"\n", c.File)
	return nil
}

type pointListCmd struct{}

func (pointListCmd) Run(t *tool) error {
	var list []central.Station
	if err := t.call("GET", "/local/points", "", nil, &list); err != nil {
		return err
	}
	for _, p := range list {
		seen := words(t.lang(), "point-never")
		if p.Seen > 0 {
			seen = fmt.Sprintf(words(t.lang(), "point-seen"), time.UnixMilli(p.Seen).Local().Format("02/01/2006 15:04:05"))
		}
		fmt.Fprintf(t.out, words(t.lang(), "point-line")+"\n", p.Name, seen, p.Report.Waiting)
		for _, h := range p.Health {
			badge, _ := status.SeverityWords(t.lang(), h.Severity)
			fmt.Fprintf(t.out, "  %s: %s. %s\n", badge, h.Title, h.Todo)
		}
	}
	return nil
}

type pointDenyCmd struct {
	Name  string `arg:"" help:"The point's name."`
	Allow bool   `help:"Give its access back."`
}

func (c pointDenyCmd) Run(t *tool) error {
	access := "end"
	if c.Allow {
		access = "back"
	}
	var none struct{}
	return t.call("POST", "/local/point/"+url.PathEscape(c.Name)+"/"+access, "", nil, &none)
}
