package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tram/agent/rehearse/interop/house"
	"tram/store/pages"
)

// server is what answers on loopback, a process of its own.
type server struct {
	base, token string
	client      *http.Client
	// own is how many bytes the process holds without the pages of files.
	own func() int64
	// worked is how long it has kept processors busy, to 10 ms.
	worked func() time.Duration
	// database is the file of its bbolt; "" where it has none.
	database string
	cmd      *exec.Cmd // nil for a station, which house runs
	loaded
}

// loaded is what a peer says when it is ready, as one line of JSON.
type loaded struct {
	Port    int     `json:"port"`
	Records int     `json:"records"`
	Seconds float64 `json:"seconds"`
}

// answerTime bounds how long one answer may take: who goes through all records for
// each of sixteen clients needs minutes.
const answerTime = 30 * time.Minute

// newServer is one at an address. No answer is compressed: on loopback that costs
// both sides time and saves nothing.
func newServer(base string) *server {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	return &server{base: base, client: &http.Client{Transport: transport, Timeout: answerTime}, worked: func() time.Duration { return 0 }}
}

// ofStation reads from a running station's folder where it answers and the token of
// a program.
func ofStation(st *house.Station) (*server, error) {
	var here, training struct{ Address, Token string }
	for name, v := range map[string]any{"run.json": &here, "practice.json": &training} {
		b, err := os.ReadFile(filepath.Join(st.Dir(), name))
		if err == nil {
			err = json.Unmarshal(b, v)
		}
		if err != nil {
			return nil, fmt.Errorf("ask the station where it is: %w", err)
		}
	}
	s := newServer("http://" + here.Address + "/fhir")
	s.token, s.own, s.worked, s.database = training.Token, st.Own, st.Worked, filepath.Join(st.Dir(), "tram.db")
	return s, nil
}

// startMedplum starts the router of testdata/peers/medplum and waits until it loaded
// the file, or as much of it as it can.
func startMedplum(ctx context.Context, script string, megabytes int, file string, patience time.Duration) (*server, error) {
	return start(exec.CommandContext(ctx, "node", fmt.Sprintf("--max-old-space-size=%d", megabytes), script,
		"--file", file, "--patience", strconv.Itoa(int(patience.Seconds()))), "Medplum")
}

// startNothing starts this program as a server whose answers are empty.
func startNothing(ctx context.Context) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(exec.CommandContext(ctx, self, "bench-api", "--nothing"), "empty answers")
}

// start starts a program that prints one line of JSON when it is ready.
func start(cmd *exec.Cmd, name string) (*server, error) {
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var l loaded
	if err == nil {
		err = json.Unmarshal(line, &l)
	}
	s := newServer(fmt.Sprintf("http://127.0.0.1:%d/fhir", l.Port))
	s.cmd, s.loaded = cmd, l
	s.own, s.worked = func() int64 { return house.Own(cmd.Process.Pid) }, func() time.Duration { return house.Worked(cmd.Process.Pid) }
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s ended before it was ready: %w", name, err), s.stop())
	}
	return s, nil
}

// stop ends a process that start started.
func (s *server) stop() error {
	s.client.CloseIdleConnections()
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// commits is how many transactions the server's database has seen; 0 without one. A
// station commits what only says who looked a little later.
func (s *server) commits() uint64 {
	if s.database == "" {
		return 0
	}
	f, err := os.Open(s.database)
	if err != nil {
		return 0
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	both := pages.Metas(f, info.Size())
	return max(both[0].Tx, both[1].Tx)
}

// serveNothing answers every request with nothing, until ctx ends.
func serveNothing(ctx context.Context, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	empty := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	s := &http.Server{Handler: http.HandlerFunc(empty), ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	fmt.Fprintf(out, "{\"port\":%s}\n", port)
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
