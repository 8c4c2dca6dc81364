package storage

import (
	"context"
	"slices"
	"time"
)

// Bare lets writers make practice observations durable for a while with bbolt alone,
// those that wait in one commit: what the disk and bbolt allow whoever keeps records
// in it. It tells how long each write took, the shortest first.
func Bare(ctx context.Context, dir string, writers int, d time.Duration) (waits []time.Duration, took time.Duration, err error) {
	obs, err := makeObservations(1)
	if err != nil {
		return nil, 0, err
	}
	w := &work{dir: dir, obs: obs}
	s, err := saving(w.grouped)(ctx, writers, d)
	slices.Sort(s.waits)
	return s.waits, s.took, err
}
