package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"tram/agent/intake/hl7v2"
	"tram/agent/intake/match"
	"tram/store/record"
)

// MaxWaiting is how many messages wait at most. What comes beyond is set aside.
const MaxWaiting = 500

// waitingSetting keeps the list; the messages themselves are kept by content.
const waitingSetting = "intake/waiting"

// ErrNotWaiting says that no such message waits: somebody saw to it already.
var ErrNotWaiting = errors.New("no such message waits; look at the list again")

// Why says why a message waits.
type Why string

// The reasons.
const (
	Unknown    Why = "unknown"     // nobody here has one of its numbers
	Several    Why = "several"     // more than one person has
	OtherName  Why = "other-name"  // who has it bears another name
	OtherBirth Why = "other-birth" // or was born on another day
	OtherSex   Why = "other-sex"   // or is of another sex
)

// Waiting is a message that waits until a person says whose it is.
type Waiting struct {
	ID   string `json:"id"`
	At   int64  `json:"at"` // Unix milliseconds at which it came
	Kind string `json:"kind"`
	Why  Why    `json:"why"`
	// What the message says of the person. It is for the page of those who are signed in,
	// never for a log.
	Name    string         `json:"name,omitempty"`
	Birth   string         `json:"birth,omitempty"`
	Sex     string         `json:"sex,omitempty"`
	Numbers []match.Number `json:"numbers,omitempty"`
	// Here are the people who have one of the numbers.
	Here []record.Key `json:"here,omitempty"`
	Raw  string       `json:"raw"` // names the kept message
}

// Text is one sentence that says why it waits and what to do, in "vi" or "en".
func (w Why) Text(language string) string {
	return (&Refusal{Code: Code("waits-" + string(w))}).Text(language)
}

// String shows no person.
func (w Waiting) String() string { return w.Kind + " waits: " + string(w.Why) }

// Waiting lists the messages that wait, the oldest first.
func (in *Intake) Waiting() ([]Waiting, error) {
	b, err := in.o.Setting(waitingSetting)
	if errors.Is(err, record.ErrNotFound) || err == nil && len(b) == 0 {
		return nil, nil
	}
	var out []Waiting
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("read what waits: %w", err)
	}
	return out, nil
}

func (in *Intake) keepWaiting(ctx context.Context, all []Waiting) error {
	b, err := json.Marshal(all)
	if err == nil {
		err = in.o.SetSetting(ctx, waitingSetting, b)
	}
	if err != nil {
		return fmt.Errorf("keep what waits: %w", err)
	}
	return nil
}

// waiting describes a message for the list.
func (in *Intake) waiting(l *letter, f found) Waiting {
	p := l.content.Patient
	w := Waiting{ID: l.label, At: in.o.Now().UnixMilli(), Kind: kindOf([]*hl7v2.Message{l.msg}), Why: f.why,
		Birth: p.Str("birthDate"), Sex: p.Str("gender"), Numbers: match.Numbers(p), Here: f.all, Raw: l.raw}
	if names := p.Get("name"); names != nil {
		words := []string{names.Items[0].Str("family")}
		if given := names.Items[0].Get("given"); given != nil {
			for _, g := range given.Items {
				words = append(words, g.Text)
			}
		}
		w.Name = strings.TrimSpace(strings.Join(words, " "))
	}
	w.Name = short(w.Name, 200)
	w.Numbers = w.Numbers[:min(len(w.Numbers), 10)]
	for i := range w.Numbers {
		w.Numbers[i] = match.Number{System: short(w.Numbers[i].System, 200), Value: short(w.Numbers[i].Value, 100)}
	}
	w.Here = w.Here[:min(len(w.Here), 10)]
	return w
}

// short bounds a text of the list, which is one small value.
func short(s string, most int) string {
	r := []rune(s)
	return string(r[:min(len(r), most)])
}

// await puts messages on the list, once each.
func (in *Intake) await(ctx context.Context, more []Waiting) error {
	all, err := in.Waiting()
	if err != nil {
		return err
	}
	had := len(all)
	for _, w := range more {
		if !slices.ContainsFunc(all, func(o Waiting) bool { return o.ID == w.ID }) {
			all = append(all, w)
		}
	}
	if len(all) == had {
		return nil
	}
	if len(all) > MaxWaiting {
		return &Refusal{Code: ListFull}
	}
	return in.keepWaiting(ctx, all)
}

// Message is a message that waits, as it came.
func (in *Intake) Message(id string) ([]byte, error) {
	w, _, err := in.waits(id)
	if err != nil {
		return nil, err
	}
	return in.o.Kept(w.Raw)
}

// waits finds a message on the list.
func (in *Intake) waits(id string) (Waiting, []Waiting, error) {
	all, err := in.Waiting()
	if err != nil {
		return Waiting{}, nil, err
	}
	i := slices.IndexFunc(all, func(w Waiting) bool { return w.ID == id })
	if i < 0 {
		return Waiting{}, nil, ErrNotWaiting
	}
	return all[i], slices.Delete(slices.Clone(all), i, i+1), nil
}

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
	w, rest, err := in.waits(id)
	if err != nil {
		return Taken{}, err
	}
	raw, err := in.o.Kept(w.Raw)
	if err != nil {
		return Taken{}, err
	}
	l := &letter{label: id}
	if l.memory, err = in.recall(id); err != nil {
		return Taken{}, err
	}
	if l.memory.Taken { // and only the list was not written any more
		return Taken{}, in.keepWaiting(ctx, rest)
	}
	if l.msg, l.content, err = in.reread(raw); err != nil {
		return Taken{}, err
	}
	var e Event
	for try := 0; ; try++ {
		if e, err = in.deliver(ctx, []*letter{l}, Event{}, by); err == nil || !overtaken(err) || try == 3 {
			break
		}
	}
	if err != nil {
		return Taken{}, err
	}
	return e.Taken, in.keepWaiting(ctx, rest)
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

// Reject takes a message off the list: a person said that it belongs to nobody here. It is
// put into aside/, and taken anew when it comes again.
func (in *Intake) Reject(ctx context.Context, id string) error {
	in.taken.Lock()
	defer in.taken.Unlock()
	w, rest, err := in.waits(id)
	if err != nil {
		return err
	}
	raw, err := in.o.Kept(w.Raw)
	if err != nil {
		return err
	}
	if err := in.setAside(w.ID+".hl7", raw, &Refusal{Code: Rejected}); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return in.keepWaiting(ctx, rest)
}
