package storage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"tram/store"
	"tram/store/practice"
	"tram/store/record"
)

// Births are writes of new records.
func Births(entries []practice.Entry) []store.Write {
	out := make([]store.Write, len(entries))
	for i, e := range entries {
		out[i] = store.Write{Key: record.Key{Kind: e.Kind, ID: e.ID}, Content: e.Resource, Author: e.Author}
	}
	return out
}

// observations are resources to write one by one, and the people that they are
// about. When all were written they come again, days later.
type observations struct {
	people []store.Write
	parts  []part
	author string
	days   int // that they are of
}

// part is a resource without what is new each time: its id and its dates.
type part struct {
	text  [][]byte // one more than there are gaps
	dates []time.Time
}

// makeObservations takes them from some days of a practice station.
func makeObservations(days int) (observations, error) {
	o := observations{days: days}
	station := practice.New(2, practice.Options{})
	dates := regexp.MustCompile(`\b20\d\d-\d\d-\d\d`)
	var base []practice.Entry
	for d := range days {
		for _, e := range station.Day(d) {
			if e.Kind != "Observation" {
				base = append(base, e)
				continue
			}
			p, err := makePart(e, dates)
			if err != nil {
				return o, err
			}
			o.parts, o.author = append(o.parts, p), e.Author
		}
	}
	o.people = Births(append(station.Shared(), base...))
	return o, nil
}

func makePart(e practice.Entry, dates *regexp.Regexp) (p part, err error) {
	id, err := json.Marshal(e.ID)
	if err != nil {
		return p, err
	}
	before, after, ok := bytes.Cut(e.Resource, append([]byte(`"id":`), id...))
	if !ok {
		return p, fmt.Errorf("a practice record without an id")
	}
	p.text = append(p.text, append(bytes.Clone(before), `"id":"`...))
	rest := append([]byte{'"'}, after...)
	from := 0
	for _, at := range dates.FindAllIndex(rest, -1) {
		date, err := time.Parse(time.DateOnly, string(rest[at[0]:at[1]]))
		if err != nil {
			return p, err
		}
		p.text, p.dates = append(p.text, rest[from:at[0]]), append(p.dates, date)
		from = at[1]
	}
	p.text = append(p.text, rest[from:])
	return p, nil
}

// resource is the n-th observation under an id.
func (o observations) resource(n int, id string) []byte {
	p, later := o.parts[n%len(o.parts)], n/len(o.parts)*o.days
	out := append(make([]byte, 0, 1024), p.text[0]...)
	out = append(append(out, id...), p.text[1]...)
	for i, date := range p.dates {
		out = date.AddDate(0, 0, later).AppendFormat(out, time.DateOnly)
		out = append(out, p.text[i+2]...)
	}
	return out
}

// size is the mean length of a resource in bytes.
func (o observations) size() int {
	n := 0
	for i := range o.parts {
		n += len(o.resource(i, o.people[0].Key.ID))
	}
	return n / len(o.parts)
}

// lines are all of them, one in a line, for who reads them from a file.
func (o observations) lines() []byte {
	var b bytes.Buffer
	for i := range o.parts {
		b.Write(o.resource(i, fmt.Sprintf("abcdefghijklmnop-%d", i)))
		b.WriteByte('\n')
	}
	return b.Bytes()
}
