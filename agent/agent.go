// Package agent is the program on a station's PC: the place where everything is
// wired together.
//
// It owns the order in which the parts start and end, the loop that speaks with
// the centre, and the command line. It promises that the pages work whether or
// not there is a centre, that every part has ended when Run returns, and that a
// part that fails is seen on the page and in the status report. What the parts do
// is their own business.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tram/agent/api"
	"tram/agent/config"
	"tram/agent/health"
	"tram/agent/intake"
	"tram/agent/intake/hl7v2"
	"tram/agent/intake/mllp"
	"tram/agent/web"
	"tram/store"
	"tram/store/fhir"
	"tram/store/record"
	"tram/store/rest"
	"tram/store/seal"
	"tram/store/space"
	"tram/sync/central"
	"tram/sync/merge"
	"tram/sync/proof"
	"tram/sync/status"
)

// Version is the program's version.
const Version = "0.1.0"

// Options are what an agent starts with.
type Options struct {
	Config config.Config
	// File is the settings file, watched for changes; "" for none.
	File string
	Log  *slog.Logger
	// Level is set when the settings ask for another log level.
	Level *slog.LevelVar
	// Practice says that the people here are made up.
	Practice bool
	// Progress is told how much of the database is read before it opens, in bytes;
	// nil for nobody.
	Progress func(done, all int64)
	// Limits are those of the room on the disk; zero is space.Defaults.
	Limits space.Limits
	// Inside and Outside are what clients on this PC and on the network may take; zero is
	// api.Inside and api.Outside.
	Inside, Outside api.Limits
	// Ready is called once the page answers, with its address.
	Ready func(Here)
}

// Agent is an open station. Run it once.
type Agent struct {
	o      Options
	store  *store.Store
	r4     *fhir.R4
	merger *merge.Merger
	clock  *health.Clock
	door   *api.Server // for programs on the network
	intake *intake.Intake
	points *central.Centre // what this station is to its points; nil without
	began  time.Time
	nudge  chan struct{} // asks for an exchange now
	lane   lane

	exchanging turns // one exchange with the centre at a time, whatever carries it

	box     seal.Box   // of what is kept in the folder of the identity
	storing sync.Mutex // who writes there

	mu       sync.Mutex
	sync     health.Sync
	link     link
	last     proof.Last // comparison with the centre
	progress web.Progress
	codes    []status.Code
	station  string
}

// New opens a station's records. It starts nothing.
func New(o Options) (*Agent, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Inside == (api.Limits{}) {
		o.Inside = api.Inside()
	}
	r4, err := fhir.Load()
	if err != nil {
		return nil, fmt.Errorf("open station: %w", err)
	}
	classes, err := merge.DefaultClasses()
	if err != nil {
		return nil, fmt.Errorf("open station: %w", err)
	}
	a := &Agent{o: o, r4: r4, merger: merge.New(r4, classes), began: time.Now(), nudge: make(chan struct{}, 1)}
	a.clock = health.NewClock(health.System(), 0, health.Built(), 0)
	c := o.Config
	stamp := func() record.Stamp { return a.clock.Stamp() }
	a.store, err = store.Open(store.Options{Dir: c.Data.Folder, Journal: c.Data.Journal, Keys: openers(c), Name: c.Station.Name, R4: a.r4, Zone: time.Local, Clock: stamp, Log: o.Log,
		Progress: o.Progress, Limits: o.Limits})
	if err != nil {
		return nil, fmt.Errorf("open station: %w", err)
	}
	if err := a.remember(); err != nil {
		return nil, errors.Join(fmt.Errorf("open station: %w", err), a.store.Close())
	}
	return a, nil
}

// remember takes up the clock and the exchanges where the last run left them.
func (a *Agent) remember() error {
	came, err := a.store.Came()
	if err != nil {
		return err
	}
	offset, err := health.LastOffset(a.store)
	if err != nil {
		return err
	}
	a.clock = health.NewClock(health.System(), came, health.Built(), offset)
	return errors.Join(a.loadLink(), a.recall(allowanceSetting, &a.link.allowance), a.recall(actsSetting, &a.link.acts), a.openPoints())
}

// Store is the station's records.
func (a *Agent) Store() *store.Store { return a.store }

// Close closes the records. Run must have ended.
func (a *Agent) Close() error { return a.store.Close() }

// Run works until ctx ends, and returns when every part has ended.
func (a *Agent) Run(ctx context.Context) error {
	c := a.o.Config
	listen, err := a.o.Inside.Listen(c.Page.Listen, a.o.Log)
	if err != nil {
		return fmt.Errorf("listen on %s (choose another address under [page] in the settings, or stop the program that uses it): %w", c.Page.Listen, err)
	}
	here, err := a.announce(ctx, listen.Addr().String())
	if err != nil {
		return errors.Join(err, listen.Close())
	}
	defer a.retract()
	a.intake = a.newIntake(here)
	pages, err := a.pages(here)
	if err != nil {
		return errors.Join(err, listen.Close())
	}
	a.door = a.newDoor(here, pages)
	a.intake.MakeFolder()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return api.Serve(ctx, listen, a.handler(here, pages), a.o.Inside, a.o.Log) })
	g.Go(func() error { return a.intake.Run(ctx) })
	g.Go(func() error { return a.speak(ctx) })
	g.Go(func() error { return a.tend(ctx) })
	if c.API.Listen != "" {
		g.Go(func() error { return a.door.Run(ctx) })
	}
	if c.Stick.Folder != "" {
		g.Go(func() error { return a.watchSticks(ctx) })
	}
	if a.points != nil {
		g.Go(func() error { return a.servePoints(ctx) })
	}
	if c.MLLP.Listen != "" {
		g.Go(func() error { return a.hear(ctx) })
	}
	if a.o.File != "" {
		g.Go(func() error { return config.Watch(ctx, a.o.File, a.reload, a.badSettings) })
	}
	if a.o.Ready != nil {
		a.o.Ready(here)
	}
	return g.Wait()
}

// handler is everything that this PC reaches: the pages with the FHIR face below them,
// and what the command line asks.
func (a *Agent) handler(here Here, pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/local/", a.local(here.Token))
	mux.Handle("/", pages)
	return mux
}

func (a *Agent) pages(here Here) (*web.Web, error) {
	face, err := a.face(here, "http://"+here.Address)
	if err != nil {
		return nil, err
	}
	o := web.Options{
		Store: a.store, Report: a.Report, SyncNow: a.SyncNow, Listen: here.Address, Version: Version, Log: a.o.Log,
		Last: a.compared, Link: a.linkUse, Incoming: a.intake, Rest: face, Practice: a.o.Practice, SetupSecret: here.Setup, Language: a.o.Config.Station.Language,
	}
	if a.o.Config.API.Listen != "" {
		o.API = a.network
	}
	return web.New(o)
}

// face is the FHIR face of this station, as it is known under a base address.
func (a *Agent) face(here Here, base string) (http.Handler, error) {
	return rest.New(rest.Options{
		Backend: a.store, Past: a.store, R4: a.r4, Base: base + "/fhir", Version: Version, Log: a.o.Log,
		Caller: func(r *http.Request) rest.Caller {
			author, may := web.Caller(r)
			return rest.Caller{Author: author, May: may}
		},
		Looked: a.looked, Acts: a.store, Station: a.name,
		Also: func() []string { return a.addresses(here) },
	})
}

// name is the station's, which enrolment may give it.
func (a *Agent) name() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.station
}

// newDoor is where programs on the network come in, if the settings say so. Its
// certificate is sealed anew with all else, whether or not it is in use.
func (a *Agent) newDoor(here Here, pages *web.Web) *api.Server {
	c := a.o.Config
	var door *api.Server
	box := a.store.Box(func() error { return door.Reseal() })
	door = api.New(api.Options{
		Listen: c.API.Listen, Names: strings.Fields(c.API.Names), CertFile: c.API.Certificate, KeyFile: c.API.Key,
		Dir: c.Data.Folder, Box: box, Limits: a.o.Outside, Log: a.o.Log,
		Handler: func(base string, own func(*http.Request, string) bool) (http.Handler, error) {
			face, err := a.face(here, base)
			if err != nil {
				return nil, err
			}
			return pages.Network(face, own), nil
		},
	})
	return door
}

// network is the door as its page shows it.
func (a *Agent) network() web.API {
	st := a.door.State()
	out := web.API{Fingerprint: st.Fingerprint, Certificate: st.Certificate, Own: st.Own, Trouble: string(st.Trouble)}
	for _, at := range st.Addresses {
		out.Addresses = append(out.Addresses, at+"/fhir")
	}
	return out
}

func (a *Agent) newIntake(here Here) *intake.Intake {
	c := a.o.Config
	o := intake.Over(a.store)
	o.Folder, o.Author, o.Poll, o.Done, o.Lenient, o.Log = c.DropFolder(), DropAuthor, c.Drop.Poll, c.Drop.Done, c.Drop.References == "lenient", a.o.Log
	o.Zone, o.Rules = time.Local, hl7v2.Rules{Systems: c.Drop.Systems(), Trials: a.o.Practice}
	o.Here = func() []string { return a.addresses(here) }
	return intake.New(o)
}

// addresses are those under which the records here are known: on this PC, and on the network
// as it is now.
func (a *Agent) addresses(here Here) []string {
	local := strings.Replace(here.Address, "127.0.0.1:", "localhost:", 1)
	return append(a.network().Addresses, "http://"+here.Address+"/fhir", "http://"+local+"/fhir")
}

// DropAuthor is the author of what comes in through the drop folder.
const DropAuthor = "drop-folder"

// hearAgain is how long it takes until a port that was not free is tried again.
const hearAgain = 30 * time.Second

// hear receives HL7 messages over the network. A port that is taken stops nothing else,
// and is told as health.
func (a *Agent) hear(ctx context.Context) error {
	c := a.o.Config.MLLP
	s := mllp.New(mllp.Options{From: c.Senders(), Log: a.o.Log, Answer: func(ctx context.Context, frame []byte, bad error) []byte {
		if bad != nil {
			return a.intake.Broken(frame)
		}
		return a.intake.Receive(ctx, frame)
	}})
	for {
		l, err := net.Listen("tcp", c.Listen)
		if err == nil {
			a.mark(status.MessagesClosed, false)
			err = s.Run(ctx, l)
		}
		if ctx.Err() != nil {
			return nil
		}
		a.o.Log.Error("messages are not received", "err", err)
		a.mark(status.MessagesClosed, true)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(hearAgain):
		}
	}
}

// reload takes over what can be changed while the program runs.
func (a *Agent) reload(c config.Config) {
	c.Data = a.o.Config.Data // the command line may have named another folder than the file
	live, restart := config.Diff(a.o.Config, c)
	a.mark(status.ConfigRefused, false)
	if len(live) == 0 && len(restart) == 0 {
		return
	}
	a.intake.Tune(c.Drop.Poll, c.Drop.Done, c.Drop.References == "lenient")
	if a.o.Level != nil {
		a.o.Level.Set(Level(c.Log.Level))
	}
	a.mu.Lock()
	a.o.Config.Sync, a.o.Config.Drop.Poll, a.o.Config.Drop.Done, a.o.Config.Drop.References = c.Sync, c.Drop.Poll, c.Drop.Done, c.Drop.References
	a.o.Config.Log = c.Log
	a.mu.Unlock()
	a.o.Log.Info("settings taken over", "live", live, "after restart", restart)
}

func (a *Agent) badSettings(err error) {
	a.mark(status.ConfigRefused, true)
	a.o.Log.Warn("settings refused, the old ones stay", "err", err)
}

// mark keeps whether a health value holds that the agent finds by itself.
func (a *Agent) mark(c status.Code, is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.codes = without(a.codes, c)
	if is {
		a.codes = append(a.codes, c)
	}
}

// messages counts those that wait for somebody to say whose they are.
func (a *Agent) messages() int64 {
	if a.intake == nil {
		return 0
	}
	list, err := a.intake.Waiting()
	if err != nil {
		a.o.Log.Error("cannot count what waits for somebody", "err", err)
	}
	return int64(len(list))
}

func without(codes []status.Code, c status.Code) []status.Code {
	var out []status.Code
	for _, have := range codes {
		if have != c {
			out = append(out, have)
		}
	}
	return out
}

// Level reads a log level's name.
func Level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// Report is the status report of this moment.
func (a *Agent) Report() status.Report {
	codes := a.found()
	counts, err := a.store.Waiting()
	if err != nil {
		a.o.Log.Error("cannot count", "err", err)
		codes = append(codes, status.ReadFailed)
	}
	c := a.o.Config
	pc, err := health.Look(filepath.Join(c.Data.Folder, "tram.db"), c.Data.Folder, c.JournalFolder())
	if err != nil {
		a.o.Log.Debug("cannot read how the disk is", "err", err)
	}
	clocks, err := health.LoadSessions(a.store)
	if err != nil {
		a.o.Log.Error("cannot read when the clock was wrong", "err", err)
	}
	sticks, messages := a.sticks(), a.messages()
	if _, bar := a.barred(); bar != "" {
		codes = append(codes, bar)
	}
	used := a.allowance()
	a.mu.Lock()
	defer a.mu.Unlock()
	codes = append(codes, a.codes...)
	if a.o.Practice {
		codes = append(codes, status.Practice)
	}
	if a.intake != nil {
		codes = append(codes, a.intake.Health()...)
	}
	codes = append(codes, a.link.code()...)
	sync := a.sync
	sync.Lineage = a.store.Lineage()
	p := health.Program{Station: a.station, Version: Version, Slot: a.store.KeySlot(), Up: time.Since(a.began)}
	r := health.Report(a.clock.Stamp(), p, pc, counts, sync, codes...)
	r.Undated, r.Messages = int64(clocks.Open()), messages
	r.Stick = sticks
	if used.Bytes > 0 {
		r.Used = used.Used
	}
	return a.tallied(r)
}
