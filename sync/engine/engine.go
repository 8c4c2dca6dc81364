// Package engine is both halves of an exchange between two replicas, asking and
// serving, as state machines without I/O: each gives frames to be sent and takes
// frames that came.
//
// It owns what is said when, what an upstream answers to a change, and the pace.
// It promises that each stretch between two marks is one transaction with its
// answers and its cursor, that a repeated or cut exchange does no harm, that a
// refused change stops nothing else, and that a receipt is believed only where
// both sides compute the same chain. It does not know what carries the frames,
// and no clock.
package engine

import (
	"context"

	"tram/store/record"
)

// Upstream names the other side to whom a replica offers what it made itself.
const Upstream = "up"

// Replica is a holder of records, as an exchange sees it. Every method may be
// called again with the same arguments and then changes nothing more. They are
// called from one goroutine for each exchange; a replica serves several at once.
type Replica interface {
	// Look tells how a record stands, which of the named versions it knows, and
	// reads base where it does. A record never held stands empty: no error.
	Look(key record.Key, base record.Ref, names ...record.Ref) (*record.Stand, error)
	// Offer pages through what the other side lacks and may have, from a cursor on;
	// to Upstream it offers its own changes that wait. It fails with record.ErrCursor
	// for a cursor that it never gave.
	Offer(to string, after record.Cursor, max int) (record.Page, error)
	// Apply commits decided changes: all or none. It fails with record.ErrMoved
	// when a record is not as the decision saw it (look and decide again), with
	// record.ErrNotFound for a name whose version it does not hold (ask for it).
	// Any other error lasts.
	Apply(ctx context.Context, st record.Stretch) error
	// Chain is a lineage's chain at n, and whether there is one at just n; with n 0
	// as far as it reaches.
	Chain(l record.Lineage, n uint64) (record.Link, bool, error)
	// Untaken are the answers to the changes of some lineages that are kept here and were
	// not taken, in no order.
	Untaken(of func(record.Lineage) bool) ([]record.Answer, error)
	// Agreed is a feed's digest tree and, for a peer, where the feed ends; each is
	// called with the heads in the part, in no order, and must not call the replica.
	Agreed(peer, feed string, in record.Part, each func(record.Change) error) (record.Agreement, error)
}

// Asker is a replica that has an upstream.
type Asker interface {
	Replica
	// Urgent are the own changes that go before others, at most max.
	Urgent(max int) ([]record.Change, error)
	// Standing is what it says of itself.
	Standing() (record.Standing, error)
	// Recover acts on what an exchange revealed of an upstream that lost things or
	// of a twin.
	Recover(ctx context.Context, r record.Recovery) error
}

// Pace bounds an exchange.
type Pace struct {
	// Up and Down are the most changes to send and to give.
	Up, Down int
	// Stretch is how many changes stand between two marks at the most: what one commit takes.
	Stretch int
}

// DefaultPace suits a link of unknown quality.
func DefaultPace() Pace { return Pace{Up: 1024, Down: 1024, Stretch: 64} }

// MaxStretch is the longest stretch of a quick link: what is behind a mark is lost with it.
const MaxStretch = 256

// Faster is the pace after an exchange that carried much, and soon.
func (p Pace) Faster() Pace {
	p.Up, p.Stretch = min(2*p.Up, 16*MaxStretch), min(2*p.Stretch, MaxStretch)
	return p
}

// Given is the pace of an answer to who wants stretches of so many changes.
func (p Pace) Given(stretch int) Pace {
	if stretch = min(stretch, MaxStretch); stretch > p.Stretch {
		p.Stretch, p.Down = stretch, max(p.Down, 16*stretch)
	}
	return p
}

// Slower is the pace after one that was cut or took long.
func (p Pace) Slower() Pace {
	p.Up, p.Stretch = max(p.Up/2, 16), min(p.Stretch, DefaultPace().Stretch)
	return p
}
