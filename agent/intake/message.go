package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"tram/agent/intake/hl7v2"
	"tram/agent/intake/match"
	"tram/store/fhir"
	"tram/store/query"
	"tram/store/record"
)

// rawType is the media type of a message that is kept.
const rawType = "x-application/hl7-v2+er7"

// withdrawn is the status of what should never have been written.
const withdrawn = "entered-in-error"

// letter is a message of a file with what is known of it.
type letter struct {
	msg     *hl7v2.Message
	content *hl7v2.Content
	label   string
	memory  memory
	raw     string // names the kept message
}

func messages(name string) bool { return ends(name, ".hl7", ".er7") }

// takeMessages takes a file of HL7 version 2 messages: all that can be matched in one
// transaction, then all that cannot onto the waiting list. Each message has a memory
// of its own, so that it counts once, however it comes.
func (in *Intake) takeMessages(ctx context.Context, name string, data []byte) (Event, error) {
	if len(strings.TrimSpace(string(data[:min(len(data), 4<<10)]))) == 0 {
		return Event{}, &Refusal{Code: Empty}
	}
	all, err := hl7v2.Parse(data, in.o.Zone)
	if err != nil {
		return Event{}, asRefusal(err)
	}
	e := Event{What: Again, File: name, Kind: kindOf(all)}
	waiting, err := in.Waiting()
	if err != nil {
		return Event{}, err
	}
	var letters []*letter
	seen := map[string]bool{}
	for _, w := range waiting {
		seen[w.ID] = true
	}
	for _, m := range all {
		l := &letter{msg: m}
		if l.content, err = m.Content(in.o.Rules); err != nil {
			return e, asRefusal(err)
		}
		l.label = labelOf(m, l.content)
		if seen[l.label] {
			continue
		}
		seen[l.label] = true
		if l.memory, err = in.recall(l.label); err != nil {
			return e, err
		}
		if !l.memory.Taken {
			letters = append(letters, l)
		}
	}
	for try := 0; ; try++ {
		done, err := in.deliver(ctx, letters, e, Choice{})
		if err != nil && overtaken(err) && try < 3 {
			continue
		}
		return done, err
	}
}

// asRefusal is an error of the parsers as the reason for a file.
func asRefusal(err error) error {
	var bad *hl7v2.Error
	if errors.As(err, &bad) {
		return &Refusal{Code: Code(bad.Code), Line: bad.Line, Path: bad.Place, What: bad.What}
	}
	return err
}

// kindOf names the messages of a file for the report: their type, where it is one only.
func kindOf(all []*hl7v2.Message) string {
	kind := ""
	for _, m := range all {
		typ, event := m.Event()
		one := typ + "^" + event
		if len(one) > 7 || strings.ContainsFunc(one, func(r rune) bool { return r != '^' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') }) {
			one = "?"
		}
		if kind != "" && kind != one {
			return "HL7"
		}
		kind = one
	}
	return kind
}

// labelOf names a message by its sender, its control id and all that it says, as Digest
// tells: sent again it is the same one. Without a control id the bytes tell.
func labelOf(m *hl7v2.Message, c *hl7v2.Content) string {
	sum := sha256.New()
	if c.Control == "" {
		sum.Write(m.Raw)
	} else {
		m.Digest(sum)
	}
	return "m" + hex.EncodeToString(sum.Sum(nil)[:16])
}

// deliver plans the messages, takes those that have their person, and puts the others on
// the list: behind what is taken, for a file that cannot be taken goes to aside/ whole. Cut
// off between, it is repeated with the same ids. A choice is a person's, for the one message.
func (in *Intake) deliver(ctx context.Context, letters []*letter, e Event, by Choice) (Event, error) {
	p := in.plan()
	p.anew = by.Who != ""
	var waits []Waiting
	var taken []*letter
	for _, l := range letters {
		want := len(l.content.Items) + 2
		for len(l.memory.IDs) < want {
			l.memory.IDs = append(l.memory.IDs, in.o.NewID())
		}
		f, err := in.whose(p, l, by)
		if err != nil {
			return e, err
		}
		if l.raw, err = in.o.Keep(l.msg.Raw); err != nil {
			return e, err
		}
		if f.why != "" {
			waits = append(waits, in.waiting(l, f))
			continue
		}
		if err := p.put(l, f.patient); err != nil {
			return e, err
		}
		taken = append(taken, l)
	}
	if err := p.checked(); err != nil {
		return e, err
	}
	list, err := in.listed(waits)
	if err != nil {
		return e, err
	}
	for _, l := range taken {
		if err := in.remember(ctx, l.label, l.memory); err != nil {
			return e, err
		}
	}
	author := in.o.Author
	if by.Who != "" {
		author = by.Who
	}
	if len(taken) > 0 {
		if e.Taken, err = in.o.Take(ctx, p.writes, author); err != nil {
			return e, err
		}
		e.What, e.Assigned = Took, p.born
	}
	if len(waits) > 0 {
		if err := in.keepWaiting(ctx, list); err != nil {
			return e, err
		}
		if e.Waits = len(waits); len(taken) == 0 {
			e.What = Waits
		}
	}
	for _, l := range taken {
		if err := in.remember(ctx, l.label, memory{Taken: true}); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (l *letter) line() int { return l.msg.Segments[0].Line }

// put plans a message's resources about its person, and the message itself. Each has the
// id that was drawn for its place, so that a take that was cut off makes the same.
func (p *plan) put(l *letter, patient *fhir.Value) error {
	subject := keyOf(patient)
	names := map[string]string{hl7v2.Subject: subject.String()}
	values := make([]*fhir.Value, len(l.content.Items))
	for i, it := range l.content.Items {
		v := it.Value.With("id", fhir.NewString(l.memory.IDs[i+2]))
		if it.Once {
			was, will, err := p.before(v, subject)
			if err != nil {
				return err
			}
			if was != nil {
				p.change(was, will)
				v = nil
				names[hl7v2.Resource(i)] = keyOf(was).String()
			}
		}
		if values[i] = v; v != nil {
			names[hl7v2.Resource(i)] = keyOf(v).String()
		}
	}
	related := make([]*fhir.Value, 0, len(values))
	for i, v := range values {
		if v != nil {
			v = p.in.o.R4.RewriteRefs(v, func(literal string) string {
				if to, ok := names[literal]; ok {
					return to
				}
				return literal
			})
			p.bear(v, v.Str("id"), l.line())
		}
		if kind := l.content.Items[i].Value.Str("resourceType"); kind != "Observation" { // those stand in their report
			related = append(related, reference(names[hl7v2.Resource(i)]))
		}
	}
	p.bear(original(l, subject, related), l.memory.IDs[1], l.line())
	return nil
}

// before is the record here that stands for a resource which was sent before, about any
// record of the person, and what it is with what the resource says more; nil for none. What
// people changed in it stands: an earlier version may be the one that says it all.
func (p *plan) before(v *fhir.Value, subject record.Key) (was, will *fhir.Value, err error) {
	numbers := match.Numbers(v)
	if len(numbers) == 0 {
		return nil, nil, nil
	}
	kind, person := v.Str("resourceType"), p.same(subject.ID)
	all, err := p.find(kind, numbers[0], p.about(kind, person)...)
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(all, func(one *fhir.Value) bool {
		whose, ok := strings.CutPrefix(one.Str("subject", "reference")+one.Str("patient", "reference"), "Patient/")
		return !ok || p.anew && one.Str("status") == withdrawn || !slices.Contains(person, whose) || keyOf(one) == keyOf(v)
	})
	r4 := p.in.o.R4
	holds := func(one *fhir.Value) bool { return !match.Contradicts(r4, one, v) && match.Further(one, v) == one }
	if i := slices.IndexFunc(all, holds); i >= 0 {
		return all[i], all[i], nil
	}
	for _, one := range all {
		past, err := p.in.o.Past(keyOf(one))
		if err != nil || slices.ContainsFunc(past, holds) {
			return one, one, err
		}
	}
	if i := slices.IndexFunc(all, func(one *fhir.Value) bool { return !match.Contradicts(r4, one, v) }); i >= 0 {
		return all[i], match.Further(all[i], v), nil
	}
	return nil, nil, nil
}

// about asks for what is about one of those people: by this the store finds its few records.
// A kind without such a parameter is asked for nothing.
func (p *plan) about(kind string, people []string) []query.Clause {
	for _, name := range []string{"patient", "subject"} {
		if by, ok := p.in.o.R4.Param(kind, name); ok && by.Type == "reference" {
			c := query.Clause{Param: name}
			for _, id := range people {
				c.Values = append(c.Values, "Patient/"+id)
			}
			return []query.Clause{c}
		}
	}
	return nil
}

func reference(to string) *fhir.Value {
	return fhir.NewObject(fhir.Field{Name: "reference", Value: fhir.NewString(to)})
}

// original is the message as it came, as a document about the person: its text is an
// attachment, which goes up behind everything else.
func original(l *letter, subject record.Key, related []*fhir.Value) *fhir.Value {
	text := func(name, s string) fhir.Field {
		if s == "" {
			return fhir.Field{Name: name}
		}
		return fhir.Field{Name: name, Value: fhir.NewString(s)}
	}
	object := func(fields ...fhir.Field) *fhir.Value { return fhir.NewObject(fields...) }
	at := func(name string, v *fhir.Value) fhir.Field { return fhir.Field{Name: name, Value: v} }
	c := l.content
	attachment := object(text("contentType", rawType), text("url", "Binary/"+l.raw), at("size", fhir.NewNumber(strconv.Itoa(len(l.msg.Raw)))))
	out := object(text("resourceType", "DocumentReference"), text("status", "current"),
		at("type", object(at("coding", fhir.NewArray(object(text("system", "http://terminology.hl7.org/CodeSystem/v2-0003"), text("code", c.Event)))))),
		at("subject", reference(subject.String())), text("date", c.Sent),
		at("content", fhir.NewArray(object(at("attachment", attachment)))))
	if c.Control != "" {
		id := object(text("system", c.Sender), text("value", c.Control))
		out = out.With("identifier", fhir.NewArray(id))
	}
	if len(related) > 0 {
		out = out.With("context", object(at("related", fhir.NewArray(related...))))
	}
	return out
}
