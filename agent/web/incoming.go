package web

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tram/agent/intake"
	"tram/agent/intake/hl7v2"
	"tram/agent/intake/match"
	"tram/store/audit"
	"tram/store/fhir"
	"tram/store/people"
	"tram/store/record"
)

// What one page shows of a message, which may be large.
const (
	maxFound = 20       // people whom a search finds
	maxLines = 300      // results
	maxRaw   = 64 << 10 // bytes of the message as it came
)

// incomingPage is what came in on a day, and what waits for somebody.
type incomingPage struct {
	Waits []messageLine
	Day   dayReport
	Fault string
}

// messageLine is a message that waits, in words.
type messageLine struct {
	intake.Waiting
	What string // kind of message
	Says string // why it waits
}

// key is what the audit calls the message: the name under which its text is kept, which
// the record that comes of it bears too.
func (l messageLine) key() record.Key { return record.Key{Kind: "Binary", ID: l.Raw} }

// dayReport is a day's report in words.
type dayReport struct {
	Date, Before, After string // days; After is "" on the last one
	Rows                []dayRow
	Aside               []asideLine
}

type dayRow struct {
	intake.Row
	How, What string
}

// asideLine is why files were set aside, and how many.
type asideLine struct {
	N   int
	Why string
}

// messagePage asks whose a message is.
type messagePage struct {
	messageLine
	Said   personLine   // what the message says of its person
	People []personLine // who are here and may be meant
	Query  string
	Found  []personLine // whom somebody looked for
	Nobody bool         // was found
	Merge  bool         // it says that two numbers are one person's
	Adds   bool         // to remember adds more than the number
	Lines  []resultLine
	More   int // results that are not shown
	Text   string
	Cut    bool // there is more of the text
	Chosen string
	Asked  *personLine // chosen, though name or birth date differ: it is asked once more
	Keep   bool        // remember the number
	Fault  string      // in words
}

// personLine is a person beside the one of whom a message speaks.
type personLine struct {
	ID, Base         string
	Chosen           bool
	Like             people.Likeness
	Name, Birth, Sex trait
	Numbers          []trait
	Phone, Address   string
	Died             string // as people.Person says it
}

// trait is one thing that a person is told by.
type trait struct {
	Text          string
	Differs, Same bool // from what the message says, as it
}

// resultLine is one thing that a message reports.
type resultLine struct {
	When, Title, Value, Range, Mark, Note string
	Head                                  bool // of the results that follow
}

// attending lets those pass who may see what came in: it is clinical.
func attending(h func(*call) error) func(*call) error {
	return func(c *call) error {
		switch {
		case c.Incoming == nil:
			return record.ErrNotFound
		case !c.user.Role.Clinical():
			return errForbidden
		}
		return h(c)
	}
}

// incoming lists the messages that wait for somebody, and what came in on a day.
func (c *call) incoming() error { return c.incomingAgain(http.StatusOK, "") }

func (c *call) incomingAgain(code int, fault string) error {
	p := incomingPage{Fault: fault}
	list, err := c.Incoming.Waiting()
	if err != nil {
		return err
	}
	if p.Day, err = c.dayReport(cmp.Or(c.r.URL.Query().Get("day"), c.Incoming.Today())); err != nil {
		return err
	}
	if err := c.looked(audit.Search, record.Key{}); err != nil {
		return err
	}
	says := map[intake.Why]string{}
	for _, w := range list {
		if says[w.Why] == "" {
			says[w.Why] = w.Why.Text(c.lang)
		}
		p.Waits = append(p.Waits, messageLine{w, c.say(letterKind(w.Kind)), says[w.Why]})
	}
	c.render(code, "incoming", "incoming.title", p)
	return nil
}

// dayReport is what came in on a day.
func (c *call) dayReport(date string) (dayReport, error) {
	const layout = "2006-01-02"
	day, err := time.Parse(layout, date)
	if err != nil {
		return dayReport{}, record.ErrNotFound
	}
	d, err := c.Incoming.Day(date)
	if err != nil {
		return dayReport{}, err
	}
	out := dayReport{Date: date, Before: day.AddDate(0, 0, -1).Format(layout)}
	if date < c.Incoming.Today() {
		out.After = day.AddDate(0, 0, 1).Format(layout)
	}
	aside := map[intake.Code]int{}
	for _, r := range d.Rows {
		row := dayRow{Row: r, How: c.say("source." + string(r.Source))}
		if r.Kind != "" {
			row.What = c.say(letterKind(r.Kind))
		}
		out.Rows = append(out.Rows, row)
		for code, n := range r.Why {
			aside[code] += n
		}
	}
	for _, code := range slices.Sorted(maps.Keys(aside)) {
		out.Aside = append(out.Aside, asideLine{aside[code], (&intake.Refusal{Code: code}).Text(c.lang)})
	}
	return out, nil
}

// letterKind is the key of the words for a type of message, "ORU^R01".
func letterKind(kind string) string {
	switch typ, event, _ := strings.Cut(kind, "^"); {
	case typ == "ORU":
		return "letter.results"
	case typ == "VXU":
		return "letter.doses"
	case kind == "ADT^A40":
		return "letter.merge"
	case typ == "ADT" && slices.Contains([]string{"A08", "A28", "A31"}, event):
		return "letter.person"
	case typ == "ADT" && slices.Contains([]string{"A01", "A03", "A04", "A05"}, event):
		return "letter.visit"
	case typ == "HL7": // of several types
		return "letter.mixed"
	}
	return "letter.other"
}

// gone says that somebody saw to a message already.
func (c *call) gone() error {
	code := http.StatusNotFound
	if c.r.Method == http.MethodPost {
		code = http.StatusConflict
	}
	return c.incomingAgain(code, "incoming.gone")
}

// message shows a message that waits and who may be meant, finds others by what is typed,
// and takes it as that of who was chosen. What is typed stands in no address.
func (c *call) message() error {
	p, said, err := c.messagePage()
	if errors.Is(err, intake.ErrNotWaiting) {
		return c.gone()
	}
	if err != nil {
		return err
	}
	if err := c.candidates(&p, said); err != nil {
		return err
	}
	if c.r.PostForm.Get("act") == "attach" {
		return c.attach(p)
	}
	return c.messageAgain(http.StatusOK, p, "")
}

func (c *call) messageAgain(code int, p messagePage, fault string) error {
	p.Fault = fault
	c.render(code, "message", "incoming.whose", p)
	return nil
}

// attach takes the message as that of the person chosen, as somebody saw that person.
func (c *call) attach(p messagePage) error {
	by := intake.Choice{Who: c.user.User, Remember: p.Keep}
	about := []record.Key{p.key()}
	switch {
	case p.Chosen == "":
		return c.messageAgain(http.StatusUnprocessableEntity, p, c.say("incoming.choose"))
	case p.Chosen != "new":
		all := slices.Concat(p.People, p.Found)
		i := slices.IndexFunc(all, func(l personLine) bool { return l.ID == p.Chosen })
		if i < 0 {
			return c.messageAgain(http.StatusConflict, p, c.say("incoming.left"))
		}
		if c.r.PostForm.Get("base-"+p.Chosen) != all[i].Base {
			return c.messageAgain(http.StatusConflict, p, c.say("incoming.changed"))
		}
		// The answer names whom it was given for: another choice is asked anew.
		if all[i].Name.Differs || all[i].Birth.Differs {
			if p.Asked = &all[i]; c.r.PostForm.Get("sure") != p.Chosen {
				return c.messageAgain(http.StatusUnprocessableEntity, p, c.say("incoming.other-person"))
			}
		}
		by.Person = record.Key{Kind: "Patient", ID: p.Chosen}
		about = append(about, by.Person)
	}
	if err := c.acted(audit.Decide, about...); err != nil {
		return err
	}
	_, err := c.Incoming.Attach(c.r.Context(), p.ID, by)
	var no *intake.Refusal
	switch {
	case errors.Is(err, intake.ErrNotWaiting):
		return c.gone()
	case errors.As(err, &no) && no.Code == intake.RefersNowhere && no.Key == by.Person:
		return c.messageAgain(http.StatusConflict, p, c.say("incoming.left"))
	case errors.As(err, &no):
		return c.messageAgain(http.StatusUnprocessableEntity, p, no.Text(c.lang))
	case err != nil:
		return err
	case by.Person.IsZero():
		return c.goTo("/incoming", "registered")
	}
	return c.goTo("/person/"+p.Chosen, "attached")
}

// reject asks once more, then puts the message aside: it belongs to nobody here.
func (c *call) reject() error {
	p, _, err := c.messagePage()
	if errors.Is(err, intake.ErrNotWaiting) {
		return c.gone()
	}
	if err != nil {
		return err
	}
	if c.r.Method != http.MethodPost {
		if err := c.acted(audit.Read, p.key()); err != nil {
			return err
		}
		c.render(http.StatusOK, "reject", "incoming.reject", p)
		return nil
	}
	if err := c.acted(audit.Dismiss, p.key()); err != nil {
		return err
	}
	err = c.Incoming.Reject(c.r.Context(), p.ID)
	code, _ := trouble(err)
	switch {
	case err == nil:
		return c.goTo("/incoming", "rejected")
	case errors.Is(err, intake.ErrNotWaiting):
		return c.gone()
	case code != http.StatusInternalServerError:
		return err
	}
	c.Log.Error("message cannot be set aside", slog.Any("err", err)) // it names a file by a digest alone
	p.Fault = c.say("incoming.stays")
	c.render(http.StatusInternalServerError, "reject", "incoming.reject", p)
	return nil
}

// messagePage reads the message that the address names, and what it says of its person.
func (c *call) messagePage() (messagePage, *fhir.Value, error) {
	list, err := c.Incoming.Waiting()
	if err != nil {
		return messagePage{}, nil, err
	}
	i := slices.IndexFunc(list, func(w intake.Waiting) bool { return w.ID == c.r.PathValue("id") })
	if i < 0 {
		return messagePage{}, nil, intake.ErrNotWaiting
	}
	w, f := list[i], c.r.PostForm
	p := messagePage{messageLine: messageLine{w, c.say(letterKind(w.Kind)), w.Why.Text(c.lang)},
		Query: strings.TrimSpace(f.Get("q")), Chosen: f.Get("person"), Keep: f.Get("remember") != ""}
	raw, err := c.Incoming.Message(w.ID)
	if err != nil {
		return p, nil, err
	}
	read, err := content(raw, c.Zone)
	if err != nil {
		return p, nil, err
	}
	p.Merge, p.Adds = read.Task == hl7v2.Merge, read.Task != hl7v2.Results
	p.Text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(string(raw[:min(len(raw), maxRaw)]), "\uFFFD"))
	p.Cut = len(raw) > maxRaw
	for _, it := range read.Items[:min(len(read.Items), maxLines)] {
		p.Lines = append(p.Lines, c.resultLine(it.Value))
	}
	p.More = len(read.Items) - len(p.Lines)
	p.Said = c.personLine(read.Patient, read.Patient, nil)
	for _, n := range match.Numbers(read.Prior) {
		p.Said.Numbers = append(p.Said.Numbers, trait{Text: n.Value})
	}
	return p, read.Patient, nil
}

// content reads a message. Whose its numbers are the waiting list says; what is for
// training alone was refused before it waited.
func content(raw []byte, zone *time.Location) (*hl7v2.Content, error) {
	all, err := hl7v2.Parse(raw, zone)
	if err != nil {
		return nil, err
	}
	return all[0].Content(hl7v2.Rules{Trials: true})
}

// candidates are who has one of the message's numbers, who is like the person of whom it
// speaks, and whom somebody looked for or chose, each once. It leaves the audit entries of
// all that is shown.
func (c *call) candidates(p *messagePage, said *fhir.Value) error {
	var all []people.Double
	for _, k := range p.Here {
		all = append(all, people.Double{Person: people.Person{ID: k.ID}, By: people.SameNumber})
	}
	like, err := c.Store.Doubles(said, true, maxDoubles)
	if err != nil {
		return err
	}
	namesakes, err := c.namesakes(p.Waiting)
	if err != nil {
		return err
	}
	all = slices.Concat(all, like, namesakes)
	if p.Query != "" {
		if err := c.looked(audit.Search, record.Key{}); err != nil {
			return err
		}
		found, err := c.Store.People(p.Query, maxFound)
		if err != nil {
			return err
		}
		p.Nobody = len(found) == 0
		for _, one := range found {
			all = append(all, people.Double{Person: one})
		}
	}
	if (record.Key{Kind: "Patient", ID: p.Chosen}).Valid() { // also where the search is another by now
		all = append(all, people.Double{Person: people.Person{ID: p.Chosen}})
	}
	looks := []record.Key{p.key()}
	for _, one := range all {
		st, content, err := c.held(one.ID)
		if err != nil {
			return err
		}
		if content == nil || slices.Contains(looks, st.Key) {
			continue
		}
		l := c.personLine(content, said, p.Numbers)
		if l.Name.Differs && (one.By == people.SameBirth || one.By == people.SameYear) { // a part of a longer word
			continue
		}
		looks = append(looks, st.Key)
		l.ID, l.Base, l.Like, l.Chosen = one.ID, st.Tag(), one.By, one.ID == p.Chosen
		if one.By == "" {
			p.Found = append(p.Found, l)
		} else {
			p.People = append(p.People, l)
		}
	}
	return c.acted(audit.Read, looks...)
}

// namesakes are who bears the name of a message's person, its words in any order, and was
// born on the same day or in the same year: HL7 and people order names differently.
func (c *call) namesakes(w intake.Waiting) (out []people.Double, err error) {
	if w.Name == "" {
		return nil, nil
	}
	find := func(born string, by people.Likeness) error {
		found, err := c.Store.People(w.Name+" "+born, maxDoubles)
		for _, one := range found {
			out = append(out, people.Double{Person: one, By: by})
		}
		return err
	}
	if len(w.Birth) == len("1961-02-03") {
		err = find(w.Birth, people.SameBirth)
	}
	if err == nil {
		err = find(w.Birth[:min(len(w.Birth), len("1961"))], people.SameYear)
	}
	return out, err
}

// personLine is a Patient beside what a message says of its person, by the rules of
// matching. numbers are those of the message.
func (c *call) personLine(v, said *fhir.Value, numbers []match.Number) personLine {
	brief := c.brief(v)
	differs := func(field string) bool {
		only := func(v *fhir.Value) *fhir.Value { return fhir.NewObject(fhir.Field{Name: field, Value: v.Get(field)}) }
		return match.Differs(only(v), only(said)) != ""
	}
	l := personLine{Phone: brief.Phone, Address: brief.Address, Died: brief.Died, Name: trait{Text: cmp.Or(brief.Name, c.say("person.no-name")), Differs: differs("name")},
		Birth: trait{Text: c.show[c.lang].Date(brief.Birth), Differs: differs("birthDate")}}
	if brief.Gender != "" {
		l.Sex = trait{Text: c.show[c.lang].Code("gender", brief.Gender), Differs: differs("gender")}
	}
	if ids := v.Get("identifier"); ids != nil {
		for _, it := range ids.Items {
			l.Numbers = append(l.Numbers, trait{Text: c.show[c.lang].Fields("Patient", "identifier", fhir.NewObject(fhir.Field{Name: "identifier", Value: it})),
				Same: slices.Contains(numbers, match.Number{System: it.Str("system"), Value: it.Str("value")})})
		}
	}
	return l
}

// resultLine reads out what a message reports.
func (c *call) resultLine(v *fhir.Value) resultLine {
	s := c.show[c.lang]
	field := func(name string) string {
		f := v.Get(name)
		if f == nil {
			return ""
		}
		return s.Fields(v.Str("resourceType"), name, fhir.NewObject(fhir.Field{Name: name, Value: f}))
	}
	l := s.Line(v)
	out := resultLine{Head: v.Str("resourceType") == "DiagnosticReport", When: l.When, Title: l.Title, Value: l.Detail, Mark: field("interpretation")}
	if ranges := v.Get("referenceRange"); ranges != nil {
		for _, r := range ranges.Items {
			out.Range = strings.TrimSpace(out.Range + " " + r.Str("text"))
		}
	}
	if note := field("note"); note != l.Detail {
		out.Note = note
	}
	if l.Status != "" {
		out.Value = strings.TrimPrefix(out.Value+" · "+l.Status, " · ")
	}
	return out
}
