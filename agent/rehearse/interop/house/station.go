package house

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tram/sync/status"
)

// Station is a station with a data folder; its program runs between Start and
// Stop.
type Station struct {
	programs Programs
	dir      string
	name     string
	*process
	here struct {
		Address string `json:"address"`
		Token   string `json:"token"`
	}
	token  string // of the FHIR face
	client *http.Client
}

// Settings are what stations here differ in.
type Settings struct {
	References string        // of the drop folder: "strict" or "lenient"
	Urgent     time.Duration // how long after an entry an exchange follows
	Every      time.Duration // from one exchange to the next; 0 is 10 s
	// KeyExchange is that of its connections; "" is the one that a station has by itself.
	KeyExchange string
}

// NewStation makes a station's folder and its settings file.
func NewStation(programs Programs, dir, name string, set Settings) (*Station, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if set.Every == 0 {
		set.Every = 10 * time.Second
	}
	if set.KeyExchange == "" {
		set.KeyExchange = "hybrid"
	}
	settings := fmt.Sprintf("[station]\nname = %q\nlanguage = \"en\"\n[data]\nfolder = %q\n[page]\nlisten = \"127.0.0.1:0\"\n"+
		"[drop]\npoll = \"1s\"\nreferences = %q\n[sync]\nevery = %q\nurgent = %q\n[centre]\nkey_exchange = %q\n", name, dir, set.References, set.Every, set.Urgent, set.KeyExchange)
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "tram.toml"), []byte(settings), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("make station %s: %w", name, err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	return &Station{programs: programs, dir: dir, name: name, client: &http.Client{Transport: transport, Timeout: 2 * time.Minute}}, nil
}

// Name is the station's name, Dir its data folder.
func (s *Station) Name() string { return s.name }

// Dir is the station's data folder.
func (s *Station) Dir() string { return s.dir }

// Admit makes an account and a token for Get and Face. The station must not run, and its
// folder becomes one of made-up people.
func (s *Station) Admit(ctx context.Context) error {
	out, err := command(ctx, s.programs.Tram, "practice", "--data", s.dir, "--days", "0", "--json")
	if err != nil {
		return err
	}
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(out, &made); err != nil || made.Token == "" {
		return fmt.Errorf("make an account: no token came back")
	}
	s.token = made.Token
	return nil
}

// Start starts the station and waits until it answers.
func (s *Station) Start(ctx context.Context) error {
	p, err := spawn("tram of "+s.name, s.programs.Tram, s.dir+".log", "run", "--data", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	err = p.await(ctx, func() bool {
		b, err := os.ReadFile(filepath.Join(s.dir, "run.json"))
		if err != nil || json.Unmarshal(b, &s.here) != nil {
			return false
		}
		resp, err := s.client.Get("http://" + s.here.Address + "/health")
		if err != nil {
			return false
		}
		drain(resp.Body)
		return resp.StatusCode == http.StatusOK
	})
	if err != nil {
		err = errors.Join(err, s.stop())
		s.process = nil
	}
	return err
}

// Stop stops the station, if it runs.
func (s *Station) Stop() error {
	p := s.process
	s.process = nil
	s.client.CloseIdleConnections()
	return p.stop()
}

// Peak is the most memory that the running station held so far, in bytes.
func (s *Station) Peak() int64 { return s.peak() }

// Own is what the running station holds now without the pages of files, in bytes.
func (s *Station) Own() int64 { return s.own() }

// Worked is the time that the running station's processor took so far.
func (s *Station) Worked() time.Duration { return s.worked() }

// Face is where the running station's FHIR face is, and the token of a program; see Admit.
func (s *Station) Face() (base, token string) { return "http://" + s.here.Address + "/fhir", s.token }

// Report is what the running station says of itself.
func (s *Station) Report(ctx context.Context) (status.Report, error) {
	var state struct {
		Report status.Report `json:"report"`
	}
	b, _, err := s.ask(ctx, http.MethodGet, "/local/status", s.here.Token, nil)
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	return state.Report, err
}

// SyncNow asks for an exchange.
func (s *Station) SyncNow(ctx context.Context) error {
	_, _, err := s.ask(ctx, http.MethodPost, "/local/sync", s.here.Token, nil)
	return err
}

// Get reads a path below the FHIR face. Any answer but 404 and 410 that is no
// success is an error.
func (s *Station) Get(ctx context.Context, path string) (body []byte, found bool, err error) {
	return s.ask(ctx, http.MethodGet, "/fhir/"+path, s.token, nil)
}

// Save writes a record "Kind/id" that is there already through the FHIR face.
func (s *Station) Save(ctx context.Context, key string, resource []byte) error {
	_, found, err := s.ask(ctx, http.MethodPut, "/fhir/"+key, s.token, resource)
	if err == nil && !found {
		err = fmt.Errorf("station %s does not know the record to save", s.name)
	}
	return err
}

// Submit writes resources, each with its id, in their order through the FHIR face: all of
// them or none.
func (s *Station) Submit(ctx context.Context, resources ...[]byte) error {
	type request struct {
		Method string `json:"method"`
		URL    string `json:"url"`
	}
	type entry struct {
		Resource json.RawMessage `json:"resource"`
		Request  request         `json:"request"`
	}
	var all []entry
	for _, r := range resources {
		var key struct{ ResourceType, ID string }
		if err := json.Unmarshal(r, &key); err != nil {
			return fmt.Errorf("submit: %w", err)
		}
		all = append(all, entry{r, request{http.MethodPut, key.ResourceType + "/" + key.ID}})
	}
	bundle, err := json.Marshal(map[string]any{"resourceType": "Bundle", "type": "transaction", "entry": all})
	if err == nil {
		_, _, err = s.ask(ctx, http.MethodPost, "/fhir", s.token, bundle)
	}
	return err
}

// maxAnswer bounds an answer in bytes.
const maxAnswer = 64 << 20

func (s *Station) ask(ctx context.Context, method, path, token string, content []byte) ([]byte, bool, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.here.Address+path, bytes.NewReader(content))
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/fhir+json")
	if content != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer drain(resp.Body)
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		return nil, false, nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		place, _, _ := strings.Cut(path, "?")
		err = fmt.Errorf("station %s answers %s at %s", s.name, resp.Status, place)
	}
	return b, err == nil, err
}
