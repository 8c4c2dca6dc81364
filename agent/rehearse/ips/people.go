package ips

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"tram/store"
	"tram/store/practice"
	"tram/store/record"
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
}

// settle puts what all share.
func (s *station) settle(ctx context.Context, people int) (*clinic, error) {
	c := &clinic{s: s, made: practice.New(seed, practice.Options{People: people, NewID: s.store.NewID}), count: map[string]int{}}
	return c, c.put(ctx, c.made.Shared())
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

// people asks for summaries: of so many people, in both languages, and of one person with
// that many records. It returns how many were wrong or too slow.
func (s *station) people(ctx context.Context, people, records int, out io.Writer) (wrong int, err error) {
	c, err := s.settle(ctx, people+people/10)
	for err == nil && (len(c.order) < people || c.next < days) {
		err = c.day(ctx)
	}
	if err != nil {
		return 0, err
	}
	var took []time.Duration
	for n, id := range c.order[:people] {
		d, bad, err := c.summary(ctx, id, []string{"vi", "en"}[n%2], out)
		if err != nil {
			return 0, err
		}
		took, wrong = append(took, d), wrong+bad
	}
	fmt.Fprintf(out, "summaries of %d people: wrong %d; %s\n", len(took), wrong, spread(took))

	// Few people, so that one of them soon has as many records as a life of care makes.
	few, err := s.settle(ctx, 8)
	for err == nil && (len(few.order) == 0 || few.count[few.busiest()] < records) {
		err = few.day(ctx)
	}
	if err != nil {
		return 0, err
	}
	id := few.busiest()
	d, bad, err := few.summary(ctx, id, "vi", out)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(out, "summary of a person with %d records: %.1f ms, at most %.0f\n", few.count[id], ms(d), ms(most))
	if d > most {
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

// summary asks for one as other software does, and judges it. It tells how long it took.
func (c *clinic) summary(ctx context.Context, id, language string, out io.Writer) (took time.Duration, wrong int, err error) {
	start := time.Now()
	doc, err := c.s.ask(ctx, "GET", "/Patient/"+id+"/$summary", nil, "Accept-Language", language)
	if err != nil {
		return 0, 0, err
	}
	took = time.Since(start)
	bad := judge(c.s.r4, doc)
	for _, b := range bad {
		fmt.Fprintf(out, "FAILED summary of Patient/%s: %s\n", id, b)
	}
	return took, len(bad), nil
}
