package carry

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/wire"
)

// A centre that speaks only the first protocol says so in its own way; it is spoken with
// in that one from then on.
func TestOlderUpstream(t *testing.T) {
	for name, refuse := range map[string]func(http.ResponseWriter){
		"a program of before": func(w http.ResponseWriter) { http.Error(w, "this is no exchange of protocol 1", http.StatusBadRequest) },
		"one that knows something else": func(w http.ResponseWriter) {
			w.Header().Set(acceptPost, "application/vnd.tram;k=0123456789ab")
			http.Error(w, "not known", http.StatusUnsupportedMediaType)
		},
	} {
		p := newPair(t)
		p.born()
		_, h := p.upstream(same)
		calls := 0
		client := p.client(p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls++; r.Header.Get("Content-Type") != wire.Plain.MediaType() {
				io.Copy(io.Discard, r.Body)
				refuse(w)
				return
			}
			h.ServeHTTP(w, r)
		})).URL)
		if client.Protocol() != wire.Protocol {
			t.Errorf("%s: begins with protocol %d", name, client.Protocol())
		}
		if err := client.Exchange(t.Context(), p.askIn(client.Protocol())); !errors.Is(err, ErrOlder) || client.Protocol() != wire.First {
			t.Errorf("%s: %v, then protocol %d", name, err, client.Protocol())
		}
		for range 2 {
			if err := client.Exchange(t.Context(), p.askIn(client.Protocol())); err != nil {
				t.Errorf("%s: in the older protocol: %v", name, err)
			}
		}
		if c, err := p.store.Waiting(); err != nil || c.Waiting > 0 || calls != 3 {
			t.Errorf("%s: %d wait after %d calls, %v", name, c.Waiting, calls, err)
		}
		before := time.Now().Add(-again)
		client.older.Store(&before)
		if client.Protocol() != wire.Protocol {
			t.Errorf("%s: is not asked anew after %s", name, again)
		}
	}
}

// What a centre of this program cannot read is no sign of an older one.
func TestNonsenseIsNoOlderProtocol(t *testing.T) {
	p := newPair(t)
	_, h := p.upstream(same)
	client := p.client(p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader("hello"))
		h.ServeHTTP(w, r)
	})).URL)
	if err := client.Exchange(t.Context(), p.ask()); FailureOf(err) != status.FailNonsense || client.Protocol() != wire.Protocol {
		t.Errorf("%v, then protocol %d", err, client.Protocol())
	}
}

// Edits that are told of another base are answered so that they are sent whole.
func TestEditsThatCannotBeToldAreSentWhole(t *testing.T) {
	p := newPair(t)
	client := p.client(p.serve(says(http.StatusConflict, "", nil)).URL)
	if err := client.Exchange(t.Context(), p.ask()); !errors.Is(err, engine.ErrWhole) {
		t.Errorf("%v, want ErrWhole", err)
	}
}
