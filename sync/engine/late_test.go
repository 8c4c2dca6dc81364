package engine

import (
	"testing"

	"tram/store/record"
)

// An answer's feeds are taken where none of them is behind what came down since the
// request.
func TestLateAnswerIsCurrent(t *testing.T) {
	at := func(feed, epoch string, seq, turn uint64) record.Cursor {
		return record.Cursor{Feed: feed, Epoch: epoch, Seq: seq, Turn: turn}
	}
	own := func(epoch string, seq, turn uint64) []record.Cursor {
		return []record.Cursor{at(record.OwnFeed, epoch, seq, turn), at(record.SharedFeed, "e", 3, 0)}
	}
	for name, c := range map[string]struct {
		was, end, now []record.Cursor
		want          bool
	}{
		"nothing came since":             {own("e", 5, 1), own("e", 9, 0), own("e", 5, 1), true},
		"nothing came, and none is news": {own("e", 5, 1), nil, own("e", 5, 1), true},
		"less came than it tells":        {own("e", 5, 1), own("e", 9, 0), own("e", 7, 1), true},
		"as much came":                   {own("e", 5, 1), own("e", 9, 0), own("e", 9, 1), true},
		"more came":                      {own("e", 5, 1), own("e", 9, 0), own("e", 10, 1), false},
		"something came, and none of it": {own("e", 5, 1), nil, own("e", 7, 1), false},
		"the feed was compared anew":     {own("e", 5, 1), own("e", 9, 0), own("e", 7, 2), false},
		"upstream was restored":          {own("e", 5, 1), own("e", 9, 0), own("f", 7, 1), false},
		"the first of all":               {own("", 0, 0), own("e", 9, 0), own("e", 7, 0), true},
		"the other feed is behind": {
			[]record.Cursor{at(record.OwnFeed, "e", 5, 0), at(record.SharedFeed, "e", 2, 0)}, own("e", 9, 0)[:1], own("e", 5, 0), false},
	} {
		l := &Late{Asked: Asked{Cursors: c.was}, Ends: c.end}
		if got := l.current(c.now); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
