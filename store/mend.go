package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"tram/store/layout"
	"tram/store/table"
)

// fileState is what the database file is found to be before anything opens it.
type fileState struct {
	missing bool
	used    bool // a lineage was begun in it
	damage  error
}

// inspect looks at the database file.
func (s *Store) inspect() (fileState, error) {
	if _, err := os.Stat(s.file()); errors.Is(err, os.ErrNotExist) {
		return fileState{missing: true}, nil
	} else if err != nil {
		return fileState{}, err
	}
	return fileState{used: true}, nil
}

// openDatabase opens the database, made anew where there is none.
func (s *Store) openDatabase(state fileState) error {
	if state.missing {
		err := table.Create(s.file(), layout.Tables(), func(t *table.Tx) error {
			return t.Table(layout.Meta).Put([]byte(kSchema), u64(layout.Schema))
		})
		if err != nil {
			return err
		}
	}
	db, err := table.Open(s.file(), layout.Tables())
	if err != nil {
		return err
	}
	s.db = db
	return s.checkSchema()
}

func (s *Store) checkSchema() error {
	return s.db.View(func(t *table.Tx) error {
		n := t.Table(layout.Meta).Get([]byte(kSchema))
		if len(n) != 8 {
			return fmt.Errorf("this is no file of records")
		}
		if n := binary.BigEndian.Uint64(n); n > layout.Schema {
			return fmt.Errorf("%w: schema %d, this program reads %d", ErrNewer, n, layout.Schema)
		}
		return nil
	})
}
