package stick_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"tram/store/record"
	"tram/sync/carry/stick"
	"tram/sync/status"
)

var seeds = flag.Int("seeds", 1, "how many seeds the weeks of sticks run over")

// days are three weeks.
const days = 21

// typed is what somebody types on a day; the same in every run of a seed.
type typed struct {
	day           int
	by            string
	person        int // which one; a new one where there is none of that number
	element, text string
	observation   bool
}

// people are those that both stations hold from the beginning.
const people = 6

// plot makes up three weeks of a seed. Each station sets elements of its own, but
// for one birth date that both set on one day.
func plot(rng *rand.Rand, names []string) (out []typed) {
	total := people
	for day := range days {
		for _, by := range names {
			for range 1 + rng.IntN(4) {
				p := typed{day: day, by: by, person: rng.IntN(people), element: "telecom-" + by, text: fmt.Sprintf("%d-%s-%d", day, by, rng.IntN(1000))}
				switch rng.IntN(4) {
				case 0:
					p.person, total = total, total+1
				case 1:
					p.observation = true
				}
				out = append(out, p)
			}
		}
		if day == 3 {
			out = append(out, typed{day: day, by: names[0], person: 0, element: "birthDate", text: "1961-02-03"},
				typed{day: day, by: names[1], person: 0, element: "birthDate", text: "1961-03-02"})
		}
	}
	return out
}

// run is one run of a plot.
type run struct {
	*world
	names  []string
	keys   map[string]record.Key // by label
	labels map[string]string     // by key
	n      figures
}

type figures struct {
	up, down, bytes, lost, doubled, late, direct, rounds int
	codes                                                map[status.Stick]int
}

func newRun(t *testing.T, names ...string) *run {
	r := &run{world: newWorld(t, names...), names: names, keys: map[string]record.Key{}, labels: map[string]string{}, n: figures{codes: map[status.Stick]int{}}}
	for i := range people {
		r.know(fmt.Sprint("p", i), r.stations[names[0]].born(t, fmt.Sprint("p", i)))
	}
	r.direct(names[0])
	for i := range people {
		_, err := r.top.Grant(context.Background(), names[1], "admin", r.keys[fmt.Sprint("p", i)])
		must(t, err)
	}
	for range 2 {
		for _, n := range names {
			r.direct(n)
		}
	}
	return r
}

func (r *run) know(label string, k record.Key) {
	r.keys[label], r.labels[k.String()] = k, label
}

// enter does what a plot says at its station.
func (r *run) enter(i int, p typed) {
	s := r.stations[p.by]
	label := fmt.Sprint("p", p.person)
	k, ok := r.keys[label]
	switch {
	case !ok:
		r.know(label, s.born(r.t, label))
	case p.observation:
		o := record.Key{Kind: "Observation", ID: s.Store.NewID()}
		r.know(fmt.Sprint("o", i), o)
		s.put(r.t, o, "", map[string]any{"resourceType": "Observation", "id": o.ID, "status": "final", "code": map[string]any{"text": p.text},
			"subject": map[string]any{"reference": k.String()}})
	case p.element == "birthDate":
		s.set(r.t, k, p.element, p.text)
	case p.by == r.names[0]:
		s.set(r.t, k, "telecom", []any{map[string]any{"system": "phone", "value": p.text}})
	default:
		s.set(r.t, k, "address", []any{map[string]any{"text": p.text}})
	}
}

// contents is all that a replica shows, by label; what it does not hold is left out.
func (r *run) contents(name string) map[string]string {
	s := r.top
	if name != "" {
		s = r.stations[name].Store
	}
	out := map[string]string{}
	for label, k := range r.keys {
		if c := shown(r.t, s, k, r.labels); c != record.ErrNotFound.Error() {
			out[label] = c
		}
	}
	return out
}

// parcel is a file under way.
type parcel struct {
	to   string // a station, or "" for the centre
	day  int
	file stick.File
}

// post sends a file on its way, where it may get lost, be late, or come twice.
func (r *run) post(rng *rand.Rand, way []parcel, to string, day int, f stick.File) []parcel {
	r.n.bytes += len(f.Bytes)
	if rng.IntN(4) == 0 {
		r.n.lost++
		return way
	}
	at := day + 1 + rng.IntN(5)
	way = append(way, parcel{to, at, f})
	if rng.IntN(4) == 0 {
		r.n.doubled++
		way = append(way, parcel{to, at + rng.IntN(7), f})
	}
	return way
}

// deliver brings what arrives on a day, in any order, and gives what is under way
// still.
func (r *run) deliver(rng *rand.Rand, way []parcel, day int) (left []parcel) {
	rng.Shuffle(len(way), func(i, j int) { way[i], way[j] = way[j], way[i] })
	ctx := context.Background()
	var answers []parcel
	for _, p := range way {
		if p.day > day {
			left = append(left, p)
			continue
		}
		var res stick.Result
		var err error
		if p.to == "" {
			var f stick.File
			res, f, err = r.centre.Take(ctx, p.file.Bytes)
			r.n.down++
			answers = r.post(rng, answers, res.Station, day, f)
		} else if res, err = r.stations[p.to].Take(ctx, p.file.Bytes); res.Code == status.StickOld {
			r.n.late++
		}
		must(r.t, err)
		r.n.codes[res.Code]++
	}
	return append(left, answers...)
}

// weeks runs a plot over sticks; mixed also calls the centre now and then.
func (r *run) weeks(rng *rand.Rand, story []typed, want map[string]map[string]string, mixed bool) {
	var way []parcel
	for day := 0; ; day++ {
		for i, p := range story {
			if p.day == day {
				r.enter(i, p)
			}
		}
		for _, name := range r.names {
			if day < days || rng.IntN(2) == 0 {
				r.n.up++
				way = r.post(rng, way, "", day, r.ask(name))
			}
			if mixed && rng.IntN(4) == 0 {
				r.n.direct++
				r.direct(name)
			}
		}
		way = r.deliver(rng, way, day)
		if day >= days && r.settled(want) {
			r.n.rounds = day + 1
			return
		}
		if day > 8*days {
			r.t.Fatal("the replicas do not come to rest")
		}
	}
}

// settled reports whether nothing waits, all replicas show the same, and each holds
// as many records as it is to hold.
func (r *run) settled(want map[string]map[string]string) bool {
	top := r.contents("")
	for _, n := range r.names {
		if r.stations[n].waits(r.t) {
			return false
		}
		have := r.contents(n)
		for label, c := range have {
			if top[label] != c {
				return false
			}
		}
		if len(have) < len(want[n]) {
			return false
		}
	}
	return true
}

// TestWeeksOfSticks runs three weeks over sticks that get lost, come twice and out
// of order, once with calls in between, and compares with a run that calls every day.
func TestWeeksOfSticks(t *testing.T) {
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			names := []string{"tram-a", "tram-b"}
			story := plot(rand.New(rand.NewPCG(seed, 1)), names)
			calls := newRun(t, names...)
			for day := range days {
				for i, p := range story {
					if p.day == day {
						calls.enter(i, p)
					}
				}
				for range 2 {
					for _, n := range names {
						calls.direct(n)
					}
				}
			}
			want := map[string]map[string]string{"": calls.contents("")}
			for _, n := range names {
				want[n] = calls.contents(n)
			}
			for _, mixed := range []bool{false, true} {
				r := newRun(t, names...)
				r.weeks(rand.New(rand.NewPCG(seed, 2)), story, want, mixed)
				for at, w := range want {
					have := r.contents(at)
					for _, label := range slices.Sorted(maps.Keys(w)) {
						if have[label] != w[label] {
							t.Errorf("mixed %t, %q: %s is\n%s\nover calls\n%s", mixed, at, label, have[label], w[label])
						}
					}
					if len(have) != len(w) {
						t.Errorf("mixed %t, %q: %d records, over calls %d", mixed, at, len(have), len(w))
					}
				}
				for _, n := range names { // and both sides can prove it
					if res := r.round(n); !res.Exchange.Proved || !res.Exchange.Equal {
						t.Errorf("mixed %t, %s: the trees are not equal: %+v", mixed, n, res.Exchange)
					}
				}
				f := r.n
				if f.lost == 0 || f.doubled == 0 || f.late == 0 || f.codes[status.StickAgain] == 0 || f.codes[status.StickGap] == 0 {
					t.Errorf("a fault never happened: %+v", f)
				}
				t.Logf("mixed %t: %d records, %d typed; %d files up, %d down, %d bytes; %d lost, %d doubled, %d too late; %d calls; rest after %d days; %v",
					mixed, len(r.keys), len(story), f.up, f.down, f.bytes, f.lost, f.doubled, f.late, f.direct, f.rounds, f.codes)
			}
		})
	}
}
