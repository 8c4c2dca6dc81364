package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"tram/store"
	"tram/store/blob"
	"tram/store/record"
	"tram/sync/carry"
	"tram/sync/status"
)

// lane is what the station knows of carrying attachments. Only the goroutine that speaks
// with the centre uses it.
type lane struct {
	clear  bool      // the last exchange left nothing to do
	broken bool      // the lane was broken off with something to carry
	until  time.Time // when the next exchange is due
	shut   time.Time // until when upstream is thought to carry none
	// stretch is how many bytes go in one request.
	stretch int64
	later   map[passage]delay // what upstream does not know, or what went wrong
}

// passage is an attachment's way up, where it is here, or down.
type passage struct {
	id string
	up bool
}

// delay is until when an attachment is left alone, and for how long that is.
type delay struct {
	until time.Time
	last  time.Duration
}

// Bounds of the lane.
const (
	stretchLeast, stretchFirst = 8 << 10, 16 << 10
	// A stretch that goes quicker is followed by a longer one, one that takes more by a
	// shorter one: what is urgent waits for its end.
	stretchQuick, stretchSlow = 3 * time.Second, 6 * time.Second
	// How long an attachment is left alone, at first and at the most.
	laterFirst, laterMost = 15 * time.Minute, 24 * time.Hour
	shutFor               = 24 * time.Hour
)

var (
	// errDue says that something else is to be exchanged first.
	errDue = errors.New("something else goes first")
	// errLeft says that an attachment is left alone for a while.
	errLeft = errors.New("the attachment is left for later")
)

// carryAttachments carries what waits of attachments, the smallest first, behind everything
// else: until nothing can be carried, an entry was saved, somebody asks for an exchange, or
// the next one is due. A link that goes down is tried again and again.
func (a *Agent) carryAttachments(ctx context.Context, until time.Time) {
	a.lane.until = until
	if !a.lane.clear || time.Now().Before(a.lane.shut) {
		return
	}
	for failures := 0; a.due(ctx) == nil; failures++ {
		moved, err := a.carryAll(ctx)
		failure := carry.FailureOf(err)
		a.lane.broken = errors.Is(err, errDue) || failure == status.FailLink || failure == status.FailCut
		if failure != status.FailLink && failure != status.FailCut {
			a.ended(err)
			return
		}
		if moved {
			failures = 0
		}
		pause := redial
		if failures > redialAfter {
			pause = redialSlow
		}
		if !a.unlessDue(ctx, pause+rand.N(pause/4)) {
			return
		}
	}
}

// ended notes why the lane came to an end other than by the link.
func (a *Agent) ended(err error) {
	switch {
	case err == nil, errors.Is(err, errDue), errors.Is(err, context.Canceled):
	case errors.Is(err, carry.ErrNoLane):
		a.lane.shut = time.Now().Add(shutFor)
	default:
		a.o.Log.Debug("attachments wait", "err", err) // the disk, or upstream is busy: said elsewhere
	}
}

// due says why the lane has to end now; nil where it may go on.
func (a *Agent) due(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(a.nudge) > 0 || !time.Now().Before(a.lane.until) || a.unsent() {
		return errDue
	}
	if _, bar := a.barred(); bar != "" {
		return errDue
	}
	return nil
}

// unlessDue waits, and reports false where the lane has to end before.
func (a *Agent) unlessDue(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed := a.store.Changed()
		if a.due(ctx) != nil {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-a.nudge:
			a.SyncNow() // for who waits for it
			return false
		case <-timer.C:
			return true
		case <-changed:
		}
	}
}

// carryAll carries one attachment after the other, and reports whether any bytes moved.
func (a *Agent) carryAll(ctx context.Context) (moved bool, err error) {
	list, err := a.store.Unsettled()
	if err != nil {
		return false, err
	}
	for _, at := range list {
		way := passage{at.ID, at.Here}
		if time.Now().Before(a.lane.later[way].until) {
			continue
		}
		some, err := a.carryOne(ctx, at)
		moved = moved || some
		switch {
		case err == nil:
			delete(a.lane.later, way)
			err = a.store.Settle(ctx, at.ID)
		case errors.Is(err, carry.ErrNotThere), errors.Is(err, errLeft), carry.FailureOf(err) == status.FailNonsense:
			a.leave(way, err)
			err = nil
		}
		if err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// leave leaves an attachment alone for a while, twice as long as before.
func (a *Agent) leave(w passage, err error) {
	if a.lane.later == nil {
		a.lane.later = map[passage]delay{}
	}
	wait := min(max(2*a.lane.later[w].last, laterFirst), laterMost)
	a.lane.later[w] = delay{time.Now().Add(wait), wait}
	a.o.Log.Debug("an attachment is left for later", "err", err)
}

// carryOne carries an attachment by a record of which upstream knows it.
func (a *Agent) carryOne(ctx context.Context, at store.Attachment) (moved bool, err error) {
	err = carry.ErrNotThere
	for _, key := range at.Keys {
		if at.Here {
			moved, err = a.handIn(ctx, at, key)
		} else {
			moved, err = a.fetch(ctx, at.ID, key)
		}
		if !errors.Is(err, carry.ErrNotThere) {
			return moved, err
		}
	}
	return moved, err
}

// handIn asks how much upstream has of an attachment, and sends the rest.
func (a *Agent) handIn(ctx context.Context, at store.Attachment, key record.Key) (moved bool, err error) {
	head := carry.Head{ID: at.ID, Record: key.String(), Size: at.Size}
	var some []byte
	for {
		if err := a.due(ctx); err != nil {
			return moved, err
		}
		began := time.Now()
		have, err := a.link.client.HandIn(ctx, head, some)
		if err != nil {
			return moved, err
		}
		a.took(time.Since(began), len(some))
		switch {
		case have == at.Size:
			return moved, nil
		case len(some) > 0 && have <= head.From: // it let go of what it had, or does not take more
			return moved, errLeft
		}
		moved = moved || len(some) > 0
		head.From = have
		if some, err = a.store.Blobs().Range(at.ID, have, a.stretch()); err != nil || len(some) == 0 {
			a.o.Log.Error("an attachment cannot be read", "err", err)
			return moved, errLeft
		}
	}
}

// fetch gets from upstream what is missing of an attachment.
func (a *Agent) fetch(ctx context.Context, id string, key record.Key) (moved bool, err error) {
	blobs := a.store.Blobs()
	have, whole, err := blobs.Held(id)
	if err == nil && whole { // a point brought it just now
		err = errDue
	}
	size := int64(-1)
	for err == nil && (size < 0 || have < size) {
		if err = a.due(ctx); err != nil {
			break
		}
		if err = blobs.Room(have); err != nil {
			break
		}
		began, from := time.Now(), have
		head := carry.Head{ID: id, Record: key.String(), From: have, Most: a.stretch(), Life: a.store.Lineage()}
		size, err = a.link.client.Fetch(ctx, head, func(piece []byte) error {
			if err := blobs.Append(id, have, piece); err != nil {
				return err
			}
			have += int64(len(piece))
			return nil
		})
		moved = moved || have > from
		a.took(time.Since(began), int(have-from))
	}
	if err != nil {
		return moved, err
	}
	if err = blobs.Finish(id, size); errors.Is(err, blob.ErrWrong) {
		a.o.Log.Warn("an attachment came that is not what its id names")
		return moved, errLeft
	}
	return moved, err
}

// stretch is how many bytes the next request carries.
func (a *Agent) stretch() int64 {
	if a.lane.stretch == 0 {
		a.lane.stretch = stretchFirst
	}
	return a.lane.stretch
}

// took fits the stretch to what one took.
func (a *Agent) took(d time.Duration, bytes int) {
	switch now := a.stretch(); {
	case d < stretchQuick && int64(bytes) == now:
		a.lane.stretch = min(2*now, carry.MaxStretch)
	case d > stretchSlow:
		a.lane.stretch = max(now/2, stretchLeast)
	}
}
