package judge

import (
	"errors"
	"io"
	"maps"
	"slices"

	"tram/store"
	"tram/store/audit"
	"tram/store/blob"
	"tram/store/record"
	"tram/store/storetest/torture/story"
)

// compare holds everything that can be read against the model.
func (j *judge) compare(s *store.Store) {
	seen := j.versions(s)
	wrong, there := j.m.Compare(seen)
	j.v.Wrong = append(j.v.Wrong, wrong...)
	j.shown(s, seen)
	j.audits(s)
	for _, id := range slices.Sorted(maps.Keys(j.m.Blobs)) {
		if err := s.Blobs().Get(id, io.Discard); err != nil {
			j.wrong("attachment %s: %v", id, err)
		}
	}
	for h := range j.m.Held {
		if at := j.place(s, h); at != record.Centre {
			j.wrong("version %s of %s was receipted and is %q", h.Name, h.Key, at)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(j.m.Open)) {
		j.settle(s, id, there[id])
	}
	j.settings(s)
	j.cursors(s)
}

// shown holds that each record shows the newest version of its history.
func (j *judge) shown(s *store.Store, seen []story.Seen) {
	keys := map[string]bool{}
	for _, v := range seen {
		keys[v.Key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		k, err := record.ParseKey(key)
		if err != nil {
			j.wrong("%s: %v", key, err)
			continue
		}
		history, err := s.History(k)
		if err != nil || len(history) == 0 {
			j.wrong("%s has no history: %v", key, err)
			continue
		}
		if st, err := s.Get(k); err != nil || st.Tag() != history[0].Name.String() {
			j.wrong("%s does not show its newest version %s: %v", key, history[0].Name, err)
		}
	}
}

// audits holds that every acknowledged entry is there, one for each version that
// was made here too, and no other that a script made.
func (j *judge) audits(s *store.Store) {
	want := map[string][]string{}
	for a := range j.m.Audits {
		want[a.Key] = append(want[a.Key], a.Code)
	}
	may := map[string]bool{}
	for _, asked := range j.m.Open {
		if asked.Audit != nil {
			may[asked.Audit.Code] = true
		}
	}
	made := map[string][]string{}
	for name, w := range j.m.Versions {
		if !w.Far {
			made[w.Key] = append(made[w.Key], name)
		}
		if _, ok := want[w.Key]; !ok {
			want[w.Key] = nil
		}
	}
	for key, codes := range want {
		k, err := record.ParseKey(key)
		if err != nil {
			continue
		}
		entries, err := s.AuditOf(k, 1<<30)
		if err != nil {
			j.wrong("audit of %s: %v", key, err)
		}
		var have, names []string
		for _, e := range entries {
			if e.Action == audit.Read {
				have = append(have, e.Purpose)
			}
			names = append(names, e.Version.String())
		}
		for _, code := range codes {
			if !slices.Contains(have, code) {
				j.wrong("audit entry %s of %s was acknowledged and is not there", code, key)
			}
		}
		for _, code := range have {
			if !slices.Contains(codes, code) && !may[code] {
				j.wrong("audit entry %s of %s is there and was never asked for", code, key)
			}
		}
		for _, name := range made[key] {
			if !slices.Contains(names, name) {
				j.wrong("version %s of %s has no audit entry", name, key)
			}
		}
	}
}

func (j *judge) place(s *store.Store, h story.Held) record.Place {
	k, err := record.ParseKey(h.Key)
	if err != nil {
		return record.Nowhere
	}
	n, err := record.ParseName(h.Name)
	if err != nil {
		return record.Nowhere
	}
	at, err := s.PlaceOf(k, n)
	if err != nil {
		j.wrong("place of %s: %v", h.Key, err)
	}
	return at
}

// settings holds that each is as acknowledged, or as was begun since.
func (j *judge) settings(s *store.Store) {
	may := map[string][]string{}
	for name, v := range j.m.Settings {
		may[name] = []string{v}
	}
	for _, asked := range j.m.Open {
		if set := asked.Setting; set != nil {
			if _, old := j.m.Settings[set.Name]; !old {
				may[set.Name] = append(may[set.Name], "")
			}
			may[set.Name] = append(may[set.Name], set.Value)
		}
	}
	for name, may := range may {
		if b, err := s.Setting(name); err != nil || !slices.Contains(may, string(b)) {
			j.wrong("setting %s is %q, %v; may be %q", name, b, err, may)
		}
	}
}

// cursors holds that each is as acknowledged, or as was begun since.
func (j *judge) cursors(s *store.Store) {
	may := map[string][]uint64{}
	for feed, n := range j.m.Cursors {
		may[feed] = []uint64{n}
	}
	for _, asked := range j.m.Open {
		if c := asked.Cursor; c != nil {
			if _, old := j.m.Cursors[c.Feed]; !old {
				may[c.Feed] = append(may[c.Feed], 0)
			}
			may[c.Feed] = append(may[c.Feed], c.Seq)
		}
	}
	for feed, may := range may {
		if c, err := s.Cursor(feed); err != nil || !slices.Contains(may, c.Seq) {
			j.wrong("the cursor of feed %s is at %d, %v; may be at %d", feed, c.Seq, err, may)
		}
	}
}

// settle finds out what became of something that was begun, and that it is there
// whole.
func (j *judge) settle(s *store.Store, id int64, names []string) {
	asked := j.m.Open[id]
	m := story.Mark{Word: story.Settled, ID: id, Names: names}
	switch {
	case len(asked.Writes) > 0:
		m.There = len(names) > 0
		if c := asked.Cursor; m.There && c != nil {
			if have, err := s.Cursor(c.Feed); err != nil || have.Seq < c.Seq {
				j.wrong("changes came down to place %d of feed %s; the cursor is at %d, %v", c.Seq, c.Feed, have.Seq, err)
			}
		}
	case asked.Blob != "":
		if m.There = s.Blobs().Has(asked.Blob); m.There {
			if err := s.Blobs().Get(asked.Blob, io.Discard); err != nil && !errors.Is(err, blob.ErrMissing) {
				j.wrong("attachment %s, begun and not acknowledged: %v", asked.Blob, err)
			}
		}
	case asked.Setting != nil:
		b, err := s.Setting(asked.Setting.Name)
		m.There = err == nil && string(b) == asked.Setting.Value
	case asked.Audit != nil:
		if k, err := record.ParseKey(asked.Audit.Key); err == nil {
			entries, err := s.AuditOf(k, 1<<30)
			m.There = err == nil && slices.ContainsFunc(entries, func(l audit.Linked) bool { return l.Purpose == asked.Audit.Code })
		}
	case asked.Cursor != nil:
		c, err := s.Cursor(asked.Cursor.Feed)
		m.There = err == nil && c.Seq == asked.Cursor.Seq
	default:
		for _, h := range asked.Held {
			m.There = j.place(s, h) == record.Centre
		}
	}
	j.v.Settled = append(j.v.Settled, m)
}
