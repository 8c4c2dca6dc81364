package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"tram/agent/intake/csv"
	"tram/agent/intake/match"
	"tram/store/fhir"
)

// mapSuffix ends the name of a table's map, and mapsFolder holds maps for many tables.
const (
	mapSuffix  = ".map.toml"
	mapsFolder = "maps"
	maxMaps    = 100
)

func table(name string) bool { return ends(name, ".csv") }

// takeTable takes a table whole or not at all. A row about somebody who is not known, or
// whom the record describes otherwise, is a wrong row: who made the table can mend it,
// and it can be dropped again.
func (in *Intake) takeTable(ctx context.Context, name string, data []byte) (Event, error) {
	e := Event{What: Again, File: name}
	if len(strings.TrimSpace(string(data[:min(len(data), 4<<10)]))) == 0 {
		return e, &Refusal{Code: Empty}
	}
	sum := sha256.Sum256(data)
	label := "c" + hex.EncodeToString(sum[:16])
	known, err := in.recall(label)
	if err != nil || known.Taken {
		return e, err
	}
	m, err := in.mapOf(name)
	if err != nil {
		return e, err
	}
	rows, err := csv.Read(data, m, in.o.Zone)
	if err != nil {
		return e, tableRefusal(err)
	}
	want := 0
	for _, r := range rows {
		want += 1 + len(r.Records)
	}
	for len(known.IDs) < want {
		known.IDs = append(known.IDs, in.o.NewID())
	}
	if err := in.remember(ctx, label, known); err != nil {
		return e, err
	}
	for try := 0; ; try++ {
		p := in.plan()
		err := p.rows(rows, m, known.IDs)
		if err == nil {
			err = p.checked()
		}
		if err == nil && len(p.writes) > 0 {
			e.Taken, err = in.o.Take(ctx, p.writes, in.o.Author)
		}
		if err != nil && overtaken(err) && try < 3 {
			continue
		}
		if err != nil {
			return e, err
		}
		e.What, e.Assigned = Took, p.born
		return e, in.remember(ctx, label, memory{Taken: true})
	}
}

// rows plans every row of a table.
func (p *plan) rows(rows []csv.Row, m *csv.Map, ids []string) error {
	local := p.in.local()
	for _, row := range rows {
		if len(match.Numbers(row.Person)) == 0 { // the map names no system
			return &Refusal{Code: Code(csv.Nobody), Line: row.Line}
		}
		f, err := p.person(row.Person)
		if err == nil && f.why == Unknown {
			f, err = p.bare(row.Person)
		}
		if err != nil {
			return err
		}
		switch {
		case f.why == Unknown && m.Person.Register:
			f.patient = p.bear(row.Person, ids[0], row.Line)
		case f.why != "":
			return &Refusal{Code: Code("row-" + string(f.why)), Line: row.Line}
		case m.Person.Register:
			was := f.patient
			f.patient = match.Complete(was, row.Person)
			p.change(was, f.patient)
		}
		subject := keyOf(f.patient)
		for i, r := range row.Records {
			v := p.in.o.R4.RewriteRefs(r.Value.With("id", fhir.NewString(ids[1+i])), func(literal string) string {
				if literal == csv.Subject {
					return subject.String()
				}
				return local(literal)
			})
			if r.Once {
				was, will, err := p.before(v, subject)
				if err != nil {
					return err
				}
				if was != nil {
					p.change(was, will)
					continue
				}
			}
			p.bear(v, ids[1+i], row.Line)
		}
		ids = ids[1+len(row.Records):]
	}
	return nil
}

// tableRefusal is an error of the table's reader as the reason for a file.
func tableRefusal(err error) error {
	var bad *csv.Error
	if errors.As(err, &bad) {
		r := &Refusal{Code: Code(bad.Code), Line: bad.Line, Path: bad.Place}
		if bad.What != "" {
			r.What = "cell-" + bad.What
		}
		return r
	}
	return err
}

// mapOf finds the map of a table: NAME.map.toml beside NAME.csv or in maps/, else the
// one map in maps/ whose files names the table.
func (in *Intake) mapOf(name string) (*csv.Map, error) {
	root, err := os.OpenRoot(in.o.Folder)
	if err != nil {
		return nil, &Refusal{Code: NoMap}
	}
	defer root.Close()
	own := name[:len(name)-len(path.Ext(name))] + mapSuffix
	for _, at := range []string{own, path.Join(mapsFolder, own)} {
		if text, err := mapText(root, at); err == nil {
			return in.parseMap(text)
		}
	}
	all, _ := names(root, mapsFolder)
	var found *csv.Map
	for _, e := range all[:min(len(all), maxMaps)] {
		if !ends(e.Name(), mapSuffix) {
			continue
		}
		text, err := mapText(root, path.Join(mapsFolder, e.Name()))
		if err != nil {
			continue
		}
		m, err := csv.ParseMap(text, in.o.R4) // a wrong one is said with the table that it names
		switch {
		case err != nil || !m.Matches(name):
		case found != nil:
			return nil, &Refusal{Code: TwoMaps}
		default:
			found = m
		}
	}
	if found == nil {
		return nil, &Refusal{Code: NoMap}
	}
	return found, nil
}

func (in *Intake) parseMap(text []byte) (*csv.Map, error) {
	m, err := csv.ParseMap(text, in.o.R4)
	return m, tableRefusal(err)
}

// mapText reads a map; a link is none.
func mapText(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotFile
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, csv.MaxMap+1))
}
