package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/agent/config"
	"tram/store/account"
	"tram/store/record"
	"tram/sync/central"
	"tram/sync/engine"
)

// running is a station or a centre at work; stop ends it and waits.
type running struct {
	address string
	stop    func()
}

func startCentre(t *testing.T) (*central.Centre, running) {
	t.Helper()
	ready := make(chan net.Addr, 1)
	c, err := central.New(central.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Page: "127.0.0.1:0", Hosts: []string{"127.0.0.1"},
		Ready: func(stations, _ net.Addr) { ready <- stations }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("centre: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, running{address: "https://" + (<-ready).String()}
}

// startStation starts a station in a folder. Its page's address is known when it
// returns.
func startStation(t *testing.T, dir string, more ...func(*config.Config)) (*Agent, running) {
	t.Helper()
	conf := config.Default(dir)
	conf.Page.Listen = "127.0.0.1:0"
	conf.Sync.Urgent = time.Millisecond
	conf.Sync.Every = 200 * time.Millisecond
	conf.Drop.Poll = 50 * time.Millisecond
	for _, f := range more {
		f(&conf)
	}
	ready := make(chan Here, 1)
	a, err := New(Options{Config: conf, Ready: func(h Here) { ready <- h }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("station: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	select {
	case h := <-ready:
		return a, running{h.Address, stop}
	case err := <-done:
		t.Fatalf("station ended: %v", err)
		return nil, running{}
	}
}

// eventually waits until ok, looking again and again; the time is only a bound for
// a test that fails.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func enrol(t *testing.T, c *central.Centre, address, dir, name string) {
	t.Helper()
	kit, err := c.Enrol(context.Background(), name, "", address)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(kit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "enrol.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func token(t *testing.T, a *Agent) string {
	t.Helper()
	_, token, err := account.New(a.Store(), time.Now, account.Cost{}).Issue(context.Background(), account.Grant{Name: "lab", Scopes: account.Everything(), By: "hoa"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func askFHIR(t *testing.T, at running, token, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+at.address+"/fhir/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/fhir+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestStationWorksAloneThenEnrolsAndSyncs(t *testing.T) {
	dir := t.TempDir()
	a, at := startStation(t, dir)
	tok := token(t, a)
	code, body := askFHIR(t, at, tok, "POST", "Patient", `{"resourceType":"Patient","name":[{"text":"Đặng Thị Hoà"}],"birthDate":"1961-02-03"}`)
	if code != http.StatusCreated {
		t.Fatalf("create without a centre: %d %s", code, body)
	}
	if counts, err := a.Store().Waiting(); err != nil || counts.Waiting != 1 {
		t.Fatalf("counts: %+v, %v", counts, err)
	}
	at.stop()

	c, centre := startCentre(t)
	enrol(t, c, centre.address, dir, "tram-a")
	a, _ = startStation(t, dir)
	eventually(t, "everything at the centre", func() bool {
		counts, err := a.Store().Waiting()
		return err == nil && counts.Waiting == 0 && counts.Records == 2
	})
	if _, err := os.Stat(filepath.Join(dir, "enrol.json")); err == nil {
		t.Error("the one-time code is still there")
	}
	eventually(t, "the centre has heard the station", func() bool {
		fleet, err := c.Fleet("en")
		return err == nil && len(fleet) == 1 && fleet[0].Seen > 0 && fleet[0].Report.Records == 2
	})
}

func TestDropFolderReachesAnotherStation(t *testing.T) {
	c, centre := startCentre(t)
	dirs := map[string]string{"tram-a": t.TempDir(), "tram-b": t.TempDir()}
	for name, dir := range dirs {
		enrol(t, c, centre.address, dir, name)
	}
	a, _ := startStation(t, dirs["tram-a"])
	b, _ := startStation(t, dirs["tram-b"])
	drop := filepath.Join(dirs["tram-a"], "drop")
	eventually(t, "the drop folder is made", func() bool { _, err := os.Stat(drop); return err == nil })
	for name, text := range map[string]string{
		"p.json":   `{"resourceType":"Patient","id":"p1","birthDate":"1961-02-03"}`,
		"o.json":   `{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":37.50}}`,
		"bad.json": `{"resourceType":"Patient","id":"p2","birthDate":"soon"}`,
	} {
		if err := os.WriteFile(filepath.Join(drop, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the bad file is aside with its reason", func() bool {
		_, err := os.Stat(filepath.Join(drop, "aside", "bad.json.reason.txt"))
		return err == nil
	})
	o := record.Key{Kind: "Observation", ID: "o1"}
	eventually(t, "the good file is at the centre", func() bool { _, err := c.Store().Get(o); return err == nil })
	if _, err := c.Grant(context.Background(), "tram-b", "tram-a", nil, "admin"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other station has it", func() bool { _, err := b.Store().Get(o); return err == nil })
	st, err := b.Store().Get(o)
	if err != nil || !strings.Contains(string(st.Shown.Content), `"value":37.50`) {
		t.Errorf("at the other station: %v", err)
	}
	if r := a.Report(); r.Station != "tram-a" {
		t.Errorf("the report is from %q", r.Station)
	}
}

func TestPortInUseSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conf := config.Default(t.TempDir())
	conf.Page.Listen = l.Addr().String()
	a, err := New(Options{Config: conf})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("got %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func ExampleLevel() {
	fmt.Println(Level("warn"), Level("nonsense"))
	// Output: WARN INFO
}

func TestIdleStationRests(t *testing.T) {
	c, centre := startCentre(t)
	dir := t.TempDir()
	enrol(t, c, centre.address, dir, "tram-a")
	a, at := startStation(t, dir, func(conf *config.Config) { conf.Sync.Every = time.Hour })
	tok := token(t, a)
	askFHIR(t, at, tok, "POST", "Patient", `{"resourceType":"Patient","birthDate":"1961-02-03"}`)
	tried := func() int64 { return a.Report().Tried }
	eventually(t, "everything at the centre", func() bool {
		counts, err := a.Store().Waiting()
		return err == nil && counts.Waiting == 0 && counts.Records == 2
	})
	eventually(t, "the station rests", func() bool {
		before := tried()
		time.Sleep(200 * time.Millisecond)
		return tried() == before
	})
	last := tried()
	for range 20 { // who looks makes commits, and nothing to send
		askFHIR(t, at, tok, "GET", "Patient", "")
		time.Sleep(5 * time.Millisecond)
	}
	if now := tried(); now != last {
		t.Errorf("an idle station exchanged again %d ms later", now-last)
	}
}

func TestNewKitEnrolsAnew(t *testing.T) {
	c, centre := startCentre(t)
	dir := t.TempDir()
	enrol(t, c, centre.address, dir, "tram-a")
	a, at := startStation(t, dir)
	synced := func() bool { return a.Report().Synced > 0 && a.Report().Failure == "" }
	eventually(t, "the first exchange", synced)
	first := a.link.identity.Key()
	at.stop()
	enrol(t, c, centre.address, dir, "tram-a")
	a, _ = startStation(t, dir)
	eventually(t, "an exchange under the new key", synced)
	if a.link.identity.Key() == first {
		t.Error("the new kit changed nothing")
	}
	if _, err := os.Stat(filepath.Join(dir, "enrol.json")); err == nil {
		t.Error("the one-time code is still there")
	}
}

func TestPaceGrowsWithWhatIsCarriedSoon(t *testing.T) {
	p := engine.DefaultPace()
	if got := paced(p, time.Second, 3); got != p {
		t.Errorf("after next to nothing: %+v", got)
	}
	if got := paced(p, time.Second, 500); got != p.Faster() {
		t.Errorf("after much in a second: %+v", got)
	}
	if got := paced(p.Faster().Faster(), 20*time.Second, 500); got.Stretch != p.Stretch || got.Up >= p.Faster().Faster().Up {
		t.Errorf("after 20 s: %+v", got)
	}
}
