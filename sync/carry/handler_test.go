package carry

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/sync/engine"
	"tram/sync/wire"
)

// network is the writer of an answer, of which the asker has what was flushed.
type network struct {
	*httptest.ResponseRecorder
	there int // bytes
}

func (n *network) Flush() { n.there = n.Body.Len() }

func (n *network) SetReadDeadline(time.Time) error { return nil }

func (n *network) SetWriteDeadline(time.Time) error { return nil }

// offering is a replica that tells from where on it is asked for another page.
type offering struct {
	engine.Replica
	asked func(after record.Cursor)
}

func (o offering) Offer(peer string, after record.Cursor, max int) (record.Page, error) {
	o.asked(after)
	return o.Replica.Offer(peer, after, max)
}

// TestAnAnswerArrivesAsItIsMade: when a stretch is looked for, the asker can commit the
// one before, so that a cut loses none that was made.
func TestAnAnswerArrivesAsItIsMade(t *testing.T) {
	for protocol, form := range map[int]wire.Form{wire.First: wire.Plain, wire.Protocol: wire.Packed} {
		p := newPair(t)
		out, stretches := &network{ResponseRecorder: httptest.NewRecorder()}, 0
		var request bytes.Buffer
		_, err := (*Streams)(nil).Send(&request, form, wire.After{}, p.askIn(protocol).Next)
		must(t, err)
		asked := bytes.Clone(request.Bytes())
		top, h := p.upstream(func(r engine.Replica) engine.Replica {
			return offering{r, func(after record.Cursor) {
				if after.Seq == 0 {
					return // the first one
				}
				stretches++
				if got := marked(t, out.Body.Bytes()[:out.there], form, asked); got != after {
					t.Errorf("protocol %d: what comes behind %+v is looked for, and the asker has what there is up to %+v", protocol, after, got)
				}
			}}
		})
		shared(t, top, 300)
		r := httptest.NewRequest(http.MethodPost, ExchangePath, &request)
		r.Header.Set("Content-Type", form.MediaType())
		h.ServeHTTP(out, r)
		if out.Code != http.StatusOK || stretches < 2 {
			t.Errorf("protocol %d: answered %d, %d stretches were followed by another; want some", protocol, out.Code, stretches)
		}
	}
}

// shared puts records that go to every station, each of more than fits into few bytes.
func shared(t *testing.T, s *store.Store, n int) {
	t.Helper()
	var writes []store.Write
	for range n {
		k := record.Key{Kind: "Organization", ID: s.NewID()}
		name := "-"
		for range 4 { // nothing that can be packed
			name += record.Sum([]byte(k.ID + name)).String()
		}
		writes = append(writes, store.Write{Key: k, Author: "hoa", Content: []byte(`{"resourceType":"Organization","id":"` + k.ID + `","name":"` + name + `"}`)})
	}
	_, err := s.Put(context.Background(), writes...)
	must(t, err)
}

// marked is the cursor of the last mark in the beginning of the answer to a request.
func marked(t *testing.T, answer []byte, form wire.Form, request []byte) (last record.Cursor) {
	t.Helper()
	none := func(context.Context, *wire.Frame) error { return nil }
	after, err := (*Streams)(nil).Receive(t.Context(), bytes.NewReader(request), form, wire.After{}, none)
	must(t, err)
	_, err = (*Streams)(nil).Receive(t.Context(), bytes.NewReader(answer), form, after, func(_ context.Context, f *wire.Frame) error {
		if f.Mark != nil && f.Mark.Cursor != nil {
			last = *f.Mark.Cursor
		}
		return nil
	})
	if !errors.Is(err, wire.ErrCut) {
		t.Errorf("the beginning of an answer: %v", err)
	}
	return last
}

// TestPiecesAreNotSmall, but for those that are late.
func TestPiecesAreNotSmall(t *testing.T) {
	out := &network{ResponseRecorder: httptest.NewRecorder()}
	f := &flushing{w: out, c: http.NewResponseController(out)}
	for i, c := range []struct {
		last        time.Time // when a piece went; those to come are never late
		write, want int       // bytes, and how many of all of them are there then
	}{
		{time.Now().Add(time.Hour), piece - 100, 0},
		{time.Now().Add(time.Hour), 99, 0},
		{time.Now().Add(time.Hour), 1, piece},
		{time.Now().Add(-hold), 10, piece + 10},
		{time.Now().Add(time.Hour), piece - 1, piece + 10},
	} {
		f.last = c.last
		n, err := f.Write(make([]byte, c.write))
		if err != nil || n != c.write || out.there != c.want {
			t.Errorf("write %d: %d of %d bytes, %v; %d of all are there, want %d", i, n, c.write, err, out.there, c.want)
		}
	}
}
