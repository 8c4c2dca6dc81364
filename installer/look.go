package installer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"tram/installer/kit"
	"tram/installer/place"
)

// maxText is how many bytes of a settings file, a unit or a note are read.
const maxText = 64 << 10

// Where says what to look at.
type Where struct {
	Target
	Kit     string // kit folder; empty when none is needed
	Station string // whose enrol.json to take from the kit's enrol folder; empty for the kit's own
}

// Look looks at a PC and changes nothing on it. What cannot be seen counts as
// absent; ctx ends the one wait in it, for the agent's health, early.
func Look(ctx context.Context, where Where) Found {
	found := Found{Image: where.Root != "", Layout: layoutHere()}
	found.PC = lookPC()
	// Folders that do not exist yet are measured by the one they will be made in.
	found.PC.FreeProgram = freeSpace(nearest(where.at(found.Layout.Program)))
	if where.Kit != "" {
		found.Kit = kit.Read(where.Kit, found.PC.OS, found.PC.Arch)
		found.Enrol, found.EnrolBad = lookEnrol(where.Kit, where.Station)
	}
	found.Settings = lookSettings(where.Target, found.Layout, found.Kit.Settings)
	found.Records = lookRecords(where.Target, found.Layout, found.Settings)
	found.PC.FreeData = freeSpace(nearest(where.at(found.Records.Folder)))
	found.Agent = lookAgent(where.Target, found.Layout)
	found.Port.Listen = DefaultListen
	if found.Settings.Listen != "" {
		found.Port.Listen = found.Settings.Listen
	}
	// A service manager that does not answer counts as one that knows nothing.
	state, err := where.Services.State()
	if err == nil {
		found.Agent.State = state
	}
	// An image belongs to whoever may write its folder, and has no ports.
	if found.Image {
		found.PC.Rights = true
		return found
	}
	lookPort(ctx, &found)
	return found
}

// lookRecords looks for records without opening them: the agent may hold them,
// and they are sealed.
func lookRecords(on Target, lay Layout, s SettingsFound) Records {
	r := Records{Folder: lay.Data, Journal: s.Journal}
	if s.Data != "" {
		r.Folder = s.Data
	}
	folder := on.at(r.Folder)
	if _, err := os.Stat(folder); err != nil {
		return r
	}
	r.There = true
	if _, err := os.Stat(filepath.Join(folder, "tram.db")); err == nil {
		r.Database = true
	}
	r.Pending = place.Digest(filepath.Join(folder, "enrol.json"))
	// The station's key is made before the centre answers; the agent removes the
	// enrolment once it has.
	if inside, err := os.ReadDir(filepath.Join(folder, "identity")); err == nil && len(inside) > 0 {
		r.Enrolled = r.Pending == ""
	}
	return r
}

// lookEnrol takes the enrol.json that lies in the kit, else the one beside it, or
// enrol/<station>.json where one stick serves many stations.
func lookEnrol(dir, station string) (found *kit.Enrol, bad bool) {
	for _, at := range []string{dir, filepath.Dir(dir)} {
		if found, bad = enrolIn(at, station); found != nil || bad {
			break
		}
	}
	return found, bad
}

func enrolIn(dir, station string) (found *kit.Enrol, bad bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, false
	}
	defer root.Close()
	name := "enrol.json"
	if kit.StationName(station) {
		if _, err := root.Stat(filepath.Join("enrol", station+".json")); err == nil {
			name = filepath.Join("enrol", station+".json")
		}
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, !errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	e, err := kit.ReadEnrol(f)
	if err != nil {
		return nil, true
	}
	return &e, false
}

// lookAgent looks at the files of an agent; whether it runs is the service
// manager's and the port's to say.
func lookAgent(on Target, lay Layout) Agent {
	a := Agent{Program: place.Digest(on.at(lay.Program)), Setup: place.Digest(on.at(lay.Setup))}
	if _, err := os.Stat(on.at(lay.Previous)); err == nil {
		a.Previous = true
	}
	if raw, err := place.Read(on.at(lay.Note), maxText); err == nil && json.Unmarshal(raw, &a.Noted) != nil {
		a.Noted = Note{}
	}
	if raw, err := place.Read(on.at(lay.Unit), maxText); err == nil {
		a.Unit = string(raw)
	}
	if lay.Unit != "" && a.Unit != "" {
		wanted := filepath.Join(filepath.Dir(on.at(lay.Unit)), "multi-user.target.wants", ServiceName+".service")
		// The link is looked at, not followed: in an image it leads outside.
		_, err := os.Lstat(wanted)
		a.Disabled = err != nil
	}
	if raw, err := place.Read(on.at(lay.Account), maxText); err == nil {
		a.Account = string(raw)
	}
	return a
}

// lookPort finds out who has the page's address by trying to take it: only that
// sees every kind of listener. It is given back at once.
func lookPort(ctx context.Context, found *Found) {
	l, err := net.Listen("tcp", found.Port.Listen)
	if err == nil {
		l.Close()
		return
	}
	found.Port.Taken = true
	found.Port.Owner, found.Port.Program = portOwner(found.Port.Listen)
	if h, err := askHealth(ctx, found.Port.Listen); err == nil {
		found.Port.Ours = true
		found.Agent.Answers, found.Agent.OK = true, h.OK
		found.Agent.Version, found.Agent.Station = h.Version, h.Station
		found.Agent.Complaints = h.Values
	}
}

// health is the answer of the agent's page at /health.
type health struct {
	OK      bool    `json:"ok"`
	Version string  `json:"version"`
	Station string  `json:"station"`
	Values  []Value `json:"values"`
}

// askHealth asks whatever listens whether it is an agent.
func askHealth(ctx context.Context, listen string) (health, error) {
	var h health
	err := ask(ctx, "http://"+listen+"/health", "", &h)
	// Many programs answer JSON to anything; a version is in every agent's answer.
	if err == nil && h.Version == "" {
		err = errors.New("answer is not an agent's")
	}
	return h, err
}

// firstCode is what the agent's page asks for before it makes the first account. It is ""
// once there is one, and to who may not read the private file by which the agent is asked.
func firstCode(ctx context.Context, folder string) string {
	var here struct{ Address, Token string }
	raw, err := place.Read(filepath.Join(folder, "run.json"), maxText)
	if err != nil || json.Unmarshal(raw, &here) != nil {
		return ""
	}
	var state struct{ Setup string }
	if ask(ctx, "http://"+here.Address+"/local/status", here.Token, &state) != nil {
		return ""
	}
	return state.Setup
}

// ask reads an agent's answer into v; it waits 3 seconds at most and reads 64 KB at most.
func ask(ctx context.Context, url, token string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	// No proxy of the PC's may stand between this program and its own loopback.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(v)
}

// nearest is name, or the closest folder above it that exists.
func nearest(name string) string {
	for {
		if _, err := os.Stat(name); err == nil {
			return name
		}
		above := filepath.Dir(name)
		if above == name {
			return name
		}
		name = above
	}
}

// layoutHere is the layout of this kind of PC.
func layoutHere() Layout {
	if runtime.GOOS != "windows" {
		return LayoutLinux()
	}
	programs := os.Getenv("ProgramFiles")
	// A 32-bit program is shown another folder than the PC's own.
	if own := os.Getenv("ProgramW6432"); own != "" {
		programs = own
	}
	return LayoutWindows(programs, os.Getenv("ProgramData"))
}
