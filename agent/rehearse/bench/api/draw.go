package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// drawn is what is asked of servers that hold the first so many records of a corpus,
// and what they must find. Everything is asked for again and again, in the same order
// of every server.
type drawn struct {
	reads  []string // "Kind/id"
	people []person // who have Observations
	named  []person
	days   []day
	plain  []plain
	visits [][]byte // transactions
}

// person is one as the API is asked for them.
type person struct {
	id, family, given string
	observations      int // about them
}

// day is a code and a day.
type day struct {
	code, date   string
	observations int // that bear both
}

// plain is an Observation that bears no note.
type plain struct {
	id   string
	text []byte
}

// drawMost is about how many records are drawn.
const drawMost = 2000

// seen is what is read of an Observation.
type seen struct {
	EffectiveDateTime string
	Code              struct{ Coding []struct{ Code string } }
	Subject           struct{ Reference string }
	Note              []struct{}
}

// day is the code and the day that a search finds it by; false for one without. The
// day is what the date says: practice people are seen between 7 and 17 o'clock at
// +07:00, which is one day in every zone from +00:00 to +14:00, and a server's zone
// has to be among them.
func (s seen) day() (day, bool) {
	const date = len("2026-01-05")
	if len(s.Code.Coding) == 0 || len(s.EffectiveDateTime) < date {
		return day{}, false
	}
	return day{code: s.Code.Coding[0].Code, date: s.EffectiveDateTime[:date]}, true
}

// person is the id of whom it is about; "" for nobody.
func (s seen) person() string { return strings.TrimPrefix(s.Subject.Reference, "Patient/") }

// named is a Patient by the family name and the last given name.
func named(text []byte) (p person, ok bool, err error) {
	var r struct {
		ID   string
		Name []struct {
			Family string
			Given  []string
		}
	}
	if err := json.Unmarshal(text, &r); err != nil || len(r.Name) == 0 || len(r.Name[0].Given) == 0 {
		return p, false, err
	}
	given := r.Name[0].Given
	return person{id: r.ID, family: r.Name[0].Family, given: given[len(given)-1]}, true, nil
}

// draw reads the first records of a corpus and draws every so manieth of them.
func draw(file string, records int) (*drawn, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	d := &drawn{}
	about, on := map[string]int{}, map[day]int{} // how many Observations
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for n := 0; n < records && lines.Scan(); n++ {
		var r struct{ ResourceType, ID string }
		var s seen
		err := json.Unmarshal(lines.Bytes(), &r)
		if err == nil && r.ResourceType == "Observation" {
			err = json.Unmarshal(lines.Bytes(), &s)
		}
		if err != nil {
			return nil, fmt.Errorf("draw: %w", err)
		}
		when, dated := s.day()
		about[s.person()]++
		on[when]++
		if n%max(records/drawMost, 1) > 0 {
			continue
		}
		d.reads = append(d.reads, r.ResourceType+"/"+r.ID)
		switch r.ResourceType {
		case "Patient":
			p, ok, err := named(lines.Bytes())
			if err != nil {
				return nil, fmt.Errorf("draw: %w", err)
			}
			if ok {
				d.named = append(d.named, p)
			}
		case "Observation":
			d.people = append(d.people, person{id: s.person()})
			if dated {
				d.days = append(d.days, when)
			}
			if len(s.Note) == 0 {
				d.plain = append(d.plain, plain{r.ID, bytes.Clone(lines.Bytes())})
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("draw: %w", err)
	}
	if len(d.named) == 0 || len(d.days) == 0 || len(d.plain) == 0 {
		return nil, fmt.Errorf("%d records are too few to draw from", records)
	}
	for i := range d.people {
		d.people[i].observations = about[d.people[i].id]
	}
	for i := range d.days {
		d.days[i].observations = on[d.days[i]]
	}
	for i := range min(len(d.plain), mostVisits) {
		d.visits = append(d.visits, d.visit(i))
	}
	return d, nil
}

// Sizes of the transactions.
const (
	mostVisits = 50
	entries    = 100 // of one
)

// visit is a transaction of one new person and what was measured of them.
func (d *drawn) visit(n int) []byte {
	const urn = "urn:uuid:00000000-0000-4000-8000-000000000001"
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":%q,"resource":`+
		`{"resourceType":"Patient","name":[{"family":"Lò","given":["Thị","Mới"]}],"gender":"female","birthDate":"1990-05-17"},"request":{"method":"POST","url":"Patient"}}`, urn)
	for i := 1; i < entries; i++ {
		o := d.plain[(n*entries+i)%len(d.plain)]
		person := []byte(`"subject":{"reference":"` + urn)
		at, end := subject(o.text)
		fmt.Fprintf(&b, `,{"resource":%s,"request":{"method":"POST","url":"Observation"}}`, unnamed(o.id, bytes.Join([][]byte{o.text[:at], person, o.text[end:]}, nil)))
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// subject is where an Observation says whom it is about, up to the end of the
// reference.
func subject(text []byte) (from, to int) {
	before, after, ok := bytes.Cut(text, []byte(`"subject":{"reference":"`))
	if !ok {
		return len(text), len(text)
	}
	return len(before), len(text) - len(after) + bytes.IndexByte(after, '"')
}

// unnamed is a resource without its id, to be born again.
func unnamed(id string, text []byte) []byte {
	return bytes.Replace(text, []byte(`"id":"`+id+`",`), nil, 1)
}
