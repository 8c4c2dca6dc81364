package storage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

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
// about. Each has a mark where its id stands.
type observations struct {
	people []store.Write
	parts  [][2][]byte // what stands before and behind the id
	author string
}

// makeObservations takes them from some days of a practice station.
func makeObservations(days int) (observations, error) {
	var o observations
	station := practice.New(2, practice.Options{})
	var base []practice.Entry
	for d := range days {
		for _, e := range station.Day(d) {
			if e.Kind != "Observation" {
				base = append(base, e)
				continue
			}
			id, err := json.Marshal(e.ID)
			if err != nil {
				return o, err
			}
			before, after, ok := bytes.Cut(e.Resource, append([]byte(`"id":`), id...))
			if !ok {
				return o, fmt.Errorf("a practice record without an id")
			}
			o.parts = append(o.parts, [2][]byte{append(bytes.Clone(before), `"id":"`...), append([]byte{'"'}, after...)})
			o.author = e.Author
		}
	}
	o.people = Births(append(station.Shared(), base...))
	return o, nil
}

// resource is the n-th observation under an id.
func (o observations) resource(n int, id string) []byte {
	p := o.parts[n%len(o.parts)]
	return slices.Concat(p[0], []byte(id), p[1])
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
