package ips

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/store/rest"
)

// maxAnswer is as much of an answer as is read, in bytes.
const maxAnswer = 64 << 20

// station is a store with its FHIR face behind a listener on this PC.
type station struct {
	r4    *fhir.R4
	store *store.Store
	http  *http.Server
	base  string
	ended chan error
}

// open makes a store in a folder and begins to serve it; close ends both.
func open(dir string, r4 *fhir.R4) (*station, error) {
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "station"), Name: "station", R4: r4})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	s := &station{r4: r4, store: st, base: "http://" + l.Addr().String() + "/fhir", ended: make(chan error, 1)}
	face, err := rest.New(rest.Options{
		Backend: st, Past: st, R4: r4, Base: s.base, Caller: func(*http.Request) rest.Caller { return rest.Caller{Author: "hospital"} }})
	if err != nil {
		return nil, errors.Join(err, l.Close(), st.Close())
	}
	s.http = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: face}
	go func() { s.ended <- s.http.Serve(l) }()
	return s, nil
}

// close ends what open began, and cuts off what is still asked.
func (s *station) close() error {
	err := s.http.Close()
	if e := <-s.ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, s.store.Close())
}

// ask sends a request and reads the resource that answers it. A refusal is told by its
// status and by the codes of the outcome.
func (s *station) ask(ctx context.Context, method, path string, body []byte, headers ...string) (*fhir.Value, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/fhir+json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, b)
	}
	return fhir.Parse(b, fhir.Limits{Bytes: maxAnswer})
}
