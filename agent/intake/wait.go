package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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

// ErrNotTaken says that no such message was taken here.
var ErrNotTaken = errors.New("no such message was taken here")

// Why says why a message waits.
type Why string

// The reasons.
const (
	Unknown     Why = "unknown"      // nobody here has one of its numbers
	Several     Why = "several"      // more than one person has
	BareNumber  Why = "bare-number"  // who has it has it without a word by whom it was given
	OtherNumber Why = "other-number" // its first number leads to nobody, and a later one to a person
	OtherName   Why = "other-name"   // who has it bears another name
	OtherBirth  Why = "other-birth"  // or was born on another day
	OtherSex    Why = "other-sex"    // or is of another sex
	TakenBack   Why = "taken-back"   // it was taken for somebody, and that was wrong
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

// LogValue shows no person.
func (w Waiting) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kind", w.Kind), slog.String("why", string(w.Why)))
}

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
		Birth: p.Str("birthDate"), Sex: p.Str("gender"), Numbers: append(match.Numbers(p), match.Numbers(l.content.Prior)...), Here: f.all, Raw: l.raw}
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

// listed is the list with more messages, once each. Of one that is there the reason may be
// another by now.
func (in *Intake) listed(more []Waiting) ([]Waiting, error) {
	all, err := in.Waiting()
	if err != nil {
		return nil, err
	}
	had := len(all)
	for _, w := range more {
		i := slices.IndexFunc(all, func(o Waiting) bool { return o.ID == w.ID })
		if i < 0 {
			all = append(all, w)
			continue
		}
		w.At = all[i].At
		all[i] = w
	}
	if len(all) > had && len(all) > MaxWaiting {
		return nil, &Refusal{Code: ListFull}
	}
	return all, nil
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
