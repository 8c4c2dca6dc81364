package carry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/wire"
)

// What is large goes while it is packed, once; what is small goes when it is packed.
func TestLargeRequestsGoWhileTheyArePacked(t *testing.T) {
	first, rest := bytes.Repeat([]byte("a"), smallRequest+1), bytes.Repeat([]byte("b"), 100_000)
	o, read := newOutgoing(), make(chan struct{})
	go func() {
		_, err := o.Write(first)
		<-read
		_, err2 := o.Write(rest)
		o.done(errors.Join(err, err2))
	}()
	body, err := o.request()
	must(t, err)
	r, err := body()
	must(t, err)
	got := make([]byte, len(first))
	_, err = io.ReadFull(r, got)
	must(t, err)
	close(read)
	all, err := io.ReadAll(r)
	must(t, err)
	must(t, o.stop(0))
	if !bytes.Equal(append(got, all...), append(first, rest...)) {
		t.Errorf("%d bytes came, want %d", len(got)+len(all), len(first)+len(rest))
	}
	if _, err := body(); err == nil {
		t.Error("a request that was read is given again")
	}

	o = newOutgoing()
	go func() {
		_, err := o.Write(first[:smallRequest])
		o.done(err)
	}()
	body, err = o.request()
	must(t, err)
	for range 2 {
		r, err := body()
		must(t, err)
		if all, err := io.ReadAll(r); err != nil || !bytes.Equal(all, first[:smallRequest]) {
			t.Errorf("%d bytes of a small request, %v", len(all), err)
		}
	}
	must(t, o.stop(0))
}

// Who packs ends where nobody reads, and says why where it fails.
func TestPackingEnds(t *testing.T) {
	o := newOutgoing()
	go func() {
		var err error
		for err == nil {
			_, err = o.Write(make([]byte, 1000))
		}
		o.done(err)
	}()
	_, err := o.request()
	must(t, err)
	if err := o.stop(0); !errors.Is(err, errUnread) {
		t.Errorf("nobody read, and it ended with %v", err)
	}
	o = newOutgoing()
	go func() {
		_, err := o.Write([]byte("some"))
		o.done(errors.Join(err, io.ErrNoProgress))
	}()
	if _, err := o.request(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a small request that could not be packed: %v", err)
	}
}

// failing gives no more after some pages of what waits.
type failing struct {
	engine.Asker
	pages *int
}

func (f failing) Offer(to string, after record.Cursor, max int) (record.Page, error) {
	if *f.pages--; *f.pages < 0 {
		return record.Page{}, errGone
	}
	return f.Asker.Offer(to, after, max)
}

var errGone = errors.New("the disk is gone")

// TestLargeExchanges: one goes through, and one that fails here while it is on its way says
// so.
func TestLargeExchanges(t *testing.T) {
	p := newPair(t)
	random := rand.New(rand.NewPCG(1, 1))
	for range 600 {
		k := record.Key{Kind: "Basic", ID: p.store.NewID()}
		text := fmt.Sprintf("%x%x%x%x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
		_, err := p.store.Put(context.Background(), store.Write{Key: k, Author: "hoa", Content: []byte(`{"resourceType":"Basic","id":"` + k.ID + `","code":{"text":"` + text + `"}}`)})
		must(t, err)
	}
	upstream, h := p.upstream(same)
	client := p.client(p.serve(h).URL)
	client.idle = time.Minute
	pages := 9
	ask, err := engine.NewAsk(engine.AskOptions{Replica: failing{p.store, &pages}, Name: "tram-a", Merger: p.merger, Pace: engine.DefaultPace(), Protocol: wire.Protocol,
		Verify: func(record.Receipt) error { return nil }})
	must(t, err)
	if err := client.Exchange(t.Context(), ask); FailureOf(err) != status.FailHere || !errors.Is(err, errGone) {
		t.Errorf("a disk that goes in the midst: %v", err)
	}
	if up, _ := client.Bytes(); up <= smallRequest {
		t.Errorf("%d bytes went up before the disk was gone, which is no large request", up)
	}
	must(t, client.Exchange(t.Context(), p.ask()))
	if up, _ := client.Bytes(); up <= smallRequest {
		t.Fatalf("%d bytes went up, which is no large request", up)
	}
	if counts, err := upstream.Waiting(); err != nil || counts.Records != 600 {
		t.Errorf("upstream has %d records, %v", counts.Records, err)
	}
}

// A large request that upstream does not read says what upstream said, and little of it is
// read for the sake of the connection.
func TestLargeRequestsAreRefused(t *testing.T) {
	p := newPair(t)
	random := rand.New(rand.NewPCG(1, 1))
	for range 30 {
		k := record.Key{Kind: "Basic", ID: p.store.NewID()}
		var text bytes.Buffer
		for range 2500 {
			fmt.Fprintf(&text, "%016x", random.Uint64())
		}
		_, err := p.store.Put(context.Background(), store.Write{Key: k, Author: "hoa", Content: []byte(`{"resourceType":"Basic","id":"` + k.ID + `","code":{"text":"` + text.String() + `"}}`)})
		must(t, err)
	}
	_, h := p.upstream(same)
	begin := h.Begin
	for _, c := range []struct {
		name  string
		begin func(http.ResponseWriter, *http.Request) *engine.Serve
		want  status.Failure
	}{
		{"busy", func(w http.ResponseWriter, _ *http.Request) *engine.Serve {
			http.Error(w, "come later", http.StatusServiceUnavailable)
			return nil
		}, status.FailLater},
		{"refused", func(w http.ResponseWriter, _ *http.Request) *engine.Serve {
			http.Error(w, "who are you?", http.StatusForbidden)
			return nil
		}, status.FailRefused},
		{"taken", begin, ""},
	} {
		closed := false
		h.Begin = func(w http.ResponseWriter, r *http.Request) *engine.Serve {
			defer func() { closed = w.Header().Get("Connection") == "close" }()
			return c.begin(w, r)
		}
		client := p.client(p.serve(h).URL)
		client.idle = time.Minute
		if err := client.Exchange(t.Context(), p.ask()); FailureOf(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if !closed {
			t.Errorf("%s: who refuses it keeps the connection, and reads for it", c.name)
		}
	}
}
