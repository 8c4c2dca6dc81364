//go:build unix

package store_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tram/store"
	"tram/store/layout"
	"tram/store/query"
	"tram/store/record"
	"tram/store/storetest"
	"tram/store/table"
)

// childEnv tells this test's own program, started anew, what to be.
const childEnv = "TRAM_STORE_TEST_CHILD"

// child starts this test's program anew as a process of its own that runs only
// the named test, in its part for a child.
func child(t *testing.T, test, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	return cmd
}

// noise is a patient's content of about n bytes that does not compress.
func noise(id string, n int, r *rand.Rand) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('!' + r.IntN(90))
	}
	clean := strings.NewReplacer(`"`, "a", `\`, "b").Replace(string(text))
	return patient(id, `,"name":[{"text":"`+clean+`"}]`)
}

// TestFullDiskLosesNothing lets a child write until no file may grow any more.
// What the child was told is saved is there afterwards, and nothing else.
func TestFullDiskLosesNothing(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		fillDisk(t, dir)
		return
	}
	t.Parallel()
	for _, kib := range []uint64{1100, 2500, 5000} { // where the journal ends first, and where the database does
		dir := t.TempDir()
		out, err := child(t, t.Name(), fmt.Sprintf("%s:%d", dir, kib)).CombinedOutput()
		if err != nil {
			t.Fatalf("%d KiB: %v\n%s", kib, err, out)
		}
		acked := map[string]bool{}
		full := 0
		for line := range strings.Lines(string(out)) {
			switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
			case "saved":
				acked[rest] = true
			case "full":
				full++
			}
		}
		if len(acked) < 10 || full < 3 {
			t.Fatalf("%d KiB: %d saved, %d times full; the disk did not fill\n%s", kib, len(acked), full, out)
		}
		s := storetest.Open(t, store.Options{Name: "a", Dir: dir})
		r, err := s.Search(query.Query{Kind: "Patient", Limit: query.MaxLimit})
		if err != nil || r.Total != len(acked) {
			t.Errorf("%d KiB: %d records, %v; %d were acknowledged", kib, r.Total, err, len(acked))
		}
		for _, st := range r.Stands {
			if !acked[st.Key.ID] {
				t.Errorf("%d KiB: %s was refused and is there", kib, st.Key)
			}
		}
		born(t, s, hoa) // and with room again it goes on
	}
}

// fillDisk writes under a limit on the size of files, and tells what became of
// each write.
func fillDisk(t *testing.T, where string) {
	var kib uint64
	dir, limit, _ := strings.Cut(where, ":")
	if _, err := fmt.Sscan(limit, &kib); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	s, err := store.Open(store.Options{Name: "a", Dir: dir, R4: storetest.R4(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: kib << 10, Max: kib << 10}); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	var last string
	for full := 0; full < 5; {
		id := s.NewID()
		_, err := s.Put(context.Background(), store.Write{Key: key("Patient", id), Content: noise(id, 20<<10, r), Author: "hoa"})
		switch {
		case err == nil:
			last = id
			fmt.Println("saved", id)
		case errors.Is(err, store.ErrFull):
			full++
			fmt.Println("full")
			if st, err := s.Get(key("Patient", last)); err != nil || st.Shown == nil {
				t.Errorf("reading on a full disk: %v", err)
			}
			if st, err := s.Get(key("Patient", id)); !errors.Is(err, record.ErrNotFound) {
				t.Errorf("a refused write shows: %v, %v", st, err)
			}
		default:
			t.Fatalf("got %v, want ErrFull", err)
		}
	}
	storetest.Check(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestKilledProcessKeepsWhatItAcknowledged kills a child in the midst of its
// writes, several times over one folder.
func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		writeForEver(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 3 {
		cmd := child(t, t.Name(), dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+round*7 && lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "saved "); ok {
				acked[id] = true
				n++
			}
		}
		if _, err := store.Open(store.Options{Name: "a", Dir: dir, R4: storetest.R4(t)}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("round %d: opened beside another process: %v, want ErrLocked", round, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "saved "); ok {
				acked[id] = true
			}
		}
		cmd.Wait() // it was killed
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			s := storetest.Open(t, store.Options{Name: "a", Dir: dir})
			if len(acked) < 20*(round+1) {
				t.Fatalf("only %d writes in %d rounds", len(acked), round+1)
			}
			for id := range acked {
				if _, err := s.Get(key("Patient", id)); err != nil {
					t.Errorf("%s was acknowledged: %v", id, err)
				}
			}
		})
	}
}

func writeForEver(t *testing.T, dir string) {
	s, err := store.Open(store.Options{Name: "a", Dir: dir, R4: storetest.R4(t)})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		go func() {
			for {
				id := s.NewID()
				if _, err := s.Put(context.Background(), store.Write{Key: key("Patient", id), Content: patient(id, hoa), Author: "hoa"}); err == nil {
					os.Stdout.WriteString("saved " + id + "\n")
				}
			}
		}()
	}
	select {} // until killed
}

func TestRecordsWithoutTheirKeySlotsGetNoNewKey(t *testing.T) {
	dir := t.TempDir()
	slots := filepath.Join(dir, "keys.json")
	o := store.Options{Name: "a", Dir: dir, R4: storetest.R4(t)}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	v := born(t, s, hoa)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(slots, slots+".lost"); err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(dir, "journal", "keys.json")
	if err := os.Rename(second, second+".lost"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(o); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("opened without its key slots: %v", err)
	}
	if _, err := os.Stat(slots); err == nil {
		t.Error("new key slots were made for records that they cannot open")
	}
	if err := os.Rename(second+".lost", second); err != nil { // one of two is enough
		t.Fatal(err)
	}
	s = storetest.Open(t, o)
	if _, err := s.Get(v.Key); err != nil {
		t.Error(err)
	}
}

// TestDamagedKeySlotsComeBackFromTheirCopy damages the file of slots at many places.
func TestDamagedKeySlotsComeBackFromTheirCopy(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Name: "a", Dir: dir, R4: storetest.R4(t), Clock: storetest.Clock()}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	v := born(t, s, hoa)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	slots := filepath.Join(dir, store.SlotsFile)
	good, err := os.ReadFile(slots)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(good); at += 37 {
		bad := append([]byte(nil), good...)
		bad[at] ^= 4
		if err := os.WriteFile(slots, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(o)
		if err != nil {
			t.Errorf("byte %d altered: %v", at, err)
			os.WriteFile(slots, good, 0o600)
			continue
		}
		if _, err := s.Get(v.Key); err != nil {
			t.Errorf("byte %d altered: %v", at, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

var upKills = flag.Int("upkills", 12, "how often a process is killed while it brings a store up to date")

// TestKilledWhileBroughtUpToDate kills a process that brings the kept store up to date,
// at random moments, and holds what the next one finds.
func TestKilledWhileBroughtUpToDate(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		s, err := store.Open(store.Options{Name: "a", Dir: dir, Top: true, R4: storetest.R4(t)})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("opened\n")
		s.Close()
		return
	}
	t.Parallel()
	midst := 0
	for range *upKills {
		dir := unpacked(t, "schema2.tar.gz")
		cmd := child(t, t.Name(), dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		aside := table.Aside(filepath.Join(dir, layout.DatabaseFile))
		for range 2000 { // until the copy is there, and then a moment longer
			if _, err := os.Stat(aside); err == nil {
				midst++
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		cmd.Wait() // it was killed
		s, err := store.Open(store.Options{Name: "a", Dir: dir, Top: true, R4: storetest.R4(t)})
		if err != nil {
			t.Fatal(err)
		}
		storetest.Check(t, s)
		if r, err := s.Search(query.Query{Kind: "Patient"}); err != nil || r.Total != 5 {
			t.Errorf("%d people, %v; want 5", r.Total, err)
		}
		if all, err := s.Vault(record.Key{}, 100); err != nil || len(all) != 5 {
			t.Errorf("the vault holds %d, %v; want 5", len(all), err)
		}
		if m, err := s.Mended(); m != nil || err != nil {
			t.Errorf("it was rebuilt: %+v, %v", m, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d processes killed while the copy was made or just after", midst, *upKills)
	if midst == 0 {
		t.Error("no process was killed in the midst")
	}
}
