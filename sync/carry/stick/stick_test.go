package stick_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"tram/store"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/carry/stick"
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

// nothing fails the test if a station or the centre took anything in.
func (w *world) nothing(name string, k record.Key) {
	w.t.Helper()
	if _, err := w.top.Get(k); err == nil {
		w.t.Error("the centre has the record")
	}
	if !w.stations[name].waits(w.t) {
		w.t.Error("the entry does not wait any more")
	}
}

func TestOneRound(t *testing.T) {
	w := newWorld(t, "tram-a", "tram-b")
	a := w.stations["tram-a"]
	k := a.born(t, "one")
	f := w.ask("tram-a")
	if !strings.HasPrefix(f.Name, "tram-tram-a-up-1.") || bytes.Contains(f.Bytes, []byte(k.ID)) {
		t.Errorf("%s, or the record's id stands openly in it", f.Name)
	}
	res := w.take("tram-a", w.answer(f, status.StickTaken), status.StickTaken)
	if res.Sent != 1 || res.Taken != 1 || a.waits(t) {
		t.Errorf("%+v, waits %t", res, a.waits(t))
	}
	if list, err := a.Store.WaitingList(5); err != nil || len(list) != 0 {
		t.Errorf("waiting: %+v, %v", list, err)
	}
	if res := w.round("tram-a"); !res.Exchange.Equal || !res.Exchange.Proved {
		t.Errorf("the trees: %+v", res.Exchange)
	}
}

func TestAgainLateAndOld(t *testing.T) {
	w := newWorld(t, "tram-a")
	a := w.stations["tram-a"]
	k := a.born(t, "one")
	first := w.ask("tram-a")
	a.set(t, k, "gender", "female")
	second, third, fourth := w.ask("tram-a"), w.ask("tram-a"), w.ask("tram-a")
	ans2 := w.answer(second, status.StickTaken)
	ans1 := w.answer(first, status.StickTaken) // comes after it, and is no gap
	ans4 := w.answer(fourth, status.StickGap)
	w.answer(third, status.StickTaken)
	if again := w.answer(second, status.StickAgain); again.Name != ans2.Name {
		t.Errorf("answered as %s, want %s", again.Name, ans2.Name)
	}
	w.take("tram-a", ans2, status.StickTaken)
	w.take("tram-a", ans2, status.StickAgain)
	w.take("tram-a", ans1, status.StickOld)
	if a.waits(t) {
		t.Error("something waits still")
	}
	w.take("tram-a", ans4, status.StickTaken)
}

// What upstream said later, by whatever carrier, is not taken back by an answer
// that was under way.
func TestLateAnswerVoidsNothing(t *testing.T) {
	w := newWorld(t, "tram-a")
	a := w.stations["tram-a"]
	a.born(t, "one")
	w.direct("tram-a")
	answer := w.answer(w.ask("tram-a"), status.StickTaken)
	k := a.born(t, "two")
	w.direct("tram-a")
	w.direct("tram-a")
	before, err := a.Store.Cursor(record.OwnFeed)
	must(t, err)
	w.take("tram-a", answer, status.StickTaken)
	if after, err := a.Store.Cursor(record.OwnFeed); err != nil || after != before {
		t.Errorf("the cursor went from %+v to %+v, %v", before, after, err)
	}
	if a.waits(t) {
		t.Error("what is at the centre waits again")
	}
	if r, err := a.Store.Receipt(a.Store.Lineage()); err != nil || r.N == 0 {
		t.Errorf("the receipt is gone: %+v, %v", r, err)
	}
	if c := shown(t, a.Store, k, nil); !strings.Contains(c, "two") {
		t.Error(c)
	}
}

// An answer that is older than what came down gives its receipts, and no record
// goes back to what it was.
func TestAnswerBehindWhatCameDown(t *testing.T) {
	w := newWorld(t, "tram-a", "tram-b")
	a, b := w.stations["tram-a"], w.stations["tram-b"]
	k := a.born(t, "one")
	w.direct("tram-a")
	_, err := w.top.Grant(context.Background(), "tram-b", "admin", k)
	must(t, err)
	w.direct("tram-b")
	a.set(t, k, "gender", "female")
	w.direct("tram-a")
	request := w.ask("tram-b")
	other := b.born(t, "two")
	late := w.answer(request, status.StickTaken) // holds "female"
	a.set(t, k, "gender", "male")
	w.direct("tram-a")
	w.direct("tram-b")
	before, err := b.Store.Cursor(record.OwnFeed)
	must(t, err)
	res := w.take("tram-b", late, status.StickTaken).Exchange
	if after, err := b.Store.Cursor(record.OwnFeed); err != nil || after != before || res.Received != 0 {
		t.Errorf("the cursor went from %+v to %+v, %v; %d received", before, after, err, res.Received)
	}
	if res.Proved || len(res.Next.Compare) > 0 {
		t.Errorf("trees of other days are compared: %+v", res)
	}
	if c := shown(t, b.Store, k, nil); !strings.Contains(c, `"male"`) {
		t.Errorf("went back to %s", c)
	}
	if c := shown(t, w.top, other, nil); !strings.Contains(c, "two") {
		t.Error(c)
	}
}

func TestStrangersAndWrongWays(t *testing.T) {
	w, far := newWorld(t, "tram-a", "tram-b"), newWorld(t, "tram-a")
	k := w.stations["tram-a"].born(t, "one")
	request := w.ask("tram-a")
	ctx := context.Background()

	if res, f, err := far.centre.Take(ctx, request.Bytes); err != nil || res.Code != status.StickForeign || f.Name != "" {
		t.Errorf("another centre: %+v, %q, %v", res, f.Name, err)
	}
	for name, s := range map[string]*station{"its maker": w.stations["tram-a"], "another": w.stations["tram-b"], "one far away": far.stations["tram-a"]} {
		if res, err := s.Take(ctx, request.Bytes); err != nil || res.Code != status.StickForeign {
			t.Errorf("a request read by %s: %+v, %v", name, res, err)
		}
	}
	thief, err := age.GenerateX25519Identity()
	must(t, err)
	if _, err := age.Decrypt(bytes.NewReader(sealedPart(t, request.Bytes)), thief); err == nil {
		t.Error("a stranger's key opens it")
	}
	w.nothing("tram-a", k)

	answer := w.answer(request, status.StickTaken)
	for name, s := range map[string]*station{"another": w.stations["tram-b"], "one far away": far.stations["tram-a"]} {
		if res, err := s.Take(ctx, answer.Bytes); err != nil || res.Code != status.StickForeign {
			t.Errorf("an answer read by %s: %+v, %v", name, res, err)
		}
	}
	if res, f, err := w.centre.Take(ctx, answer.Bytes); err != nil || res.Code != status.StickForeign || f.Name != "" {
		t.Errorf("an answer read by the centre: %+v, %q, %v", res, f.Name, err)
	}
	// Another PC of that name: its answer is for requests that this one never made.
	twin := &stick.Station{Store: w.stations["tram-b"].Store, Identity: w.stations["tram-a"].Identity, Merger: w.merger, Now: w.centre.Now}
	if res, err := twin.Take(ctx, answer.Bytes); err != nil || res.Code != status.StickOld {
		t.Errorf("an answer to another life: %+v, %v", res, err)
	}
	w.stranger = true
	w.answer(w.ask("tram-a"), status.StickStranger)
}

// sealedPart is what age sealed in a file.
func sealedPart(t testing.TB, b []byte) []byte {
	t.Helper()
	i := bytes.Index(b, []byte("age-encryption.org/v1"))
	if i < 0 {
		t.Fatal("nothing is sealed in it")
	}
	return b[i:]
}

// Who signs what another sealed does not make it his own.
func TestSignedAnew(t *testing.T) {
	w := newWorld(t, "tram-a", "tram-b")
	k := w.stations["tram-a"].born(t, "one")
	theirs, mine := w.ask("tram-a").Bytes, w.ask("tram-b").Bytes
	id := w.stations["tram-b"].Identity
	head := mine[bytes.Index(mine, []byte(`{"v":1`)):bytes.Index(mine, []byte("age-encryption.org/v1"))]
	forged := forge(t, id, head, sealedPart(t, theirs))
	if res, _, err := w.centre.Take(context.Background(), forged); err != nil || res.Code != status.StickAltered {
		t.Errorf("%+v, %v", res, err)
	}
	newer := bytes.Replace(head, []byte(`{"v":1`), []byte(`{"v":2`), 1)
	if res, _, err := w.centre.Take(context.Background(), forge(t, id, newer, sealedPart(t, mine))); err != nil || res.Code != status.StickNewer {
		t.Errorf("a later form: %+v, %v", res, err)
	}
	w.nothing("tram-a", k)
}

// forge puts a file together as a program does.
func forge(t testing.TB, by *trust.Identity, head, sealed []byte) []byte {
	t.Helper()
	body := append(binary.BigEndian.AppendUint16(nil, uint16(len(head))), head...)
	body = append(body, sealed...)
	sig, err := by.SignStick(sha256.Sum256(body))
	must(t, err)
	rest := append(binary.BigEndian.AppendUint16(nil, uint16(len(sig))), sig...)
	return sum(append(rest, body...))
}

// sum puts in front what finds accidents; who alters on purpose can do so too.
func sum(rest []byte) []byte {
	s := sha256.Sum256(rest)
	return append(append([]byte("tram stick\n"), s[:]...), rest...)
}

// TestFlippedBits alters each file by one bit, as a bad stick does and as somebody
// does who makes the sum fit.
func TestFlippedBits(t *testing.T) {
	w := newWorld(t, "tram-a")
	k := w.stations["tram-a"].born(t, "one")
	request := w.ask("tram-a")
	rng := rand.New(rand.NewPCG(1, 1))
	front := len("tram stick\n") + sha256.Size
	codes := map[status.Stick]int{}
	try := func(b []byte, take func([]byte) (status.Stick, error), ok ...status.Stick) {
		t.Helper()
		for i := range 400 {
			c := bytes.Clone(b)
			bit := rng.IntN(8 * len(c))
			if i < 200 { // the head of the file is a small part of it
				bit = rng.IntN(8 * min(len(c), 1600))
			}
			c[bit/8] ^= 1 << (bit % 8)
			code, err := take(c)
			if err != nil || code != status.StickAltered {
				t.Fatalf("bit %d: %q, %v", bit, code, err)
			}
			codes[code]++
			if bit/8 < front {
				continue
			}
			if code, err = take(sum(c[front:])); err != nil || !slices.Contains(ok, code) {
				t.Fatalf("bit %d, with its sum: %q, %v", bit, code, err)
			}
			codes[code]++
		}
	}
	try(request.Bytes, func(b []byte) (status.Stick, error) {
		res, f, err := w.centre.Take(context.Background(), b)
		if f.Name != "" {
			t.Error("it is answered")
		}
		return res.Code, err
	}, status.StickAltered, status.StickForeign, status.StickNewer)
	w.nothing("tram-a", k)
	answer := w.answer(request, status.StickTaken)
	try(answer.Bytes, func(b []byte) (status.Stick, error) {
		res, err := w.stations["tram-a"].Take(context.Background(), b)
		return res.Code, err
	}, status.StickAltered, status.StickForeign, status.StickNewer)
	if !w.stations["tram-a"].waits(t) {
		t.Error("an altered answer was taken")
	}
	w.take("tram-a", answer, status.StickTaken)
	t.Logf("%d and %d bytes; refused: %v", len(request.Bytes), len(answer.Bytes), codes)
}

func TestRefusedStationIsHeard(t *testing.T) {
	w := newWorld(t, "tram-a")
	a := w.stations["tram-a"]
	k := a.born(t, "one")
	w.refuse = wire.Revoked
	res := w.take("tram-a", w.answer(w.ask("tram-a"), status.StickRefused), status.StickRefused)
	if res.Refused != wire.Revoked || res.Taken != 1 || res.Received != 0 {
		t.Errorf("%+v", res)
	}
	if _, err := w.top.Get(k); err != nil || a.waits(t) {
		t.Errorf("handed in: %v, waits %t", err, a.waits(t))
	}
}

func TestOfflineSinceBeforeSticks(t *testing.T) {
	w := newWorld(t, "tram-a")
	fresh, err := trust.NewIdentity()
	must(t, err)
	csr, err := fresh.CSR()
	must(t, err)
	answer, err := w.authority.Enrol(csr, "tram-a", made())
	must(t, err)
	forged := answer
	forged.StickSig = nil
	if _, err := trust.FinishEnrol(fresh, w.authority.RootPEM(), "tram-a", forged); err == nil {
		t.Error("a key for sticks that nobody signed is taken")
	}
	answer.StickKey, answer.StickSig = "", nil
	id, err := trust.FinishEnrol(fresh, w.authority.RootPEM(), "tram-a", answer)
	must(t, err)
	s := stick.Station{Store: w.stations["tram-a"].Store, Identity: id, Merger: w.merger, Now: w.centre.Now}
	if _, err := s.Make(context.Background()); err == nil || !strings.Contains(err.Error(), stick.ErrNoKey.Error()) {
		t.Errorf("got %v, want %v", err, stick.ErrNoKey)
	}
}

func TestFolders(t *testing.T) {
	w := newWorld(t, "tram-a", "tram-b")
	ctx, dir := context.Background(), t.TempDir()
	tram := filepath.Join(dir, stick.Folder)
	if _, err := w.centre.Visit(ctx, dir); err == nil {
		t.Error("a stick without a folder is visited")
	}
	keys := map[string]record.Key{}
	for name, s := range w.stations {
		keys[name] = s.born(t, name)
		if _, err := stick.Write(ctx, filepath.Join(dir, "not there"), name, s); err == nil {
			t.Error("a stick that is not there is written")
		}
		for n := range 2 {
			file, err := stick.Write(ctx, dir, name, s)
			must(t, err)
			if want := fmt.Sprintf("-up-%d.tram", n+1); !strings.HasSuffix(file, want) {
				t.Errorf("%s is written, want a name that ends in %s: what was not written has no number", file, want)
			}
		}
	}
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("x"), 0o600))
	strange := map[string]status.Stick{"tram-tram-c-up-1.tram": status.StickAltered}
	must(t, os.WriteFile(filepath.Join(tram, "tram-tram-c-up-1.tram"), []byte("no stick file"), 0o600))
	must(t, os.WriteFile(filepath.Join(tram, "letter.doc"), nil, 0o600))
	if runtime.GOOS != "windows" {
		must(t, os.Symlink(secret, filepath.Join(tram, "tram-tram-d-up-1.tram")))
		strange["tram-tram-d-up-1.tram"] = status.StickAltered
	}
	huge, err := os.Create(filepath.Join(tram, "tram-tram-e-up-1.tram"))
	must(t, err)
	must(t, huge.Truncate(stick.MaxFile+1))
	must(t, huge.Close())
	strange["tram-tram-e-up-1.tram"] = status.StickLarge

	seen, err := w.centre.Visit(ctx, dir)
	must(t, err)
	got := map[string]status.Stick{}
	for _, o := range seen {
		got[o.File] = o.Code
	}
	strange["tram-tram-a-up-2.tram"], strange["tram-tram-b-up-2.tram"] = status.StickTaken, status.StickTaken
	for name, want := range strange {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if len(got) != len(strange) {
		t.Errorf("seen: %v", got)
	}
	for name, s := range w.stations {
		out, err := stick.Read(ctx, dir, name, s)
		must(t, err)
		if len(out) != 1 || out[0].Code != status.StickTaken || out[0].N != 2 || s.waits(t) {
			t.Errorf("%s: %+v", name, out)
		}
		_, err = stick.Write(ctx, dir, name, s)
		must(t, err)
	}
	_, err = w.centre.Visit(ctx, dir)
	must(t, err)
	var names []string
	entries, err := os.ReadDir(tram)
	must(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), "-a-") || strings.Contains(e.Name(), "-b-") {
			names = append(names, e.Name())
		}
	}
	want := "tram-tram-a-down-3.tram tram-tram-a-up-3.tram tram-tram-b-down-3.tram tram-tram-b-up-3.tram"
	if strings.Join(names, " ") != want {
		t.Errorf("on the stick: %v", names)
	}
}

// A restored station gives numbers a second time. Answers to what the lost life
// asked are not taken for answers to the present one.
func TestNumbersGivenTwice(t *testing.T) {
	w := newWorld(t, "tram-a")
	a := w.stations["tram-a"]
	a.born(t, "one")
	book, err := a.Store.Setting("stick")
	must(t, err)
	lost := w.answer(w.ask("tram-a"), status.StickTaken)
	if book != nil {
		t.Fatal("a book before anything was asked")
	}
	must(t, a.Store.SetSetting(context.Background(), "stick", []byte("{}")))
	again := w.ask("tram-a")
	if again.Name != "tram-tram-a-up-1.tram" {
		t.Fatalf("asked as %s", again.Name)
	}
	w.take("tram-a", lost, status.StickOld)
	if !a.waits(t) {
		t.Error("an answer to another life was taken")
	}
	w.take("tram-a", w.answer(again, status.StickTaken), status.StickTaken)
}

// An answer from before the centre was put back, of which the station heard meanwhile,
// proves nothing of what waits again.
func TestAnswerFromBeforeTheCentreForgotProvesNothing(t *testing.T) {
	w := newWorld(t, "tram-a")
	a := w.stations["tram-a"]
	before := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(before, os.DirFS(w.top.Dir())))
	a.born(t, "one")
	request := w.ask("tram-a")
	w.direct("tram-a")
	answer := w.answer(request, status.StickTaken)
	w.top = storetest.Open(t, store.Options{Name: "centre", Top: true, Dir: before, R4: w.top.R4()})
	w.direct("tram-a")
	if !a.waits(t) {
		t.Fatal("the window is not met")
	}
	w.take("tram-a", answer, status.StickTaken)
	if !a.waits(t) {
		t.Error("what the centre lost is proved by what it said before")
	}
}

// FuzzTake gives either side bytes from a stick. Nothing but what was written for it
// is taken.
func FuzzTake(f *testing.F) {
	a, err := trust.NewAuthority(made())
	must(f, err)
	id := enrol(f, a, "tram-a")
	head := []byte(`{"v":1,"from":"tram-a","to":"` + trust.Fingerprint(a.Root().PublicKey) + `","dir":"up","n":1,"time":0}`)
	good := forge(f, id, head, []byte("age-encryption.org/v1\n-> X25519 abc\n"))
	f.Add(good)
	f.Add([]byte("tram stick\n"))
	f.Add(sum([]byte{0, 0, 0, 2, '{', '}'}))
	f.Add(sum([]byte{255, 255}))
	c := &stick.Centre{Authority: a, Now: func() int64 { return 0 }}
	s := &stick.Station{Identity: id, Store: (*store.Store)(nil), Now: func() int64 { return 0 }}
	front := len("tram stick\n") + sha256.Size
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sum(b[min(len(b), front):])} {
			res, out, err := c.Take(context.Background(), b)
			if err != nil || out.Name != "" || res.Code == "" || res.Code == status.StickTaken {
				t.Errorf("the centre: %+v, %q, %v", res, out.Name, err)
			}
			if res, err = s.Take(context.Background(), b); err != nil || res.Code == "" || res.Code == status.StickTaken {
				t.Errorf("the station: %+v, %v", res, err)
			}
		}
	})
}
