package intake

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"tram/agent/intake/hl7v2"
	"tram/store/fhir"
	"tram/store/record"
)

// Choice is a person's word on whose a message is.
type Choice struct {
	// Person is the Patient; zero registers one as the message describes.
	Person record.Key
	// Remember adds the message's numbers to the person's, so that the next one finds the
	// person. It is for numbers that nobody else is ever given; a sample's is none.
	Remember bool
	// Who said so, and is the author of what comes of it.
	Who string
}

// Attach takes a message that waits as that of the person chosen. An error that is or
// wraps a *Refusal says why it cannot be; the message then waits on. Called again after a
// crash it makes the same records.
func (in *Intake) Attach(ctx context.Context, id string, by Choice) (Taken, error) {
	if by.Who == "" {
		return Taken{}, errors.New("nobody said whose the message is")
	}
	in.taken.Lock()
	defer in.taken.Unlock()
	e, err := in.retake(ctx, id, by)
	if err == nil && e.What == Took {
		in.noted(ctx, e)
	}
	return e.Taken, err
}

// retake takes a message that waits, and off the list unless it waits on. The lock is held.
func (in *Intake) retake(ctx context.Context, id string, by Choice) (Event, error) {
	w, rest, err := in.waits(id)
	if err != nil {
		return Event{}, err
	}
	e := Event{Source: HL7, Kind: w.Kind}
	l := &letter{label: id}
	if l.memory, err = in.recall(id); err != nil {
		return e, err
	}
	if l.memory.Taken { // and only the list was not written any more
		return e, in.keepWaiting(ctx, rest)
	}
	raw, err := in.o.Kept(w.Raw)
	if err != nil {
		return e, err
	}
	if l.msg, l.content, err = in.reread(raw); err != nil {
		return e, err
	}
	for try := 0; ; try++ {
		out, err := in.deliver(ctx, []*letter{l}, e, by)
		switch {
		case err != nil && overtaken(err) && try < 3:
		case err != nil || out.Waits > 0:
			return out, err
		default:
			in.settled(ctx, w)
			return out, in.keepWaiting(ctx, rest)
		}
	}
}

// rethink is how often it is looked whether somebody has been registered by now whom a
// message waits for.
const rethink = 5 * time.Minute

// reconsider takes the messages whose number leads to somebody by now, as if they had
// come after that.
func (in *Intake) reconsider(ctx context.Context) {
	now := in.o.Now()
	if now.Sub(in.thought) < rethink || in.pause.until.After(now) {
		return
	}
	in.thought = now
	list, err := in.Waiting()
	if err != nil {
		in.o.Log.Debug("what waits cannot be read", "err", err)
	}
	for _, w := range list {
		if w.Why != Unknown && w.Why != BareNumber || ctx.Err() != nil {
			continue
		}
		e, err := in.reconsiderOne(ctx, w)
		if err != nil { // it waits on, and the others are no worse for it
			in.o.Log.Debug("what waits cannot be taken", "waiting", w, "err", err)
		} else if e.What == Took {
			in.finish(ctx, e)
		}
	}
}

func (in *Intake) reconsiderOne(ctx context.Context, w Waiting) (Event, error) {
	in.taken.Lock()
	defer in.taken.Unlock()
	p := in.plan()
	for _, n := range w.Numbers {
		some, err := p.find("Patient", n)
		if err != nil {
			return Event{}, err
		}
		if len(some) > 0 {
			return in.retake(ctx, w.ID, Choice{})
		}
	}
	return Event{}, nil
}

// reread maps a message that was kept.
func (in *Intake) reread(raw []byte) (*hl7v2.Message, *hl7v2.Content, error) {
	all, err := hl7v2.Parse(raw, in.o.Zone)
	if err != nil {
		return nil, nil, asRefusal(err)
	}
	c, err := all[0].Content(in.o.Rules)
	return all[0], c, asRefusal(err)
}

// Original names what was kept of the message that a document is; false where it is none.
func Original(document *fhir.Value) (raw string, ok bool) {
	if document.Str("resourceType") != "DocumentReference" || document.Get("content") == nil {
		return "", false
	}
	a := document.Get("content").Items[0].Get("attachment")
	raw, ok = strings.CutPrefix(a.Str("url"), "Binary/")
	return raw, ok && a.Str("contentType") == rawType
}

// Back names a message that was kept under raw and taken, as it would wait once more;
// ErrNotTaken where it was not taken here.
func (in *Intake) Back(raw string) (Waiting, error) {
	text, err := in.o.Kept(raw)
	if err != nil {
		return Waiting{}, ErrNotTaken
	}
	l := &letter{raw: raw}
	if l.msg, l.content, err = in.reread(text); err != nil {
		return Waiting{}, ErrNotTaken
	}
	l.label = labelOf(l.msg, l.content)
	if l.memory, err = in.recall(l.label); err != nil {
		return Waiting{}, err
	}
	if _, _, err := in.waits(l.label); err != nil && !l.memory.Taken { // on the list: Return was cut off
		return Waiting{}, ErrNotTaken
	}
	return in.waiting(l, found{why: TakenBack}), nil
}

// Return puts a message that was taken on the list again: somebody said that it is not that
// person's. What it brought is for the caller to withdraw, afterwards, so that a crash
// between the two loses nothing and the same act ends it.
func (in *Intake) Return(ctx context.Context, w Waiting) error {
	in.taken.Lock()
	defer in.taken.Unlock()
	list, err := in.listed([]Waiting{w})
	if err != nil {
		return err
	}
	if err := in.keepWaiting(ctx, list); err != nil {
		return err
	}
	in.noted(ctx, Event{What: Waits, Source: HL7, Kind: w.Kind, Waits: 1})
	return in.unshelve(ctx, w.ID)
}

// Reject takes a message off the list: a person said that it belongs to nobody here. It is
// put into aside/, and taken anew when it comes again.
func (in *Intake) Reject(ctx context.Context, id string) error {
	in.taken.Lock()
	defer in.taken.Unlock()
	w, rest, err := in.waits(id)
	if err != nil {
		return err
	}
	known, err := in.recall(id)
	if err != nil {
		return err
	}
	if known.Taken {
		return in.keepWaiting(ctx, rest)
	}
	raw, err := in.o.Kept(w.Raw)
	if err != nil {
		return err
	}
	no := &Refusal{Code: Rejected}
	if err := in.setAside(w.ID+".hl7", raw, no); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	in.settled(ctx, w)
	in.noted(ctx, Event{What: Aside, Source: HL7, Kind: w.Kind, Refusal: no})
	return in.keepWaiting(ctx, rest)
}
