package ips

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"tram/store"
	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/query"
	"tram/store/record"
	"tram/store/summary"
)

// seed is of which the practice stations are drawn.
const seed = 6

// days is how many days at least are worked before summaries are made.
const days = 20

// clinic is a practice station whose days are put into the store.
type clinic struct {
	s     *station
	made  *practice.Station
	next  int
	count map[string]int // records by the id of the Patient
	order []string       // Patients as they were first seen
	home  *fhir.Value    // the Organization
}

// settle puts what all share.
func (s *station) settle(ctx context.Context, people int) (*clinic, error) {
	c := &clinic{s: s, made: practice.New(seed, practice.Options{People: people, NewID: s.store.NewID}), count: map[string]int{}}
	shared := c.made.Shared()
	home, err := fhir.Parse(shared[0].Resource, fhir.Limits{})
	c.home = home
	if err != nil {
		return nil, err
	}
	return c, c.put(ctx, shared)
}

// day puts the next day.
func (c *clinic) day(ctx context.Context) error {
	entries := c.made.Day(c.next)
	c.next++
	return c.put(ctx, entries)
}

// put writes records as the staff would, in one write, and counts whom they are about.
func (c *clinic) put(ctx context.Context, entries []practice.Entry) error {
	var writes []store.Write
	for _, e := range entries {
		writes = append(writes, store.Write{Key: record.Key{Kind: e.Kind, ID: e.ID}, Content: e.Resource, Author: e.Author})
		if e.Patient != "" && c.count[e.Patient] == 0 {
			c.order = append(c.order, e.Patient)
		}
		c.count[e.Patient]++
	}
	_, err := c.s.store.Put(ctx, writes...)
	return err
}

// people makes summaries: of so many people, in both languages, and of one person with
// that many records. It returns how many were wrong or too slow.
func (s *station) people(ctx context.Context, people, records int, out io.Writer) (wrong int, err error) {
	m, err := summary.New(s.r4)
	if err != nil {
		return 0, err
	}
	c, err := s.settle(ctx, people+people/10)
	for err == nil && (len(c.order) < people || c.next < days) {
		err = c.day(ctx)
	}
	if err != nil {
		return 0, err
	}
	var gathered, made []time.Duration
	for n, id := range c.order[:people] {
		g, d, bad, err := c.summarise(m, id, []string{"vi", "en"}[n%2], out)
		if err != nil {
			return 0, err
		}
		gathered, made, wrong = append(gathered, g), append(made, d), wrong+bad
	}
	fmt.Fprintf(out, "summaries of %d people: wrong %d\n  gathering %s\n  making    %s\n", len(made), wrong, spread(gathered), spread(made))

	// Few people, so that one of them soon has as many records as a life of care makes.
	few, err := s.settle(ctx, 8)
	for err == nil && (len(few.order) == 0 || few.count[few.busiest()] < records) {
		err = few.day(ctx)
	}
	if err != nil {
		return 0, err
	}
	id := few.busiest()
	g, d, bad, err := few.summarise(m, id, "vi", out)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(out, "summary of a person with %d records: gathering %.1f ms, making %.1f ms, in all at most %.0f\n", few.count[id], ms(g), ms(d), ms(most))
	if g+d > most {
		bad++
	}
	return wrong + bad, nil
}

// spread tells the median and the slowest.
func spread(took []time.Duration) string {
	slices.Sort(took)
	return fmt.Sprintf("median %.1f ms, slowest %.1f ms", ms(took[len(took)/2]), ms(took[len(took)-1]))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// busiest is who has most records.
func (c *clinic) busiest() string {
	return slices.MaxFunc(c.order, func(a, b string) int { return c.count[a] - c.count[b] })
}

// summarise gathers what the store has of a person, makes the document as it would be
// sent, and judges it. It tells how long the first and the second took.
func (c *clinic) summarise(m *summary.Maker, id, language string, out io.Writer) (gathered, made time.Duration, wrong int, err error) {
	start := time.Now()
	patient, records, err := c.s.gather(id)
	if err != nil {
		return 0, 0, 0, err
	}
	gathered = time.Since(start)
	doc, err := m.Of(summary.About{Person: patient, Records: records, Find: c.s.find, Station: c.home, At: start, Language: language})
	if err != nil {
		return 0, 0, 0, err
	}
	body := doc.Bytes()
	made = time.Since(start) - gathered
	back, err := fhir.Parse(body, fhir.Limits{})
	if err != nil {
		return 0, 0, 0, err
	}
	bad := judge(c.s.r4, back)
	for _, b := range bad {
		fmt.Fprintf(out, "FAILED summary of Patient/%s: %s\n", id, b)
	}
	return gathered, made, len(bad), nil
}

// gather reads a person's Patient and compartment.
func (s *station) gather(id string) (patient *fhir.Value, records []*fhir.Value, err error) {
	patient = s.find(record.Key{Kind: "Patient", ID: id})
	for _, kind := range s.r4.Kinds() {
		if def, ok := s.r4.Param(kind, "patient"); !ok || def.Type != "reference" {
			continue
		}
		q := query.Query{Kind: kind, Limit: query.MaxLimit, Clauses: []query.Clause{{Param: "patient", Values: []string{id}}}}
		for more := true; more; more = q.Page != "" {
			res, err := s.store.Search(q)
			if err != nil {
				return nil, nil, err
			}
			for _, st := range res.Stands {
				if v := shown(st); v != nil {
					records = append(records, v)
				}
			}
			q.Page = res.Next
		}
	}
	return patient, records, nil
}

// find looks up one record.
func (s *station) find(key record.Key) *fhir.Value {
	st, err := s.store.Get(key)
	if err != nil {
		return nil
	}
	return shown(st)
}

// shown is what a record shows, nil for one that is deleted. No conflict is open in what
// this package writes, so that there is none to tag.
func shown(st *record.Stand) *fhir.Value {
	if st.Shown == nil || st.Shown.Deleted {
		return nil
	}
	v, err := fhir.Parse(st.Shown.Content, fhir.Limits{})
	if err != nil {
		return nil
	}
	return v
}
