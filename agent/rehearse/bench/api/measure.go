package api

import (
	"context"
	"fmt"
	"time"

	"tram/agent/rehearse/bench/storage"
)

// clients are how many ask at once.
func clients() []int { return []int{1, 4, 16} }

// side is a server and what it is asked.
type side struct {
	*server
	ops []op
}

// apart is how many requests lie between those of one number of clients and of the
// next, so that an update never says what an earlier one said.
const apart = 1_000_000

// measure lets the sides take turns: operation by operation, number by number. Who
// goes through all records for each answer, one answer after the other, is not asked
// by many.
func (b *bench) measure(ctx context.Context, sides []side) error {
	for i, o := range sides[0].ops {
		first := make([]score, len(sides)) // what warms a server up
		for round, n := range clients() {
			b.say("%s, %d at once", o.name, n)
			r := row{name: o.name, clients: n}
			for at, s := range sides {
				err := error(nil)
				if round == 0 {
					first[at], err = s.drive(ctx, 1, b.Each/10, from(s.ops[i].ask, len(clients())))
				}
				switch slowest := first[at].at(1); {
				case err != nil:
				case slowest*time.Duration(n) <= b.Longest:
					r.scores[at], err = s.drive(ctx, n, b.Each, from(s.ops[i].ask, round))
				case n == 1:
					r.scores[at] = first[at]
				}
				if err != nil {
					return fmt.Errorf("%s: %w", o.name, err)
				}
			}
			b.table.rows = append(b.table.rows, r)
		}
	}
	return nil
}

// from are the requests of a round, which are others than those of any other.
func from(ask func(int) request, round int) func(int) request {
	return func(n int) request { return ask(n + round*apart) }
}

// limits measures what no server can do better: HTTP with empty answers, and commits
// of bbolt alone.
func (b *bench) limits(ctx context.Context, empty *server) error {
	b.say("what HTTP and bbolt alone allow")
	for i, n := range clients() {
		http, err := empty.drive(ctx, n, b.Each, nothing)
		if err != nil {
			return fmt.Errorf("empty answers: %w", err)
		}
		waits, took, err := storage.Bare(ctx, b.dir, n, b.Each)
		if err != nil {
			return fmt.Errorf("bbolt alone: %w", err)
		}
		b.table.http[i], b.table.bolt[i] = http, score{waits: waits, took: took}
	}
	return nil
}
