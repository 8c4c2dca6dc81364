package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// request is one request and what is right as its answer.
type request struct {
	method, path string // path begins with "/" or "?", or is ""
	body         []byte
	status       int
	// right tells how many records were found, or that the answer is wrong; nil where
	// the status says all.
	right func(answer []byte) (hits int, err error)
}

// score is what a server did with one operation and one number of clients.
type score struct {
	waits   []time.Duration // of each answer, the shortest first
	took    time.Duration
	hits    int
	commits uint64
	worked  time.Duration // of the server's processors
}

// rate is how many requests a second were answered.
func (s score) rate() float64 { return float64(len(s.waits)) / s.took.Seconds() }

// each is how much of something a request had.
func (s score) each(n float64) float64 { return n / float64(max(len(s.waits), 1)) }

// at is how long the fastest part of the answers took at most.
func (s score) at(part float64) time.Duration {
	if len(s.waits) == 0 {
		return 0
	}
	return s.waits[min(int(part*float64(len(s.waits))), len(s.waits)-1)]
}

// drive lets clients ask for a while, each its next request when it has its answer,
// and at least one. The n-th request of all is ask(n).
func (s *server) drive(ctx context.Context, clients int, d time.Duration, ask func(n int) request) (score, error) {
	var all score
	var mu sync.Mutex
	var next atomic.Int64
	commits, worked, began := s.commits(), s.worked(), time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range clients {
		g.Go(func() error {
			var mine score
			var answer bytes.Buffer
			for len(mine.waits) == 0 || time.Since(began) < d {
				r := ask(int(next.Add(1)) - 1)
				sent := time.Now()
				status, err := s.send(ctx, r, &answer)
				if err != nil {
					return err
				}
				mine.waits = append(mine.waits, time.Since(sent))
				hits, err := r.check(status, answer.Bytes())
				if err != nil {
					return err
				}
				mine.hits += hits
			}
			mu.Lock()
			defer mu.Unlock()
			all.waits, all.hits = append(all.waits, mine.waits...), all.hits+mine.hits
			return nil
		})
	}
	err := g.Wait()
	all.took, all.commits, all.worked = time.Since(began), s.commits()-commits, s.worked()-worked
	slices.Sort(all.waits)
	return all, err
}

// send sends a request and reads the whole answer.
func (s *server) send(ctx context.Context, r request, answer *bytes.Buffer) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, r.method, s.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "application/fhir+json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer.Reset()
	_, err = answer.ReadFrom(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, err
}

// maxAnswer bounds an answer in bytes.
const maxAnswer = 64 << 20

// check holds an answer against what is right.
func (r request) check(status int, answer []byte) (hits int, err error) {
	if status != r.status {
		err = fmt.Errorf("status %d instead of %d", status, r.status)
	} else if r.right != nil {
		hits, err = r.right(answer)
	}
	if err != nil {
		place, _, _ := strings.Cut(r.path, "?")
		err = fmt.Errorf("a wrong answer to %s %s: %w", r.method, place, err)
	}
	return hits, err
}
