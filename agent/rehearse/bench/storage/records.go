package storage

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"tram/store/people"
	"tram/store/practice"
)

// commune is how many people one practice station looks after. More people are
// more communes, one made after the other, so that making them needs the memory of
// one.
const commune = 1250

// Corpus is a file of practice records, one in a line, and what to ask of who
// keeps them.
type Corpus struct {
	File            string
	Records, People int
	json            int64 // bytes of the resources, compact JSON without the ends of lines
	ask             []question
}

// question is one person as somebody looks for them.
type question struct {
	ID string `json:"id"`
	// Words are two folded words of the name, each the beginning of one of its parts.
	Words      [2]string `json:"words"`
	Identifier string    `json:"identifier"`
}

// Communes makes a number of records: what is shared, all people and then their days,
// commune after commune, each with the commune that it is of. Newborns of those days come
// on top of the people.
func Communes(seed uint64, records, people int, newID func() string) iter.Seq2[*practice.Station, practice.Entry] {
	communes := (people + commune - 1) / commune
	part := func(n, i int) int { return n*(i+1)/communes - n*i/communes }
	return func(yield func(*practice.Station, practice.Entry) bool) {
		for i := range communes {
			station := practice.New(seed+uint64(i), practice.Options{People: part(people, i), NewID: newID})
			for e := range settle(station, part(records, i)) {
				if !yield(station, e) {
					return
				}
			}
		}
	}
}

// settle makes so many records of one commune.
func settle(station *practice.Station, most int) iter.Seq[practice.Entry] {
	return func(yield func(practice.Entry) bool) {
		known := map[string]bool{}
		entries := station.Shared()
		for i := range station.People() {
			e := station.Person(i)
			known[e.ID] = true
			entries = append(entries, e)
		}
		for day := 0; ; day++ {
			for _, e := range entries {
				if most == 0 || !yield(e) {
					return
				}
				most--
			}
			entries = slices.DeleteFunc(station.Day(day), func(e practice.Entry) bool { return e.Kind == "Patient" && known[e.ID] })
		}
	}
}

// MakeRecords writes the records of communes to a file, and draws questions about their people.
func MakeRecords(file string, records, people, asks int) (Corpus, error) {
	c := Corpus{File: file}
	if people < 1 || records < 2*people {
		return c, fmt.Errorf("%d records are too few for %d people", records, people)
	}
	f, err := os.Create(file)
	if err != nil {
		return c, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	id := 0
	newID := func() string {
		id++
		return fmt.Sprintf("abcdefghijklmnop-%d", id)
	}
	var at *practice.Station
	settled := 0
	for station, e := range Communes(1, records, people, newID) {
		if station != at {
			at = station
			settled += station.People()
			if err := c.askOf(station, asks*settled/people-len(c.ask)); err != nil {
				return c, errors.Join(err, f.Close())
			}
		}
		c.Records++
		c.json += int64(len(e.Resource))
		if e.Kind == "Patient" {
			c.People++
		}
		if _, err := fmt.Fprintf(w, "%s\n", e.Resource); err != nil {
			return c, errors.Join(err, f.Close())
		}
	}
	return c, errors.Join(w.Flush(), f.Close())
}

// askOf draws questions about the people of a commune.
func (c *Corpus) askOf(station *practice.Station, asks int) error {
	r := rand.New(rand.NewPCG(uint64(c.Records), 1))
	for range asks {
		q, err := ask(r, station.Person(r.IntN(station.People())))
		if err != nil {
			return err
		}
		c.ask = append(c.ask, q)
	}
	return nil
}

// ask draws how somebody looks for a person.
func ask(r *rand.Rand, e practice.Entry) (question, error) {
	var p struct {
		Name []struct {
			Family string
			Given  []string
		}
		Identifier []struct{ Value string }
	}
	if err := json.Unmarshal(e.Resource, &p); err != nil {
		return question{}, err
	}
	q := question{ID: e.ID, Identifier: p.Identifier[r.IntN(len(p.Identifier))].Value}
	parts := append(p.Name[0].Given, p.Name[0].Family)
	for i, n := range r.Perm(len(parts))[:2] {
		q.Words[i] = strings.Fields(people.Fold(parts[n]))[0]
	}
	return q, nil
}
