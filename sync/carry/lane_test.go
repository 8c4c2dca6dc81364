package carry

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tram/store"
	"tram/store/blob"
	"tram/store/record"
	"tram/store/storetest"
	"tram/sync/status"
	"tram/sync/trust"
)

// office is an upstream with a record of which a photo is known.
type office struct {
	*pair
	above *store.Store
	lane  *Lane
	serve *httptest.Server
	line  *thinLine
	doc   record.Key
	photo []byte
	id    string
}

// newOffice makes an upstream that knows the record about a person, in the scope of tram-a.
func newOffice(t *testing.T, size int) *office {
	t.Helper()
	o := &office{pair: newPair(t), above: storetest.Open(t, store.Options{Name: "centre", Top: true})}
	o.photo = make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(o.photo)
	o.id = sum(o.photo)
	o.doc = o.about(o.id)
	o.lane = &Lane{Store: o.above, Log: slog.New(slog.DiscardHandler), idle: 300 * time.Millisecond,
		Peer: func(w http.ResponseWriter, r *http.Request) (string, bool) {
			name, err := trust.PeerName(r.TLS)
			return name, err == nil
		},
		Gets: func(_ string, life record.Lineage) bool { return life != "denied" },
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+AttachPath, o.lane)
	o.serve = o.pair.serve(mux)
	o.line = newThinLine(t, o.serve.Listener.Addr().String())
	return o
}

// about puts a person whom tram-a holds, and a document that refers to an attachment.
func (o *office) about(id string) record.Key {
	o.t.Helper()
	ctx := context.Background()
	who, doc := record.Key{Kind: "Patient", ID: o.above.NewID()}, record.Key{Kind: "DocumentReference", ID: o.above.NewID()}
	must(o.t, o.above.AddPeer(ctx, store.Peer{Name: "tram-a", Station: "tram-a"}))
	_, err := o.above.Put(ctx, store.Write{Key: who, Content: []byte(`{"resourceType":"Patient","id":"` + who.ID + `"}`), Author: "x"},
		store.Write{Key: doc, Author: "x", Content: fmt.Appendf(nil, `{"resourceType":"DocumentReference","id":%q,"status":"current","subject":{"reference":%q},"content":[{"attachment":{"url":"Binary/%s"}}]}`, doc.ID, who, id)})
	must(o.t, err)
	_, err = o.above.Grant(ctx, "tram-a", "x", who)
	must(o.t, err)
	return doc
}

// restart opens upstream's store anew.
func (o *office) restart() {
	o.t.Helper()
	dir := o.above.Dir()
	must(o.t, o.above.Close())
	o.above = storetest.Open(o.t, store.Options{Name: "centre", Top: true, Dir: dir})
	o.lane.Store = o.above
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// thinLine hands connections on, and cuts the one that is open after some bytes.
type thinLine struct {
	address string
	left    atomic.Int64 // bytes to the cut, of either way; below 0 for none
	passed  [2]atomic.Int64
}

func newThinLine(t *testing.T, to string) *thinLine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	k := &thinLine{address: "https://" + l.Addr().String()}
	k.left.Store(-1)
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			go k.pump(0, near, far)
			go k.pump(1, far, near)
		}
	}()
	return k
}

func (k *thinLine) pump(way int, from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 1000)
	for {
		n, err := from.Read(buf)
		if left := k.left.Load(); left >= 0 {
			if n = min(n, int(left)); k.left.Add(-int64(n)) == 0 {
				err = io.EOF
				k.left.Store(-1)
			}
		}
		k.passed[way].Add(int64(n))
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// up hands the photo in as a station does, over cuts, and counts the bytes of it that were
// sent.
func (o *office) up(c *Client, stretch int64) (sent int64) {
	o.t.Helper()
	head := Head{ID: o.id, Record: o.doc.String(), Size: int64(len(o.photo))}
	var some []byte
	for range 1000 {
		have, err := c.HandIn(context.Background(), head, some)
		switch {
		case err != nil:
			var e *Error
			if !errors.As(err, &e) {
				o.t.Fatal(err)
			}
			some = nil
			time.Sleep(20 * time.Millisecond) // upstream sees the cut a little later
			continue
		case have == head.Size:
			return sent
		}
		head.From = have
		some = o.photo[have:min(have+stretch, head.Size)]
		sent += int64(len(some))
	}
	o.t.Fatal("it never comes to an end")
	return 0
}

// down fetches the photo into a station's store, over cuts.
func (o *office) down(c *Client, to *store.Store, stretch int64) (got int64) {
	o.t.Helper()
	blobs := to.Blobs()
	for range 1000 {
		have, _, err := blobs.Held(o.id)
		must(o.t, err)
		head := Head{ID: o.id, Record: o.doc.String(), From: have, Most: stretch}
		size, err := c.Fetch(context.Background(), head, func(piece []byte) error {
			got += int64(len(piece))
			have += int64(len(piece))
			return blobs.Append(o.id, have-int64(len(piece)), piece)
		})
		if err == nil && have == size {
			must(o.t, blobs.Finish(o.id, size))
			return got
		}
		var e *Error
		if err != nil && !errors.As(err, &e) {
			o.t.Fatal(err)
		}
	}
	o.t.Fatal("it never comes to an end")
	return 0
}

func holds(t *testing.T, s *store.Store, id string, want []byte) {
	t.Helper()
	var got bytes.Buffer
	if err := s.Blobs().Get(id, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s has %d bytes of %d, %v", s.Name(), got.Len(), len(want), err)
	}
}

//	a:  ask -> 0    | [0,64k) cut at 9k..130k | ask -> what came | [...] -> whole
//
// Cut anywhere, either way, no more than a piece and what stood in one record of TLS beside
// it is sent again.
func TestAttachmentsGoOnWhereTheyWereCut(t *testing.T) {
	const size, stretch = 120_000, 64 << 10
	for _, at := range []int64{500, 3_000, 9_001, 40_000, 64_000, 70_001, 118_000} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			o := newOffice(t, size)
			c := o.client(o.line.address)
			o.line.left.Store(at)
			o.up(c, stretch)
			holds(t, o.above, o.id, o.photo)
			if over := o.line.passed[0].Load() - size; over > 3*blob.Piece+12_000 {
				t.Errorf("up, %d bytes passed more than it has", over)
			}
			up := o.line.passed[0].Load()
			o.line.left.Store(at)
			got := o.down(c, o.store, stretch)
			holds(t, o.store, o.id, o.photo)
			if over := o.line.passed[1].Load() - size; got > size || over > 3*blob.Piece+12_000 {
				t.Errorf("down, %d bytes passed more than it has, %d were taken", over, got)
			}
			// What is there is not sent again.
			if sent := o.up(c, stretch); sent != 0 || o.line.passed[0].Load()-up > 20_000 {
				t.Errorf("%d bytes were sent again", sent)
			}
		})
	}
}

// The centre is restarted in the midst of being given.
func TestAttachmentsGoOnAfterRestarts(t *testing.T) {
	o := newOffice(t, 100_000)
	dir := t.TempDir()
	above, err := store.Open(store.Options{Name: "centre", Top: true, Dir: dir, R4: o.store.R4()})
	must(t, err)
	o.above, o.lane.Store = above, above
	o.doc = o.about(o.id)
	c := o.client(o.line.address)
	head := Head{ID: o.id, Record: o.doc.String(), Size: int64(len(o.photo))}
	have, err := c.HandIn(context.Background(), head, o.photo[:50_000])
	if err != nil || have != 50_000 {
		t.Fatalf("%d, %v", have, err)
	}
	o.restart()
	if have, err = c.HandIn(context.Background(), head, nil); err != nil || have != 50_000 {
		t.Errorf("asked, it says %d, %v", have, err)
	}
	if sent := o.up(c, 1<<20); sent != 50_000 {
		t.Errorf("%d bytes were sent, 50000 were missing", sent)
	}
}

func TestEqualAttachmentsGoOnce(t *testing.T) {
	o := newOffice(t, 10_000)
	c := o.client(o.line.address)
	o.up(c, 1<<20)
	o.doc = o.about(o.id)
	if sent := o.up(c, 1<<20); sent != 0 {
		t.Errorf("%d bytes were sent for the second record", sent)
	}
}

// What is not there, not of that record, not of that station: all are told the same.
func TestStrangersLearnNothing(t *testing.T) {
	o := newOffice(t, 10_000)
	c := o.client(o.line.address)
	o.up(c, 1<<20)
	other := sum([]byte("another"))
	elsewhere := func() record.Key { // about a person whom tram-a does not hold
		k := record.Key{Kind: "DocumentReference", ID: o.above.NewID()}
		p := o.above.NewID()
		_, err := o.above.Put(context.Background(), store.Write{Key: record.Key{Kind: "Patient", ID: p}, Content: []byte(`{"resourceType":"Patient","id":"` + p + `"}`), Author: "x"},
			store.Write{Key: k, Author: "x", Content: fmt.Appendf(nil, `{"resourceType":"DocumentReference","id":%q,"status":"current","subject":{"reference":"Patient/%s"},"content":[{"attachment":{"url":"Binary/%s"}}]}`, k.ID, p, o.id)})
		must(t, err)
		return k
	}()
	answers := map[string]bool{}
	for name, head := range map[string]Head{
		"no such record":           {ID: o.id, Record: "DocumentReference/none"},
		"of another record":        {ID: other, Record: o.doc.String()},
		"of another's person":      {ID: o.id, Record: elsewhere.String()},
		"no kind of record at all": {ID: o.id, Record: "Nonsense/1"},
	} {
		for _, most := range []int64{0, 100} {
			head.Size, head.Most = 10_000*(1-most/100), most
			line := fmt.Sprintf(`{"id":%q,"record":%q,"size":%d,"most":%d}`+"\n", head.ID, head.Record, head.Size, most)
			resp, err := c.http.HTTPClient.Post(o.serve.URL+AttachPath, attachType, strings.NewReader(line))
			must(t, err)
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			answers[fmt.Sprint(resp.StatusCode, string(b))] = true
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s, most %d: %s", name, most, resp.Status)
			}
		}
	}
	_, err := c.Fetch(context.Background(), Head{ID: o.id, Record: o.doc.String(), Most: 1, Life: "denied"}, nil)
	if !errors.Is(err, ErrNotThere) {
		t.Errorf("one whose access ended: %v", err)
	}
	// What upstream has only a part of is not given either.
	o.photo = append(o.photo, 1)
	o.id = sum(o.photo)
	o.doc = o.about(o.id)
	if _, err := c.HandIn(context.Background(), Head{ID: o.id, Record: o.doc.String(), Size: 10_001}, o.photo[:5000]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(context.Background(), Head{ID: o.id, Record: o.doc.String(), Most: 1}, nil); !errors.Is(err, ErrNotThere) {
		t.Errorf("a part of one: %v", err)
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %v", answers)
	}
}

func TestWrongBytesAreLetGoOf(t *testing.T) {
	o := newOffice(t, 10_000)
	c := o.client(o.line.address)
	wrong := bytes.Clone(o.photo)
	wrong[7] ^= 1
	head := Head{ID: o.id, Record: o.doc.String(), Size: int64(len(wrong))}
	if have, err := c.HandIn(context.Background(), head, wrong); have != 0 || err != nil || o.above.Blobs().Has(o.id) {
		t.Fatalf("wrong bytes: upstream has %d, %v", have, err)
	}
	long := Head{ID: o.id, Record: o.doc.String(), Size: int64(len(wrong)) + 5}
	if have, err := c.HandIn(context.Background(), long, append(wrong[:9_000], wrong[:1_001]...)); have != 10_001 || err != nil {
		t.Fatalf("more than there is: %d, %v", have, err)
	}
	if sent := o.up(c, 1<<20); sent != 10_000 {
		t.Errorf("%d bytes were sent, all should be", sent)
	}
	holds(t, o.above, o.id, o.photo)
}

func TestRefusedAttachments(t *testing.T) {
	o := newOffice(t, 10_000)
	c := o.client(o.line.address)
	var a answered
	_, err := c.HandIn(context.Background(), Head{ID: o.id, Record: o.doc.String(), Size: blob.MaxSize + 1}, nil)
	if !errors.As(err, &a) || a.code != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %v", err)
	}
	none := o.pair.serve(http.NewServeMux())
	if _, err := o.client(none.URL).HandIn(context.Background(), Head{}, nil); !errors.Is(err, ErrNoLane) {
		t.Errorf("an upstream of before: %v", err)
	}
	for name, body := range map[string]string{
		"nothing":            "",
		"no line":            strings.Repeat("x", 3000),
		"no JSON":            "x\n",
		"no end":             `{"id":"` + o.id + `","record":"` + o.doc.String() + `"}`,
		"no id":              `{"record":"` + o.doc.String() + `"}` + "\n",
		"a path for an id":   `{"id":"` + strings.Repeat("../", 21) + `a","record":"` + o.doc.String() + `"}` + "\n",
		"no record":          `{"id":"` + o.id + `"}` + "\n",
		"below nought":       `{"id":"` + o.id + `","record":"` + o.doc.String() + `","from":-1}` + "\n",
		"a size below it":    `{"id":"` + o.id + `","record":"` + o.doc.String() + `","size":-1}` + "\n",
		"asked for below it": `{"id":"` + o.id + `","record":"` + o.doc.String() + `","most":-1}` + "\n",
		"not to be counted":  `{"id":"` + o.id + `","record":"` + o.doc.String() + `","size":1e99}` + "\n",
	} {
		resp, err := c.http.HTTPClient.Post(o.serve.URL+AttachPath, attachType, strings.NewReader(body))
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}

// Where there is no room, or too many are on their way, what is there stays, and it goes on
// when there is room.
func TestAttachmentsWaitForRoom(t *testing.T) {
	o := newOffice(t, 10_000)
	c := o.client(o.line.address)
	head := Head{ID: o.id, Record: o.doc.String(), Size: 10_000}
	var others []string
	for i := range 1000 {
		other := sum(fmt.Appendf(nil, "another %d", i))
		if err := o.above.Blobs().Append(other, 0, []byte{1}); err != nil {
			if !errors.Is(err, blob.ErrMany) {
				t.Fatal(err)
			}
			break
		}
		others = append(others, other)
	}
	_, err := c.HandIn(context.Background(), head, o.photo)
	var e *Error
	if !errors.As(err, &e) || e.Failure != status.FailLater || e.After != time.Hour {
		t.Errorf("%d others are on their way: %v", len(others), err)
	}
	if have, _, err := o.above.Blobs().Held(others[0]); have != 1 || err != nil {
		t.Errorf("of another %d bytes are there, %v", have, err)
	}
	must(t, o.above.Blobs().Remove(others[0]))
	if sent := o.up(c, 1<<20); sent != 10_000 {
		t.Errorf("%d bytes were sent", sent)
	}
	for err, after := range map[error]string{store.ErrLow: "300", blob.ErrFull: "300", store.ErrStopped: "300", io.ErrNoProgress: ""} {
		w := httptest.NewRecorder()
		o.lane.refuse(w, fmt.Errorf("keep: %w", err))
		if got := w.Header().Get("Retry-After"); got != after || (after != "") != (w.Code == http.StatusServiceUnavailable) {
			t.Errorf("%v: %d, after %q", err, w.Code, got)
		}
	}
}

// An upstream that falls silent in the midst is left after the idle time.
func TestASilentLaneEnds(t *testing.T) {
	o := newOffice(t, 10_000)
	silent := make(chan struct{})
	h := o.pair.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"size":10000}`)
		w.(http.Flusher).Flush()
		<-silent
	}))
	defer close(silent)
	began := time.Now()
	_, err := o.client(h.URL).Fetch(context.Background(), Head{ID: o.id, Record: o.doc.String(), Most: 100}, func([]byte) error { return nil })
	var e *Error
	if !errors.As(err, &e) || time.Since(began) > 20*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(`{"id":"` + strings.Repeat("0a", 32) + `","record":"Patient/1","size":5}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, key, err := readHead(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && (len(head.ID) != 64 || !key.Valid() || head.From < 0 || head.Size < 0 || head.Most < 0) {
			t.Errorf("%q was taken as %+v of %s", b, head, key)
		}
	})
}
