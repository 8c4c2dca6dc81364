//go:build !windows

package installer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tram/installer/place"
)

// bench is a PC made of a temporary folder, with a stick beside it.
type bench struct {
	*testing.T
	on     Target
	stick  string
	listen string
	procs  *processes
}

func newBench(t *testing.T) *bench {
	t.Helper()
	root := t.TempDir()
	procs := &processes{root: root}
	t.Cleanup(func() { procs.Stop() })
	return &bench{T: t, on: Target{Root: root, Services: procs}, listen: freePort(t), procs: procs}
}

// insert puts a new stick of that version in.
func (b *bench) insert(version string) {
	b.Helper()
	b.stick = b.TempDir()
	buildKit(b.T, b.stick, version, b.listen)
}

// look sees the bench as a running PC with systemd.
func (b *bench) look() Found {
	found := Look(context.Background(), Where{Target: b.on, Kit: b.stick})
	found.Image = false
	found.PC.Services = "systemd"
	lookPort(context.Background(), &found)
	return found
}

// install looks, plans and carries out, and says which steps were begun.
func (b *bench) install() (kind string, steps []Do, err error) {
	b.Helper()
	found := b.look()
	plan, refusals := PlanInstall(found, Settings{Language: "vi", Enrol: found.Enrol})
	if len(refusals) > 0 {
		b.Fatalf("refused: %v", refusals)
	}
	err = Run(context.Background(), plan, b.on, func(s Step) { steps = append(steps, s.Do) })
	return plan.Kind, steps, err
}

func (b *bench) mustInstall(want string) []Do {
	b.Helper()
	kind, steps, err := b.install()
	if err != nil {
		b.Fatal(err)
	}
	if kind != want {
		b.Fatalf("plan is %q with %v, want %q", kind, steps, want)
	}
	return steps
}

func (b *bench) exists(name string) bool {
	_, err := os.Stat(b.on.at(name))
	return err == nil
}

func TestInstallTwiceThenUpgradeThenRemove(t *testing.T) {
	b := newBench(t)
	lay := LayoutLinux()
	b.insert("v1.0.0")
	b.mustInstall(Fresh)
	if got := get(t, "GET", "http://"+b.listen+"/health"); !strings.Contains(got, `"version":"v1.0.0"`) || !strings.Contains(got, `"station":"tram-a"`) {
		t.Errorf("health after install: %s", got)
	}
	if info, err := os.Stat(b.on.at(lay.Data + "/enrol.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("enrol.json: %v, %v; want rights 0600", info, err)
	}
	b.mustInstall(Nothing)

	get(t, "POST", "http://"+b.listen+"/records")
	get(t, "POST", "http://"+b.listen+"/records")
	b.insert("v1.1.0")
	b.mustInstall(Upgrade)
	if got := get(t, "GET", "http://"+b.listen+"/health"); !strings.Contains(got, `"version":"v1.1.0"`) {
		t.Errorf("health after upgrade: %s", got)
	}
	if got := get(t, "GET", "http://"+b.listen+"/records"); got != "2" {
		t.Errorf("after the upgrade there are %s records, want 2", got)
	}

	b.remove(Taking{})
	for _, gone := range []string{lay.Program, lay.Setup, lay.Unit, lay.Account, lay.Note, lay.Previous} {
		if b.exists(gone) {
			t.Errorf("%s is there after the removal", gone)
		}
	}
	if !b.exists(lay.Data+"/tram.db") || !b.exists(lay.Settings) {
		t.Error("the removal took records or their settings with it")
	}
	b.mustInstall(Complete)
	if got := get(t, "GET", "http://"+b.listen+"/records"); got != "2" {
		t.Errorf("a new install finds %s records, want 2", got)
	}
	theirs := filepath.Join(b.on.Root, lay.Data, "holiday.jpg")
	if err := os.WriteFile(theirs, []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.remove(Taking{Records: true, Really: true})
	if b.exists(lay.Data+"/tram.db") || b.exists(lay.Settings) {
		t.Error("records or settings are there after a removal that was told twice")
	}
	if !b.exists(lay.Data + "/holiday.jpg") {
		t.Error("a file that the agent did not make was deleted with the records")
	}
}

func (b *bench) remove(want Taking) {
	b.Helper()
	plan, refusals := PlanRemove(b.look(), want)
	if len(refusals) > 0 {
		b.Fatalf("refused: %v", refusals)
	}
	if err := Run(context.Background(), plan, b.on, func(Step) {}); err != nil {
		b.Fatal(err)
	}
}

func TestFailedUpgradePutsTheEarlierAgentBack(t *testing.T) {
	b := newBench(t)
	b.insert("v1.0.0")
	b.mustInstall(Fresh)
	get(t, "POST", "http://"+b.listen+"/records")
	b.insert("v1.1.0-broken")
	found := b.look()
	plan, _ := PlanInstall(found, Settings{Enrol: found.Enrol})
	ctx, cancel := context.WithCancel(context.Background())
	err := Run(ctx, plan, b.on, func(s Step) {
		if s.Do == WaitHealthy {
			cancel() // nobody waits ten minutes for a broken agent here
		}
	})
	var failed *StepError
	if !errors.As(err, &failed) || failed.Step.Do != WaitHealthy || !failed.Undone || failed.Undo != nil {
		t.Fatalf("Run: %#v, want a failed wait that was undone", err)
	}
	if got, want := place.Digest(b.on.at(found.Layout.Program)), found.Agent.Program; got != want {
		t.Error("the earlier program is not back")
	}
	// The earlier agent was started again by the undo.
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := waitHealthy(ctx, Step{Listen: b.listen, Note: Note{Version: "v1.0.0"}}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, "GET", "http://"+b.listen+"/records"); got != "1" {
		t.Errorf("after the undo there are %s records, want 1", got)
	}
}

func TestFailedInstallIsUndoneAndLeavesRecords(t *testing.T) {
	b := newBench(t)
	lay := LayoutLinux()
	old := b.on.at(lay.Data + "/tram.db")
	if err := place.Write(old, []byte("record\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.insert("v1.0.0")
	found := b.look()
	// The stick is damaged between the look and the copy.
	if err := os.WriteFile(filepath.Join(b.stick, filepath.FromSlash(found.Kit.Program.Setup.Path)), []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	plan, _ := PlanInstall(found, Settings{Enrol: found.Enrol})
	err := Run(context.Background(), plan, b.on, func(Step) {})
	if !errors.Is(err, place.ErrAltered) {
		t.Fatalf("Run: %v, want %v", err, place.ErrAltered)
	}
	if b.exists(lay.Program) || b.exists(lay.Setup) {
		t.Error("a failed install left its program")
	}
	if raw, err := os.ReadFile(old); err != nil || string(raw) != "record\n" {
		t.Errorf("records after a failed install: %q, %v", raw, err)
	}
}

// A power cut after any step leaves a PC that the next install completes.
func TestHalfDoneInstallIsCompleted(t *testing.T) {
	whole := newBench(t)
	whole.insert("v1.0.0")
	steps := whole.mustInstall(Fresh)
	whole.procs.Stop()
	for cut := 1; cut < len(steps); cut++ {
		b := newBench(t)
		b.insert("v1.0.0")
		found := b.look()
		plan, _ := PlanInstall(found, Settings{Enrol: found.Enrol})
		for _, s := range plan.Steps[:cut] {
			if _, err := carryOut(context.Background(), s, b.on); err != nil {
				t.Fatal(err)
			}
		}
		b.procs.Stop()
		kind, again, err := b.install()
		if err != nil || kind != Complete {
			t.Fatalf("cut after %s: kind %q, steps %v, %v", steps[cut-1], kind, again, err)
		}
		if got := b.mustInstall(Nothing); len(got) != 0 {
			t.Errorf("cut after %s: a third install still has %v to do", steps[cut-1], got)
		}
		b.procs.Stop()
	}
}

func TestDeletingRecordsLeavesWhatTheAgentDidNotMake(t *testing.T) {
	dir := t.TempDir()
	data, journal, outside := filepath.Join(dir, "data"), filepath.Join(dir, "second"), filepath.Join(dir, "outside")
	for _, name := range []string{data + "/tram.db", data + "/journal/00000001.journal", data + "/drop/aside/x.json", data + "/identity/key",
		data + "/photo.jpg", journal + "/00000007.journal", journal + "/letter.odt", outside + "/theirs"} {
		if err := place.Write(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, data+"/blobs"); err != nil {
		t.Fatal(err)
	}
	if err := deleteRecords(data, journal); err != nil {
		t.Fatal(err)
	}
	var left []string
	filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if !d.IsDir() {
			left = append(left, strings.TrimPrefix(name, dir))
		}
		return err
	})
	if got, want := strings.Join(left, " "), "/data/photo.jpg /outside/theirs /second/letter.odt"; got != want {
		t.Errorf("left: %s, want %s", got, want)
	}
}

func TestEveryStepMayBeRepeated(t *testing.T) {
	b := newBench(t)
	b.insert("v1.0.0")
	found := b.look()
	plan, _ := PlanInstall(found, Settings{Enrol: found.Enrol})
	for _, s := range plan.Steps {
		for range 2 {
			if _, err := carryOut(context.Background(), s, b.on); err != nil {
				t.Fatalf("%s: %v", s.Do, err)
			}
		}
	}
	plan, _ = PlanRemove(b.look(), Taking{Records: true, Really: true})
	if !slices.ContainsFunc(plan.Steps, func(s Step) bool { return s.Do == DeleteRecords }) {
		t.Fatal("the removal has no records to delete")
	}
	for _, s := range plan.Steps {
		for range 2 {
			if _, err := carryOut(context.Background(), s, b.on); err != nil {
				t.Fatalf("%s: %v", s.Do, err)
			}
		}
	}
}

// What answers at the agent's address may be anything.
func TestAskHealth(t *testing.T) {
	for _, c := range []struct{ name, answer, version string }{
		{"an agent", `{"ok":false,"version":"0.1.0","station":"","values":[{"code":"x","severity":2,"title":"T","todo":"D","new":{}}]}`, "0.1.0"},
		{"another program", `{"status":"up"}`, ""},
		{"a page", "<html>", ""},
		{"nothing", "", ""},
		{"an endless one", `{"version":"` + strings.Repeat("x", 1<<20) + `"}`, ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, c.answer) }))
		h, err := askHealth(context.Background(), server.Listener.Addr().String())
		server.Close()
		if (err == nil) != (c.version != "") || err == nil && h.Version != c.version {
			t.Errorf("%s: version %q, %v; want %q", c.name, h.Version, err, c.version)
		}
	}
}
