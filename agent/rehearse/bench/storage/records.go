package storage

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
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

// MakeRecords writes a number of records to a file: what is shared, all people and
// then their days, commune after commune. Newborns of those days come on top of the
// people.
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
	communes, id := (people+commune-1)/commune, 0
	newID := func() string {
		id++
		return fmt.Sprintf("abcdefghijklmnop-%d", id)
	}
	for i := range communes {
		part := func(n int) int { return n*(i+1)/communes - n*i/communes }
		station := practice.New(uint64(i+1), practice.Options{People: part(people), NewID: newID})
		if err = c.settle(w, station, c.Records+part(records), part(asks)); err != nil {
			break
		}
	}
	return c, errors.Join(err, w.Flush(), f.Close())
}

// settle writes one commune, until the file holds so many records.
func (c *Corpus) settle(w *bufio.Writer, station *practice.Station, until, asks int) error {
	known := map[string]bool{}
	entries := station.Shared()
	for i := range station.People() {
		e := station.Person(i)
		known[e.ID] = true
		entries = append(entries, e)
	}
	r := rand.New(rand.NewPCG(uint64(until), 1))
	for range asks {
		q, err := ask(r, station.Person(r.IntN(station.People())))
		if err != nil {
			return err
		}
		c.ask = append(c.ask, q)
	}
	for day := 0; ; day++ {
		for _, e := range entries {
			if c.Records == until {
				return nil
			}
			c.Records++
			c.json += int64(len(e.Resource))
			if e.Kind == "Patient" {
				c.People++
			}
			if _, err := fmt.Fprintf(w, "%s\n", e.Resource); err != nil {
				return err
			}
		}
		entries = slices.DeleteFunc(station.Day(day), func(e practice.Entry) bool { return e.Kind == "Patient" && known[e.ID] })
	}
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
