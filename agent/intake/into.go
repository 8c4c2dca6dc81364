package intake

import (
	"bytes"
	"context"
	"errors"

	"tram/store"
	"tram/store/fhir"
	"tram/store/people"
	"tram/store/query"
	"tram/store/record"
)

// Over says how files are taken into a store; what it leaves open is for the caller.
func Over(s *store.Store) Options {
	return Options{R4: s.R4(), Take: Into(s), Exists: Holds(s), NewID: s.NewID, Setting: s.Setting, SetSetting: s.SetSetting,
		Find: Finds(s), Past: Pasts(s), Linked: s.Linked, Share: Shares(s),
		Keep: func(text []byte) (string, error) { return s.Blobs().Put(bytes.NewReader(text), MaxBytes) },
		Kept: func(id string) ([]byte, error) {
			var b bytes.Buffer
			err := s.Blobs().Get(id, &b)
			return b.Bytes(), err
		}}
}

// Finds is a Find over a store.
func Finds(s *store.Store) func(kind string, by ...query.Clause) ([]*fhir.Value, error) {
	return func(kind string, by ...query.Clause) ([]*fhir.Value, error) {
		var out []*fhir.Value
		q := query.Query{Kind: kind, Limit: query.MaxLimit, Clauses: by}
		for {
			res, err := s.Search(q)
			if err != nil {
				return nil, err
			}
			for _, st := range res.Stands {
				v, err := fhir.Parse(st.Shown.Content, fhir.Limits{Bytes: MaxBytes, Depth: MaxDepth, Values: MaxValues})
				if err != nil {
					return nil, err
				}
				out = append(out, from(v.With("id", fhir.NewString(st.Key.ID)), st.Tag()))
			}
			if q.Page = res.Next; q.Page == "" {
				return out, nil
			}
		}
	}
}

// Pasts is a Past over a store.
func Pasts(s *store.Store) func(record.Key) ([]*fhir.Value, error) {
	return func(key record.Key) ([]*fhir.Value, error) {
		all, err := s.History(key)
		if errors.Is(err, record.ErrNotFound) { // it is planned only
			return nil, nil
		}
		var out []*fhir.Value
		for _, one := range all {
			if one.Deleted {
				continue
			}
			v, err := fhir.Parse(one.Content, fhir.Limits{Bytes: MaxBytes, Depth: MaxDepth, Values: MaxValues})
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, err
	}
}

// maxShared is how many people with a number are looked at.
const maxShared = 50

// Shares is a Share over a store.
func Shares(s *store.Store) func(*fhir.Value) ([]string, error) {
	return func(patient *fhir.Value) ([]string, error) {
		all, err := s.Doubles(patient, false, maxShared)
		var out []string
		for _, d := range all {
			if d.By == people.SameNumber {
				out = append(out, d.ID)
			}
		}
		return out, err
	}
}

// Into is a Take that keeps resources in a store under an author's name. A
// record that is here already is changed only by a file whose meta.versionId
// names the version that is shown; the same content again changes nothing, and
// any other is Stale. What FHIR leaves to the server, meta.versionId and
// meta.lastUpdated, is not kept.
func Into(s *store.Store) func(context.Context, []*fhir.Value, string) (Taken, error) {
	return func(ctx context.Context, resources []*fhir.Value, author string) (Taken, error) {
		for try := 0; ; try++ {
			out, err := put(ctx, s, author, resources)
			// Somebody saved one of the records since it was read.
			if (errors.Is(err, record.ErrStale) || errors.Is(err, record.ErrExists)) && try < 2 {
				continue
			}
			return out, err
		}
	}
}

// put tries once to keep the resources in one transaction.
func put(ctx context.Context, s *store.Store, author string, resources []*fhir.Value) (Taken, error) {
	var out Taken
	var writes []store.Write
	for _, v := range resources {
		w := store.Write{Key: record.Key{Kind: v.Str("resourceType"), ID: v.Str("id")}, Author: author}
		content := plain(v)
		st, err := s.Get(w.Key)
		switch {
		case errors.Is(err, record.ErrNotFound):
			out.New++
		case err != nil:
			return Taken{}, err
		case st.Shown.Deleted:
			return Taken{}, &Refusal{Code: Deleted, Key: w.Key}
		default:
			have, err := fhir.Parse(st.Shown.Content, fhir.Limits{Bytes: MaxBytes, Depth: MaxDepth, Values: MaxValues})
			if err != nil {
				return Taken{}, err
			}
			if fhir.Equal(plain(have), content) {
				out.Same++
				continue
			}
			if w.Base = st.Tag(); v.Str("meta", "versionId") != w.Base {
				return Taken{}, &Refusal{Code: Stale, Key: w.Key}
			}
			out.Changed++
		}
		w.Content = content.Bytes()
		writes = append(writes, w)
	}
	if len(writes) == 0 {
		return out, nil
	}
	if _, err := s.Put(ctx, writes...); err != nil {
		return Taken{}, err
	}
	return out, nil
}

// plain is a resource without what the server says about it.
func plain(v *fhir.Value) *fhir.Value {
	meta := v.Get("meta")
	if meta.Get("versionId") == nil && meta.Get("lastUpdated") == nil {
		return v
	}
	meta = meta.With("versionId", nil).With("lastUpdated", nil)
	if len(meta.Fields) == 0 {
		meta = nil
	}
	return v.With("meta", meta)
}

// Holds is an Exists over a store.
func Holds(s *store.Store) func(record.Key) (bool, error) {
	return func(key record.Key) (bool, error) {
		_, err := s.Get(key)
		if errors.Is(err, record.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
}
