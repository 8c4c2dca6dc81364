package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"tram/sync/carry/stick"
	"tram/sync/status"
	"tram/sync/trust"
)

// turns lets one exchange with the centre go on at a time. A stick does not wait for a call,
// which takes minutes where the link is half dead: it cuts it, as a link does that breaks.
type turns struct {
	one sync.Mutex

	mu     sync.Mutex
	sticks int                // that wait for their turn, or have it
	cut    context.CancelFunc // of the call under way
}

// errCut says that a call was cut for a stick.
var errCut = errors.New("cut for a stick")

// call waits for the turn of a call over the link. Its context ends when a stick wants it.
func (t *turns) call(ctx context.Context) (call context.Context, end func()) {
	t.one.Lock()
	call, cut := context.WithCancel(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cut = cut; t.sticks > 0 {
		cut()
	}
	return call, func() { cut(); t.one.Unlock() }
}

// stick cuts the call under way and waits for its end.
func (t *turns) stick() (end func()) {
	t.mu.Lock()
	if t.sticks++; t.cut != nil {
		t.cut()
	}
	t.mu.Unlock()
	t.one.Lock()
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.sticks--
		t.one.Unlock()
	}
}

// desk is this station at a stick: what it makes and takes goes on beside no other
// exchange.
type desk struct{ a *Agent }

func (d desk) station() (*stick.Station, error) {
	a := d.a
	a.mu.Lock()
	id := a.link.identity
	a.mu.Unlock()
	if id == nil || !id.Enrolled() {
		return nil, trust.ErrNotEnrolled
	}
	return &stick.Station{Store: a.store, Identity: id, Merger: a.merger, Report: func() []byte { return a.Report().Encode() },
		Now: func() int64 { return a.clock.Stamp().Unix }}, nil
}

// Make makes the next request.
func (d desk) Make(ctx context.Context) (stick.File, error) {
	defer d.a.exchanging.stick()()
	s, err := d.station()
	if err != nil {
		return stick.File{}, err
	}
	return s.Make(ctx)
}

// Take takes an answer, and notes when the centre gave it.
func (d desk) Take(ctx context.Context, b []byte) (stick.Result, error) {
	defer d.a.exchanging.stick()()
	s, err := d.station()
	if err != nil {
		return stick.Result{}, err
	}
	res, err := s.Take(ctx, b)
	if err != nil || res.Code != status.StickTaken {
		return res, err
	}
	receipts, err := d.a.store.Receipts()
	d.a.mu.Lock()
	defer d.a.mu.Unlock()
	for _, r := range receipts {
		d.a.received(r)
	}
	d.a.sync.Synced = max(d.a.sync.Synced, res.Made-d.a.clock.Stamp().Offset)
	return res, err
}

// Note keeps that a file yielded nothing.
func (d desk) Note(ctx context.Context, code status.Stick) error {
	defer d.a.exchanging.stick()()
	s, err := d.station()
	if err != nil {
		return err
	}
	return s.Note(ctx, code)
}

// Replaced keeps which requests are on no stick any more.
func (d desk) Replaced(ctx context.Context, n []uint64) error {
	defer d.a.exchanging.stick()()
	s, err := d.station()
	if err != nil {
		return err
	}
	return s.Replaced(ctx, n)
}

// sticks is what the report says of the sticks that were written.
func (a *Agent) sticks() status.Sticks {
	t, err := stick.TrailOf(a.store)
	if err != nil {
		a.o.Log.Error("cannot read which sticks were written", "err", err)
	}
	s := status.Sticks{Taken: t.Taken}
	if n := len(t.Trips); n > 0 {
		s.Last = t.Trips[n-1].N
	}
	if out := t.Out(); len(out) > 0 {
		s.Out, s.Since = int64(len(out)), t.Since()
	}
	if t.Refused != nil {
		s.Refused = t.Refused.Code
	}
	return s
}

// stickFace is what the command line asks about sticks; the files go over the
// connection, since the service may not reach where a stick is.
func (a *Agent) stickFace(mux *http.ServeMux) {
	mux.HandleFunc("POST /local/stick/make", func(w http.ResponseWriter, r *http.Request) {
		f, err := desk{a}.Make(r.Context())
		a.answerStick(w, r, f, err)
	})
	mux.HandleFunc("POST /local/stick/take", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, stick.MaxFile+1))
		if err != nil {
			http.Error(w, "the file is too large", http.StatusRequestEntityTooLarge)
			return
		}
		res, err := desk{a}.Take(r.Context(), b)
		a.answerStick(w, r, res, err)
	})
	mux.HandleFunc("POST /local/stick/note", func(w http.ResponseWriter, r *http.Request) {
		a.answerStick(w, r, struct{}{}, desk{a}.Note(r.Context(), status.Stick(r.URL.Query().Get("code"))))
	})
	mux.HandleFunc("POST /local/stick/replaced", func(w http.ResponseWriter, r *http.Request) {
		var n []uint64
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&n); err != nil {
			http.Error(w, "no list of numbers", http.StatusBadRequest)
			return
		}
		a.answerStick(w, r, struct{}{}, desk{a}.Replaced(r.Context(), n))
	})
}

func (a *Agent) answerStick(w http.ResponseWriter, r *http.Request, v any, err error) {
	for _, known := range []struct {
		err error
		key string
	}{{trust.ErrNotEnrolled, "stick-not-enrolled"}, {stick.ErrNoKey, "stick-no-key"}} {
		if errors.Is(err, known.err) {
			err = errors.New(words(a.lang(r), known.key))
		}
	}
	answer(w, v, err)
}

// remote is the running station at a stick, for the command line.
type remote struct{ t *tool }

func (r remote) Make(context.Context) (stick.File, error) {
	var f stick.File
	return f, r.t.call("POST", "/local/stick/make", "", nil, &f)
}

func (r remote) Take(_ context.Context, b []byte) (stick.Result, error) {
	var res stick.Result
	return res, r.t.call("POST", "/local/stick/take", "", bytes.NewReader(b), &res)
}

func (r remote) Note(_ context.Context, code status.Stick) error {
	return r.t.call("POST", "/local/stick/note?code="+url.QueryEscape(string(code)), "", nil, &struct{}{})
}

func (r remote) Replaced(_ context.Context, n []uint64) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return r.t.call("POST", "/local/stick/replaced", "", bytes.NewReader(b), &struct{}{})
}

type stickCmd struct {
	Write stickWriteCmd `cmd:"" help:"Put what waits onto a stick for the centre."`
	Read  stickReadCmd  `cmd:"" help:"Take the centre's answers from a stick."`
}

type stickWriteCmd struct {
	Dir string `arg:"" help:"Where the stick is." type:"path"`
}

func (c stickWriteCmd) Run(ctx context.Context, t *tool) error {
	name, err := t.stationName()
	if err != nil {
		return err
	}
	file, err := stick.Write(ctx, c.Dir, name, remote{t})
	if err != nil {
		return t.stickTrouble(err)
	}
	fmt.Fprintf(t.out, words(t.lang(), "stick-written")+"\n", file)
	return nil
}

type stickReadCmd struct {
	Dir string `arg:"" help:"Where the stick is." type:"path"`
}

func (c stickReadCmd) Run(ctx context.Context, t *tool) error {
	name, err := t.stationName()
	if err != nil {
		return err
	}
	files, err := stick.Read(ctx, c.Dir, name, remote{t})
	refused := 0
	for _, f := range files {
		if !f.Code.Fine() {
			refused++
		}
		title, todo := status.StickWords(t.lang(), f.Code)
		fmt.Fprintf(t.out, words(t.lang(), "stick-file")+"\n", f.File, title, f.Sent, f.Taken, f.Received, todo)
	}
	if err != nil {
		return t.stickTrouble(err)
	}
	if len(files) == 0 {
		fmt.Fprintf(t.out, words(t.lang(), "stick-none")+"\n", name)
	}
	if refused > 0 {
		return fmt.Errorf(words(t.lang(), "refused"), refused, len(files))
	}
	return nil
}

// stationName asks the running station for its name.
func (t *tool) stationName() (string, error) {
	var s State
	if err := t.call("GET", "/local/status", "", nil, &s); err != nil {
		return "", err
	}
	return s.Report.Station, nil
}

func (t *tool) stickTrouble(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return errors.New(words(t.lang(), "stick-folder"))
	}
	return err
}

// stickSettle is how long a stick may take to be mounted once its folder is there.
const stickSettle = time.Second

// watchSticks exchanges with every stick that appears in the folder of the
// settings, or in a folder below it, until ctx ends. It also looks now and then: a
// stick mounted over a folder that was there is told by nobody.
func (a *Agent) watchSticks(ctx context.Context) error {
	c := a.settings()
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch for sticks: %w", err)
	}
	defer w.Close()
	if err := w.Add(c.Stick.Folder); err != nil {
		a.o.Log.Warn("the folder for sticks is not watched, only looked at", "err", err)
	}
	seen := map[string]string{}
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			next.Reset(stickSettle)
		case <-w.Errors:
			next.Reset(stickSettle)
		case <-next.C:
			seen = a.visitSticks(ctx, c.Stick.Folder, seen)
			next.Reset(a.settings().Drop.Poll)
		}
	}
}

// visitSticks visits each stick that is not as the last visit found it, and gives
// how they are found now. A stick that was away is visited again.
func (a *Agent) visitSticks(ctx context.Context, folder string, seen map[string]string) map[string]string {
	now := map[string]string{}
	for _, pattern := range []string{"", "*", filepath.Join("*", "*")} {
		found, err := filepath.Glob(filepath.Join(folder, pattern, stick.Folder))
		if err != nil {
			a.o.Log.Warn("cannot look for sticks", "err", err)
		}
		for _, at := range found {
			now[at] = looksLike(at)
			if now[at] != "" && now[at] != seen[at] {
				a.visitStick(ctx, filepath.Dir(at))
			}
		}
	}
	return now
}

func (a *Agent) visitStick(ctx context.Context, dir string) {
	d := desk{a}
	s, err := d.station()
	if err != nil {
		a.o.Log.Warn("a stick, and this station is not enrolled", "err", err)
		return
	}
	files, err := stick.Read(ctx, dir, s.Identity.Replica(), d)
	for _, f := range files {
		a.o.Log.Info("file from a stick", "file", f.File, "code", f.Code, "taken", f.Taken, "received", f.Received)
	}
	if err == nil {
		_, err = stick.Write(ctx, dir, s.Identity.Replica(), d)
	}
	if err != nil {
		a.o.Log.Warn("stick not exchanged", "err", err)
		return
	}
	a.o.Log.Info("stick exchanged", "files", len(files))
}

// looksLike tells what is on a stick for a station apart from what was; requests,
// which a station writes itself, are not told. It is "" where there is no folder.
func looksLike(at string) string {
	entries, err := os.ReadDir(at)
	if err != nil {
		return ""
	}
	out := "."
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !stick.Request(e.Name()) {
			out += fmt.Sprintln(e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return out
}
