package agent

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tram/agent/intake"
	"tram/store/record"
	"tram/store/seal"
	"tram/sync/carry/stick"
	"tram/sync/status"
)

// Here is how the command line finds the running program: a private file in the
// data folder.
type Here struct {
	PID      int    `json:"pid"`
	Address  string `json:"address"` // of the page
	Token    string `json:"token"`   // what the command line shows to be let in
	Setup    string `json:"setup"`   // what the first page asks for while there is no account
	Language string `json:"language"`
}

const hereFile = "run.json"

// announce writes the file.
func (a *Agent) announce(ctx context.Context, address string) (Here, error) {
	h := Here{PID: os.Getpid(), Address: address, Token: rand.Text(), Language: a.o.Config.Station.Language}
	var err error
	if h.Setup, err = a.setupCode(ctx); err != nil {
		return h, err
	}
	b, err := json.Marshal(h)
	if err != nil {
		return h, err
	}
	if err := seal.WriteFile(filepath.Join(a.o.Config.Data.Folder, hereFile), b); err != nil {
		return h, fmt.Errorf("tell where this program is: %w", err)
	}
	return h, nil
}

func (a *Agent) retract() {
	if err := os.Remove(filepath.Join(a.o.Config.Data.Folder, hereFile)); err != nil {
		a.o.Log.Warn("cannot remove the file that says where this program is", "err", err)
	}
}

// ReadHere finds a running program by its data folder.
func ReadHere(folder string) (Here, error) {
	var h Here
	b, err := os.ReadFile(filepath.Join(folder, hereFile))
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(b, &h)
}

// State is what `tram status` shows.
type State struct {
	Report status.Report   `json:"report"`
	Health []status.Health `json:"health"`
	Setup  string          `json:"setup,omitempty"` // the set-up code, while there is no account
}

// Conflict is one open conflict as the command line shows it: names only.
type Conflict struct {
	Key   record.Key `json:"key"`
	Paths []string   `json:"paths"`
}

// local is what the command line asks of the running program. Nobody without the
// token of the private file is answered.
func (a *Agent) local(token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /local/status", func(w http.ResponseWriter, r *http.Request) {
		rep := a.Report()
		values := status.In(a.lang(r), status.Judge(rep, a.clock.Stamp().Corrected()))
		setup, err := a.setupCode(r.Context())
		answer(w, State{rep, values, setup}, err)
	})
	mux.HandleFunc("POST /local/sync", func(w http.ResponseWriter, r *http.Request) {
		a.SyncNow()
		answer(w, struct{}{}, nil)
	})
	mux.HandleFunc("GET /local/conflicts", func(w http.ResponseWriter, r *http.Request) {
		list, err := a.conflicts()
		answer(w, list, err)
	})
	mux.HandleFunc("GET /local/proof", a.sendProof)
	mux.HandleFunc("GET /local/check", func(w http.ResponseWriter, r *http.Request) {
		found, err := a.store.Check(r.Context())
		answer(w, found, err)
	})
	mux.HandleFunc("POST /local/replay", a.replay)
	mux.HandleFunc("POST /local/compact", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, a.store.Compact(r.Context()))
	})
	mux.HandleFunc("POST /local/rotate", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, a.store.Rotate(r.Context()))
	})
	mux.HandleFunc("GET /local/backup", a.sendBackup)
	mux.HandleFunc("POST /local/backup", a.checkBackup)
	mux.HandleFunc("POST /local/import", a.importFile)
	mux.HandleFunc("GET /local/drop", a.dropFace)
	a.stickFace(mux)
	a.pointFace(mux)
	a.staffFace(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(got), []byte(token)) != 1 {
			http.Error(w, "this is for the command line of this PC", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (a *Agent) conflicts() ([]Conflict, error) {
	stands, err := a.store.Contested(1000)
	if err != nil {
		return nil, err
	}
	out := []Conflict{}
	for _, st := range stands {
		c := Conflict{Key: st.Key}
		for _, open := range st.Shown.Conflicts() {
			c.Paths = append(c.Paths, open.Path)
		}
		out = append(out, c)
	}
	return out, nil
}

// importFile takes one file as the drop folder does. Its name comes in a header,
// since names of files may name people.
func (a *Agent) importFile(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, intake.MaxBytes))
	if err != nil {
		http.Error(w, "the file is too large", http.StatusRequestEntityTooLarge)
		return
	}
	ev, err := a.intake.Submit(r.Context(), r.Header.Get("X-File-Name"), b)
	if err != nil {
		answer(w, nil, err)
		return
	}
	out := struct {
		Refusal  string            `json:"refusal,omitempty"`
		Taken    intake.Taken      `json:"taken"`
		Waits    int               `json:"waits,omitempty"`
		Assigned []intake.Assigned `json:"assigned,omitempty"`
	}{Taken: ev.Taken, Waits: ev.Waits, Assigned: ev.Assigned}
	if ev.Refusal != nil {
		out.Refusal = ev.Refusal.Text(a.lang(r))
	}
	answer(w, out, nil)
}

// dropState is what `tram drop` shows: no names of people.
type dropState struct {
	Day     intake.Day `json:"day"`
	Waiting []dropItem `json:"waiting"`
}

type dropItem struct {
	ID   string     `json:"id"`
	At   int64      `json:"at"`
	Kind string     `json:"kind"`
	Why  intake.Why `json:"why"`
}

// dropFace tells the command line what came in on a day and what waits.
func (a *Agent) dropFace(w http.ResponseWriter, r *http.Request) {
	date := r.URL.Query().Get("day")
	if date == "" {
		date = a.intake.Today()
	}
	if _, err := time.Parse("2006-01-02", date); err != nil {
		http.Error(w, words(a.lang(r), "proof-day"), http.StatusBadRequest)
		return
	}
	day, err := a.intake.Day(date)
	if err != nil {
		answer(w, nil, err)
		return
	}
	list, err := a.intake.Waiting()
	out := dropState{Day: day, Waiting: []dropItem{}}
	for _, one := range list {
		out.Waiting = append(out.Waiting, dropItem{one.ID, one.At, one.Kind, one.Why})
	}
	answer(w, out, err)
}

// lang is the language in which the command line asks, else that of the settings.
func (a *Agent) lang(r *http.Request) string {
	if l := r.Header.Get("Accept-Language"); slices.Contains(status.Languages(), l) {
		return l
	}
	return a.settings().Station.Language
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// errNotRunning is told with what to do.
var errNotRunning = errors.New("the station's program is not running: start the service, or run `tram run`")

// running finds the running program. Who may not read its file is told so.
func (t *tool) running() (Here, error) {
	h, err := ReadHere(t.conf.Data.Folder)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		err = errNotRunning
	}
	return h, err
}

// call asks the running program and reads its answer into v.
func (t *tool) call(method, path, file string, body io.Reader, v any) error {
	h, err := t.running()
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://"+h.Address+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+h.Token)
	req.Header.Set("Accept-Language", t.lang())
	req.Header.Set("X-File-Name", file)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return errNotRunning
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 2*stick.MaxFile))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(b)))
	}
	return json.Unmarshal(b, v)
}
