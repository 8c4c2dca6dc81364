//go:build !windows

package installer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tram/agent/config"
	"tram/agent/service"
	"tram/installer/kit"
)

// TestMain lets a copy of this test program that is named tram be the agent
// that gets installed: a real listener, real files, the agent's own way of
// running as a service.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "tram" {
		if err := standIn(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// trailer stands before the version at the end of a stand-in's program file.
const trailer = "\nstand-in version "

func ownVersion() string {
	raw, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return ""
	}
	tail := string(raw[len(raw)-64:])
	_, v, _ := strings.Cut(tail, trailer)
	return v
}

func standIn(args []string) error {
	if len(args) != 3 || args[0] != "run" || args[1] != "--config" {
		return fmt.Errorf("arguments %q", args)
	}
	c, err := config.Load(args[2])
	if err != nil {
		return err
	}
	version := ownVersion()
	if strings.Contains(version, "broken") {
		return fmt.Errorf("broken on purpose")
	}
	data := filepath.Join(os.Getenv("TRAM_TEST_ROOT"), c.Data.Folder)
	db := filepath.Join(data, "tram.db")
	return service.Run(context.Background(), func(ctx context.Context, ready func()) error {
		f, err := os.OpenFile(db, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		var mu sync.Mutex
		mux := http.NewServeMux()
		mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(health{OK: true, Version: version, Station: c.Station.Name})
		})
		mux.HandleFunc("/records", func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodPost {
				if _, err := f.WriteString("record\n"); err != nil || f.Sync() != nil {
					http.Error(w, "not written", http.StatusInternalServerError)
					return
				}
			}
			raw, _ := os.ReadFile(db)
			fmt.Fprint(w, strings.Count(string(raw), "record\n"))
		})
		l, err := net.Listen("tcp", c.Page.Listen)
		if err != nil {
			return err
		}
		server := http.Server{Handler: mux}
		var wg sync.WaitGroup
		wg.Go(func() { server.Serve(l) })
		ready()
		<-ctx.Done()
		server.Close()
		wg.Wait()
		return nil
	})
}

// buildKit makes a kit of stand-ins in a new folder, listening at listen.
func buildKit(t *testing.T, dir, version, listen string) {
	t.Helper()
	pc := filepath.Join(dir, "linux-"+lookPC().Arch)
	if err := os.MkdirAll(pc, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		filepath.Join(pc, "tram"):        string(self) + trailer + version,
		filepath.Join(pc, "tram-setup"):  "setup " + version,
		filepath.Join(dir, "tram.toml"):  setLine(config.Sample(), "page", "listen", listen),
		filepath.Join(dir, "enrol.json"): enrolText(t, "tram-a"),
	} {
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kit.Build(dir, version, nil); err != nil {
		t.Fatal(err)
	}
}

func enrolText(t *testing.T, station string) string {
	t.Helper()
	raw, err := kit.Enrol{Station: station, Centre: "https://centre.example:8643", Root: testRoot, Code: "0123-4567-89AB-CDEF"}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// processes is a service manager of child processes on a target's files.
type processes struct {
	root string
	def  *Definition
	cmd  *exec.Cmd
}

func (p *processes) State() (State, error) {
	switch {
	case p.def == nil:
		return Absent, nil
	case p.cmd == nil:
		return Stopped, nil
	}
	return Running, nil
}

func (p *processes) Register(d Definition) error {
	p.def = &d
	return ImageServices(p.root).Register(d)
}

func (p *processes) Unregister() error {
	p.def = nil
	return ImageServices(p.root).Unregister()
}

func (p *processes) Start() error {
	if p.cmd != nil {
		return nil
	}
	cmd := exec.Command(filepath.Join(p.root, p.def.Program), "run", "--config", filepath.Join(p.root, p.def.Arguments[2]))
	cmd.Env = append(os.Environ(), "TRAM_TEST_ROOT="+p.root)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	return nil
}

func (p *processes) Stop() error {
	if p.cmd == nil {
		return nil
	}
	p.cmd.Process.Signal(os.Interrupt)
	p.cmd.Wait()
	p.cmd = nil
	return nil
}

// freePort finds an address that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(t *testing.T, method, url string) string {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
