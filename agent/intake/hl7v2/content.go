package hl7v2

import (
	"slices"
	"strings"

	"tram/store/fhir"
)

// Rules say how a station reads messages.
type Rules struct {
	// Systems name the systems of identifiers by their assigning authority (its namespace
	// or universal id). One that is not listed is "urn:oid:" for an OID, else
	// "urn:tram:id:" and its name; that of a message which names none is its sender
	// with "#" and the number's type.
	Systems map[string]string
	// Trials takes messages for training and debugging too (MSH-11), as a practice station does.
	Trials bool
}

// Subject is what resources refer to as their person; Item(n) is the n-th resource.
const Subject = "urn:tram:subject"

// Task says what a message asks for.
type Task int

// The tasks.
const (
	// Results are about a person who must be known.
	Results Task = iota
	// Register is a person with a visit, perhaps not known yet.
	Register
	// Update is a person who is known to the sender to be known.
	Update
	// Merge says that two numbers are one person's.
	Merge
)

// Content is what a message holds, as FHIR.
type Content struct {
	Task Task
	// Event is the trigger event, such as "R01".
	Event string
	// Patient is what the message says of its person: no id, at least one identifier.
	Patient *fhir.Value
	// Prior is, of Merge, a Patient with the number that is given up.
	Prior *fhir.Value
	// Items are the resources about the person, without ids.
	Items []Item
	// Sender and Control name the message: MSH-3 and MSH-4 as a URI, MSH-10.
	Sender, Control string
	// Sent is MSH-7; "" where it is no moment with a zone.
	Sent string
}

// Item is a resource to be made.
type Item struct {
	Value *fhir.Value
	// Once says that a record of its kind here that bears its first identifier, and does not
	// contradict it, is the same thing, sent before.
	Once bool
}

// Event names a message's type and trigger event: "ORU^R01". Before 2.3.1 some programs
// left the event to EVN-1.
func (m *Message) Event() (typ, event string) {
	f := m.Segments[0].Field(9)
	typ, event = f.Part(1), f.Part(2)
	if event == "" {
		if evn := m.all("EVN"); len(evn) > 0 {
			event = evn[0].Text(1)
		}
	}
	return typ, event
}

// Content maps the message by the rules. Every error is an *Error.
func (m *Message) Content(r Rules) (*Content, error) {
	head := m.Segments[0]
	if err := m.readable(head, r); err != nil {
		return nil, err
	}
	typ, event := m.Event()
	c := &Content{Event: event, Sender: m.sender(), Control: head.Text(10)}
	if sent, ok := m.moment(head.Text(7)); ok && len(sent) > len("2006-01-02") {
		c.Sent = sent
	}
	var fill func(*Content, Rules) error
	switch typ {
	case "ORU":
		if event != "R01" {
			return nil, m.other("ORU")
		}
		fill = m.results
	case "VXU":
		fill = m.doses
	case "ADT":
		fill = m.visit
	default:
		return nil, m.other(typ)
	}
	var err error
	if c.Patient, err = m.patient(r); err != nil {
		return nil, err
	}
	if err := fill(c, r); err != nil {
		return nil, err
	}
	left := MaxText - weight(c.Patient)
	for _, it := range c.Items {
		if left -= weight(it.Value); left < 0 {
			return nil, &Error{Code: TooMany, Line: head.Line}
		}
	}
	return c, nil
}

// weight is about how much text a value holds.
func weight(v *fhir.Value) int {
	n := len(v.Text)
	for _, f := range v.Fields {
		n += len(f.Name) + weight(f.Value)
	}
	for _, one := range v.Items {
		n += weight(one)
	}
	return n
}

// readable refuses what is not meant for this program.
func (m *Message) readable(head Segment, r Rules) error {
	version := head.Text(12)
	if major, minor, _ := strings.Cut(version, "."); major != "2" || minor == "" || minor[0] < '3' || minor[0] > '8' {
		return &Error{Code: Version, Line: head.Line, Place: "MSH-12"}
	}
	if mode := head.Text(11); (mode == "T" || mode == "D") && !r.Trials {
		return &Error{Code: Trial, Line: head.Line, Place: "MSH-11"}
	}
	return nil
}

// Kinds are the types of messages that have words of their own, and "other".
func Kinds() []string {
	return []string{"ACK", "ADT", "BAR", "DFT", "MDM", "MFN", "OMG", "OML", "OMP", "ORM", "ORU", "OUL", "PPR", "QBP", "QRY",
		"RAS", "RDE", "RDS", "REF", "RGV", "SIU", "VXQ", "other"}
}

// other refuses a type or event that is not taken. What names it only where it is on the list.
func (m *Message) other(typ string) error {
	if !slices.Contains(Kinds(), typ) {
		typ = "other"
	}
	return &Error{Code: Kind, Line: m.Segments[0].Line, Place: "MSH-9", What: typ}
}

// sender is whoever sent it, as the authority of numbers that name none. It stands in many
// places, so it is short.
func (m *Message) sender() string {
	head := m.Segments[0]
	for _, n := range []int{4, 3} { // the facility is the authority, else the program
		if name := authority(head.Field(n), Rules{}); name != "" && len(name) < 300 {
			return name
		}
	}
	return "urn:tram:id:unknown"
}

func (m *Message) all(name string) []Segment {
	var out []Segment
	for _, s := range m.Segments {
		if s.Name == name {
			out = append(out, s)
		}
	}
	return out
}
