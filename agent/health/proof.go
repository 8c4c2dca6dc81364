package health

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/sync/proof"
	"tram/sync/status"
)

// maxDay bounds over how many versions a certificate goes back, and maxNamed how many
// entries it names.
const (
	maxDay   = 500_000
	maxNamed = 50_000
)

// Certify makes the certificate of the day on which the moment day is, where day's
// zone is. The report is the station's of this moment, and last how both sides
// compared last.
// The entries are read before the receipts, and the cursors before the trees, so
// that what an exchange brings meanwhile makes the certificate say less, never more.
func Certify(s *store.Store, r status.Report, day time.Time, last proof.Last) (proof.Certificate, error) {
	from := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, day.Location())
	to := from.AddDate(0, 0, 1)
	_, zone := from.Zone()
	c := proof.Certificate{Station: r.Station, Version: r.Version, Day: from.Format(time.DateOnly), Zone: zone / 60, From: from.UnixMilli(), To: to.UnixMilli(),
		Made: r.Made + r.Offset, Doubt: r.Doubt, Last: last}
	if h := Cause(r, r.Made+r.Offset); h != nil {
		c.Cause = h.Code
	}
	clocks, err := LoadSessions(s)
	if err != nil {
		return c, err
	}
	list, partial, err := s.Made(c.From, c.To, maxDay, clocks.Dated)
	if err != nil {
		return c, err
	}
	if len(list) > maxNamed {
		list, partial = list[:maxNamed], true
	}
	counts, err := s.Waiting()
	if err != nil {
		return c, err
	}
	receipts, err := s.Receipts()
	if err != nil {
		return c, err
	}
	c.Entries, c.Partial = len(list), partial
	if err := account(s, &c, list, receipts); err != nil {
		return c, err
	}
	c.Others = max(0, counts.Waiting+counts.Parked-c.Wait())
	if err := books(s, &c, list); err != nil {
		return c, err
	}
	for _, feed := range []string{record.OwnFeed, record.SharedFeed} {
		f := proof.Feed{}
		if f.Cursor, err = s.Cursor(feed); err != nil {
			return c, err
		}
		tree, err := s.Tree(store.Upstream, feed)
		if err != nil {
			return c, err
		}
		f.Root = tree.Root()
		c.Feeds = append(c.Feeds, f)
	}
	return c, nil
}

// account sorts the day's entries: those that a receipt covers by receipt, those that
// only the centre had, the others by why they wait.
func account(s *store.Store, c *proof.Certificate, list []store.Entry, receipts []record.Receipt) error {
	for _, e := range slices.Backward(list) { // the oldest first
		if e.Stamp.Doubt {
			c.Doubtful++
		}
		by := slices.IndexFunc(receipts, func(r record.Receipt) bool { return r.Lineage == e.Version.Lineage && r.N >= e.Version.N })
		if e.Place == record.Centre && by >= 0 {
			received(c, receipts[by], e)
			continue
		}
		_, linked, err := s.Chain(e.Version.Lineage, e.Version.N)
		if err != nil {
			return err
		}
		if e.Place == record.Centre && !linked {
			c.Returned++ // it is in no chain of this database: it came down
			continue
		}
		g := proof.Group{Why: why(e), Reason: e.Reason}
		i := slices.IndexFunc(c.Waiting, func(have proof.Group) bool { return have.Why == g.Why && have.Reason == g.Reason })
		if i < 0 {
			g.Kinds = map[string]int{}
			i, c.Waiting = len(c.Waiting), append(c.Waiting, g)
		}
		at := &c.Waiting[i]
		at.Names = append(at.Names, e.Version)
		at.Kinds[e.Key.Kind]++
	}
	for i := range c.Received {
		slices.Sort(c.Received[i].Numbers)
	}
	order := proof.Whys()
	slices.SortStableFunc(c.Waiting, func(a, b proof.Group) int {
		return cmp.Compare(slices.Index(order, a.Why), slices.Index(order, b.Why))
	})
	return nil
}

func received(c *proof.Certificate, r record.Receipt, e store.Entry) {
	i := slices.IndexFunc(c.Received, func(have proof.Received) bool { return have.Lineage == r.Lineage })
	if i < 0 {
		i, c.Received = len(c.Received), append(c.Received, proof.Received{Receipt: r, Kinds: map[string]int{}})
	}
	c.Received[i].Numbers = append(c.Received[i].Numbers, e.Version.N)
	c.Received[i].Kinds[e.Key.Kind]++
}

// why is why an entry waits.
func why(e store.Entry) proof.Why {
	switch {
	case e.Verdict == record.Parked:
		return proof.Parked
	case e.Verdict == record.Waits:
		return proof.Waits
	case e.Verdict.Taken(), e.Place == record.Centre:
		return proof.Unproved
	}
	return proof.Unsent
}

// books adds the present lineage and those of the day, the newest first.
func books(s *store.Store, c *proof.Certificate, list []store.Entry) error {
	lives, err := s.Lives(math.MaxInt)
	if err != nil {
		return err
	}
	for i, l := range lives {
		if i > 0 && !slices.ContainsFunc(list, func(e store.Entry) bool { return e.Version.Lineage == l.Lineage }) {
			continue
		}
		link, _, err := s.Chain(l.Lineage, 0)
		if err != nil {
			return err
		}
		c.Lineages = append(c.Lineages, link)
	}
	return nil
}

// Cause is the health value that keeps entries from the centre, without words; nil
// for none. One failure is no alarm elsewhere; here somebody asks for its reason.
func Cause(r status.Report, now int64) *status.Health {
	tries := strconv.FormatInt(r.Failures, 10)
	if r.Failures > 0 {
		r.Failures = max(r.Failures, 100)
	}
	// Only what lies on the way to the centre explains why entries stay.
	way := []status.Code{status.StoreStopped, status.ReadFailed, status.SecondPC, status.EnrolRefused, status.CentreRefuses, status.VersionOld, status.Certificate,
		status.CentreNonsense, status.NoLink, status.LinkCuts, status.CentreBusy, status.LinkClosed, status.LinkSpent, status.NotEnrolled}
	for _, h := range status.Judge(r, now) {
		if slices.Contains(way, h.Code) {
			h.Params = maps.Clone(h.Params)
			h.Params["failures"] = tries
			return &h
		}
	}
	return nil
}
