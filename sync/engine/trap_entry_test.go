package engine_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tram/store"
	"tram/store/account"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/wire"
)

// P1(0911) goes up; P2(0922) is typed before the answer to P1 comes
func TestTrap03EditDuringPushIsMarkedSent(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa+phone("0911"))
	ask, serve := w.halves(a)
	edited := false
	err := w.pump(ask, serve, nil, func(*wire.Frame) bool {
		if !edited {
			edited = true
			a.edit(t, k, hoa+phone("0922"))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !edited || !strings.Contains(content(t, a.Store, k), "0922") {
		t.Errorf("a shows %s", content(t, a.Store, k))
	}
	if p := place(t, a, k); p != record.Here {
		t.Errorf("the edit shows as %q", p)
	}
	if c, err := a.Waiting(); err != nil || c.Waiting != 1 {
		t.Errorf("waiting: %+v, %v; want the edit alone", c, err)
	}
	w.sync("a")
	w.want(k, "0922")
	if p := place(t, a, k); p != record.Centre {
		t.Errorf("afterwards it shows as %q", p)
	}
}

// a has work that was never sent; then its database cannot be opened, or is gone
func TestTrap07UnreadableDatabaseIsMadeAnew(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	sent := a.born(t, hoa)
	w.sync("a")
	unsent := a.born(t, hoa+phone("0912"))
	for name, damage := range map[string]func(file string) error{
		"garbage": func(f string) error { return os.WriteFile(f, bytes.Repeat([]byte("no database "), 4096), 0o600) },
		"half": func(f string) error {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			return os.WriteFile(f, b[:6000], 0o600)
		},
		"empty": func(f string) error { return os.WriteFile(f, nil, 0o600) },
	} {
		dir := w.snapshot("a")
		file := filepath.Join(dir, "tram.db")
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := damage(file); err != nil {
			t.Fatal(err)
		}
		if s, err := store.Open(store.Options{Name: "a", Dir: dir, R4: a.R4()}); err == nil {
			got := content(t, s, unsent)
			if s.Close(); !strings.Contains(got, "0912") {
				t.Errorf("%s: it opens without the unsent work: %s", name, got)
			}
		}
		// A person puts the file back: nothing beside it was lost meanwhile.
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
		again := storetest.Open(t, store.Options{Name: "a", Dir: dir, R4: a.R4()})
		if got := content(t, again, unsent); !strings.Contains(got, "0912") {
			t.Errorf("%s: put back, and the unsent work is gone: %s", name, got)
		}
	}
	gone := w.snapshot("a")
	if err := os.Remove(filepath.Join(gone, "tram.db")); err != nil {
		t.Fatal(err)
	}
	w.restore("a", gone)
	w.sync("a")
	w.want(unsent, "0912")
	w.want(sent, "Đặng")
}

// hoa types and goes home for good; lan works on at the same PC
func TestTrap08UnsentWorkGoesWithItsUser(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	ctx := context.Background()
	book := account.New(a.Store, func() time.Time { return time.UnixMilli(1_790_000_000_000) }, account.Cost{})
	for _, add := range []error{
		book.Add(ctx, "boss", "Boss", account.Admin, "tram-moc-47", ""),
		book.Add(ctx, "hoa", "Hoà", account.Nurse, "cau-may-93", "boss"),
		book.Add(ctx, "lan", "Lan", account.Nurse, "song-xa-58", "boss"),
	} {
		if add != nil {
			t.Fatal(add)
		}
	}
	k := record.Key{Kind: "Patient", ID: a.NewID()}
	a.put(t, store.Write{Key: k, Content: person(k.ID, hoa), Author: "hoa"})
	if err := book.Disable(ctx, "hoa", true, "boss"); err != nil {
		t.Fatal(err)
	}
	if _, err := book.SignIn(ctx, "lan", "song-xa-58"); err != nil {
		t.Fatal(err)
	}
	other := record.Key{Kind: "Patient", ID: a.NewID()}
	a.put(t, store.Write{Key: other, Content: person(other.ID, hoa), Author: "lan"})
	w.restore("a", w.snapshot("a"))
	w.sync("a")
	for k, author := range map[record.Key]string{k: "hoa", other: "lan"} {
		st, err := w.centre.Get(k)
		if err != nil || st.Shown.Author != author {
			t.Errorf("the work of %s at the centre: %v, %v", author, st, err)
		}
	}
}

// One birth goes up and the answer to it comes down twice
func TestTrap11ProgressPassesWhatWasSent(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	a.born(t, hoa)
	ask, serve := w.halves(a)
	var twice *wire.Frame
	err := w.pump(ask, serve, nil, func(f *wire.Frame) bool {
		if f.Answer != nil {
			twice = f
			if err := ask.Take(context.Background(), f); err != nil {
				t.Errorf("the first answer: %v", err)
			}
		}
		return true
	})
	if twice == nil || !errors.Is(err, wire.ErrNonsense) {
		t.Errorf("a second answer to one change: %v, want nonsense", err)
	}
	if r := ask.Result(); r.Sent != 1 || r.Taken > r.Sent {
		t.Errorf("%d of %d taken", r.Taken, r.Sent)
	}
	// A refused station has sent nothing that counts as success.
	w.refuse = wire.Revoked
	if r := w.once("a"); r.Equal || r.Proved {
		t.Errorf("refused, and called equal: %+v", r)
	}
	w.refuse = ""
	w.admit = func(*record.Version) record.Reason { return record.NotAllowed }
	b := a.born(t, hoa)
	w.sync("a")
	c, err := a.Waiting()
	if err != nil || c.Parked != 1 || place(t, a, b) != record.NeedsUs {
		t.Errorf("parked, and not said so: %+v, %v", c, err)
	}
}

// A photograph of 2 MB is kept, the record about it and 20 entries wait behind;
// then one that is inside its record and too large to be taken
func TestTrap12PhotosInTheLaneOfData(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	photo := make([]byte, 2<<20)
	rand.Read(photo)
	id, err := a.Blobs().Put(bytes.NewReader(photo), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	inside := record.Key{Kind: "DocumentReference", ID: a.NewID()}
	a.put(t, store.Write{Key: inside, Content: document(inside.ID, `"data":"`+base64.StdEncoding.EncodeToString(photo)+`"`)})
	about := record.Key{Kind: "DocumentReference", ID: a.NewID()}
	a.put(t, store.Write{Key: about, Content: document(about.ID, `"url":"urn:tram:blob:`+id+`"`)})
	var keys []record.Key
	for range 20 {
		keys = append(keys, a.born(t, hoa))
	}
	w.sync("a")
	if p := place(t, a, inside); p != record.NeedsUs {
		t.Errorf("the record that is too large shows as %q", p)
	}
	for _, k := range append(keys, about) {
		if p := place(t, a, k); p != record.Centre {
			t.Errorf("%s shows as %q behind a photograph", k, p)
		}
	}
	a.born(t, hoa)
	ask, _ := w.halves(a)
	var req bytes.Buffer
	if err := carry.Send(&req, ask.Next); err != nil {
		t.Fatal(err)
	}
	if req.Len() > 8<<10 {
		t.Errorf("one entry costs %d bytes while a photograph waits", req.Len())
	}
}

func document(id, attachment string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"DocumentReference","id":%q,"status":"current","content":[{"attachment":{"contentType":"image/jpeg",%s}}]}`, id, attachment)
}

// U0 -> A1(0911), which the centre parks;  U0 -> B1(female), which comes down
func TestTrap14PullRestoresTheOldValueOverAPendingOne(t *testing.T) {
	w, k := shared(t, hoa+phone("0900"))
	a, b := w.stations["a"], w.stations["b"]
	w.admit = func(v *record.Version) record.Reason {
		if v.Author == "nurse-a" {
			return record.NotAllowed
		}
		return ""
	}
	a.edit(t, k, hoa+phone("0911"))
	w.sync("a")
	b.edit(t, k, hoa+phone("0900")+`,"gender":"female"`)
	w.sync("b", "a")
	got := content(t, a.Store, k)
	if !strings.Contains(got, "0911") || strings.Contains(got, "0900") {
		t.Errorf("what was typed at a vanished: %s", got)
	}
	if !strings.Contains(got, "female") {
		t.Errorf("what came down is hidden: %s", got)
	}
	if p := place(t, a, k); p != record.NeedsUs {
		t.Errorf("the parked entry shows as %q", p)
	}
	if list, err := a.WaitingList(5); err != nil || len(list) != 1 || list[0].Reason != record.NotAllowed {
		t.Errorf("waiting: %+v, %v", list, err)
	}
	w.restore("a", w.snapshot("a"))
	if got := content(t, w.stations["a"].Store, k); !strings.Contains(got, "0911") || !strings.Contains(got, "female") {
		t.Errorf("after a restart: %s", got)
	}
}

// One refused record of each sort stands in front of 12 good ones
func TestTrap15UploadStopsAtTheFirstRefused(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.stations["a"], w.stations["b"]
	taken := b.born(t, hoa)
	w.sync("b")
	bad := map[record.Key]record.Reason{taken: record.IDTaken}
	a.put(t, store.Write{Key: taken, Content: person(taken.ID, strings.Replace(hoa, "Hoà", "Lan", 1))})
	large := record.Key{Kind: "DocumentReference", ID: a.NewID()}
	a.put(t, store.Write{Key: large, Content: document(large.ID, `"data":"`+strings.Repeat("QUJD", 300<<10)+`"`)})
	bad[large] = record.TooLarge
	forbidden := a.born(t, hoa)
	bad[forbidden] = record.NotAllowed
	w.admit = func(v *record.Version) record.Reason {
		if v.Key == forbidden {
			return record.NotAllowed
		}
		return ""
	}
	a.edit(t, forbidden, hoa+`,"active":true`) // and what was made from it
	var good []record.Key
	for range 12 {
		good = append(good, a.born(t, hoa))
	}
	w.sync("a")
	for _, k := range good {
		if p := place(t, a, k); p != record.Centre {
			t.Errorf("%s waits behind a refused record: %q", k, p)
		}
	}
	list, err := a.WaitingList(10)
	if err != nil || len(list) != 4 {
		t.Fatalf("waiting: %+v, %v; want the three and what was made from one", list, err)
	}
	for _, e := range list[:3] {
		if e.Reason != bad[e.Key] || e.Place != record.NeedsUs {
			t.Errorf("%s: %q because %q, want %q", e.Key, e.Place, e.Reason, bad[e.Key])
		}
	}
	if list[3].Reason != record.BaseParked {
		t.Errorf("made from a parked one: %q", list[3].Reason)
	}
}

// TestWhatAnotherMadeBeginsNoChain restores the centre to before a's entries, of which b
// has the last. b hands it back first; a's own chain is carried on from its beginning.
func TestWhatAnotherMadeBeginsNoChain(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.stations["a"]
	k := w.bornAtCentre()
	w.sync("a", "b")
	back := w.copyOfCentre()
	a.edit(t, k, hoa+phone("0901"))
	last := a.edit(t, k, hoa+phone("0902"))
	w.sync("a", "b")
	w.restoreCentre(back)
	w.sync("b")
	w.sync("a", "b")
	w.want(k, "0902")
	if p, err := a.PlaceOf(k, last.Name); err != nil || p != record.Centre {
		t.Errorf("a's entry is %q, %v; want at the centre", p, err)
	}
}

// TestWhatIsMadeFromALostMergeComesToo restores the centre to before a merge on which b
// went on, and which b alone has: the centre asks for it, though b did not make it.
func TestWhatIsMadeFromALostMergeComesToo(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.stations["a"], w.stations["b"]
	k := w.bornAtCentre()
	w.sync("a", "b")
	back := w.copyOfCentre()
	a.edit(t, k, hoa+phone("0901"))
	w.sync("a")
	b.edit(t, k, hoa+`,"maritalStatus":{"text":"M"}`)
	w.sync("b")
	b.edit(t, k, hoa+phone("0903"))
	w.editAtCentre(k, hoa+`,"maritalStatus":{"text":"N"}`)
	w.sync("b")
	w.sync("a")
	w.restoreCentre(back)
	w.sync("a")
	w.sync("b")
	w.sync("a")
	w.want(k, "0903")
	if page, err := b.Offer(engine.Upstream, record.Cursor{}, 9); err != nil || len(page.Changes) != 0 {
		t.Errorf("b still offers %d changes, %v", len(page.Changes), err)
	}
}

// TestWhatWaitsForItsBaseIsNotParked hands a restored centre two entries without what
// they were made from: both wait, and are taken when it has come.
func TestWhatWaitsForItsBaseIsNotParked(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	k := a.born(t, hoa)
	w.sync("a")
	back := w.copyOfCentre()
	a.edit(t, k, hoa+phone("0901"))
	w.sync("a")
	a.edit(t, k, hoa+phone("0902"))
	a.edit(t, k, hoa+phone("0903"))
	w.restoreCentre(back)
	w.once("a")
	if st, err := a.Get(k); err != nil || st.Parked != "" {
		t.Errorf("it is parked for %q, %v", st.Parked, err)
	}
	w.sync("a")
	w.want(k, "0903")
}

// observed puts a weight of a person at a station, and edits it once.
func observed(t *testing.T, s *station, about record.Key, notes ...string) record.Key {
	t.Helper()
	k, base := record.Key{Kind: "Observation", ID: s.NewID()}, ""
	for _, note := range notes {
		v := s.put(t, store.Write{Key: k, Base: base, Content: []byte(`{"resourceType":"Observation","id":"` + k.ID + `","status":"final","code":{"text":"weight"},` +
			`"subject":{"reference":"` + about.String() + `"},"note":[{"text":"` + note + `"}]}`)})
		base = v.Name.String()
	}
	return k
}

// P1(birth) -> P2 of a; b holds P2 alone. The centre is put back and hears b first: P1
// then comes under an id that is taken by what was made from it
func TestBirthIsHandedInBehindItsEdit(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.stations["a"]
	p := w.bornAtCentre()
	w.share(p)
	w.sync("a", "b")
	before := w.copyOfCentre()
	k := observed(t, a, p, "first", "second")
	w.sync("a", "b")
	w.restoreCentre(before)
	w.sync("b")
	w.sync("a", "b")
	w.want(k, "second")
	if st, err := a.Get(k); err != nil || st.Parked != "" {
		t.Errorf("at a: parked %q, %v", st.Parked, err)
	}
	if got := place(t, a, k); got != record.Centre {
		t.Errorf("at a it shows as %q", got)
	}
	if all, err := w.centre.History(k); err != nil || len(all) != 2 {
		t.Errorf("the centre has %d versions, %v; want both", len(all), err)
	}
}

// P1 is parked, P2 behind it in the chain is taken; then the centre is put back and knows
// of neither
func TestParkedIsAskedAgainOfACentreThatForgot(t *testing.T) {
	w := newWorld(t, "a")
	a := w.stations["a"]
	before := w.copyOfCentre()
	w.admit = func(v *record.Version) record.Reason {
		if bytes.Contains(v.Content, []byte("0900")) {
			return record.NotAllowed
		}
		return ""
	}
	bad, good := a.born(t, hoa+phone("0900")), a.born(t, hoa+phone("0911"))
	w.sync("a")
	if got := place(t, a, bad) + place(t, a, good); got != record.NeedsUs+record.Centre {
		t.Errorf("before: %q", got)
	}
	w.restoreCentre(before)
	w.sync("a")
	if got := place(t, a, bad) + place(t, a, good); got != record.NeedsUs+record.Centre {
		t.Errorf("afterwards: %q", got)
	}
}
