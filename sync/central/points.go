package central

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/sync/merge"
	"tram/sync/trust"
)

// ErrNoCentre says that a station that is not enrolled itself cannot enrol points: they
// could not tell a receipt.
var ErrNoCentre = errors.New("this station is not enrolled with its centre yet")

// Points is what a station is to the points below it: what the centre is to the station,
// over the station's own records. above gives the key under which the centre's receipts
// verify, nil while the station is not enrolled; they are handed on, and none is made here.
// Of the options Dir, Listen, Hosts, Log and Now count. The store stays the caller's to
// close.
func Points(o Options, s *store.Store, m *merge.Merger, r4 *fhir.R4, above func() ed25519.PublicKey) (*Centre, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Centre{o: o, store: s, merger: m, r4: r4, fleet: map[string]*member{}, above: above}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("open for points: %w", err)
	}
	return c, nil
}

// Serve answers points until ctx ends. What was here before a point came is offered to it
// first, where that was cut short.
func (c *Centre) Serve(ctx context.Context) error {
	listen, err := c.listen()
	if err != nil {
		return err
	}
	if err := c.store.Fill(ctx); err != nil {
		return errors.Join(err, listen.Close())
	}
	return c.serve(ctx, listen, c.Stations())
}

// voice is the authority as which this replica answers who enrols.
func (c *Centre) voice() (*trust.Authority, error) {
	if c.above == nil {
		return c.authority, nil
	}
	key := c.above()
	if key == nil {
		return nil, ErrNoCentre
	}
	return c.authority.HandingOn(key), nil
}
