package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"tram/store/fhir"
	"tram/store/record"
)

// Assigned is an id that a file left to us.
type Assigned struct {
	Line  int // of NDJSON, a message or a table, from 1; 0 elsewhere
	Entry int // of a Bundle, from 1; 0 elsewhere
	Key   record.Key
}

// Submit takes one file's bytes outside the folder; the name only tells by
// its end what the file is. What happened is told as an Event and to Events. The error is that of
// ctx, and nil otherwise: a refusal is in the Event.
func (in *Intake) Submit(ctx context.Context, name string, data []byte) (Event, error) {
	e, err := in.take(ctx, name, data)
	if err != nil {
		return Event{}, err
	}
	in.finish(ctx, e)
	return e, nil
}

// take takes one file's bytes, or says in the Event why not.
func (in *Intake) take(ctx context.Context, name string, data []byte) (Event, error) {
	in.taken.Lock()
	defer in.taken.Unlock()
	e, err := in.takeLocked(ctx, name, data)
	e.Source = sourceOf(name)
	if err == nil {
		return e, nil
	}
	if ctx.Err() != nil {
		return Event{}, ctx.Err()
	}
	out := Event{What: Aside, File: name, Source: e.Source, Kind: e.Kind, Refusal: refusalOf(err)}
	if out.Refusal.Later() {
		out.What = Held
	}
	return out, nil
}

// takeLocked is take for the holder of the lock. Its order is what makes it safe
// against a kill: ids, then resources, then the mark that they are taken.
func (in *Intake) takeLocked(ctx context.Context, name string, data []byte) (Event, error) {
	if messages(name) {
		return in.takeMessages(ctx, name, data)
	}
	if table(name) {
		return in.takeTable(ctx, name, data)
	}
	sum := sha256.Sum256(data)
	label := hex.EncodeToString(sum[:16]) // 128 bits: nobody finds two files of one label
	known, err := in.recall(label)
	if err != nil {
		return Event{}, err
	}
	if known.Taken {
		return Event{What: Again, File: name}, nil
	}
	units, err := parse(name, data)
	if err != nil {
		return Event{}, err
	}
	if err := check(in.o.R4, units); err != nil {
		return Event{}, err
	}
	used := 0
	items, err := unpack(in.o.R4, units, func() string {
		if used == len(known.IDs) {
			known.IDs = append(known.IDs, in.o.NewID())
		}
		used++
		return known.IDs[used-1]
	})
	if err != nil {
		return Event{}, err
	}
	local := in.local()
	for i := range items {
		items[i].value = in.o.R4.RewriteRefs(items[i].value, local)
	}
	if !in.tuned().lenient {
		bad, err := refersNowhere(in.o.R4, items, in.o.Exists)
		if err != nil {
			return Event{}, err
		}
		if bad != nil {
			return Event{}, bad
		}
	}
	if used > 0 {
		if err := in.remember(ctx, label, known); err != nil {
			return Event{}, err
		}
	}
	e := Event{What: Took, File: name}
	values := make([]*fhir.Value, len(items))
	for i, it := range items {
		values[i] = it.value
		if it.born {
			e.Assigned = append(e.Assigned, Assigned{it.line, it.entry, it.key})
		}
	}
	if len(values) > 0 {
		if e.Taken, err = in.o.Take(ctx, values, in.o.Author); err != nil {
			return Event{}, err
		}
	}
	known.Taken = true
	if err := in.remember(ctx, label, known); err != nil {
		return Event{}, err
	}
	return e, nil
}
