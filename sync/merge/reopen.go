package merge

import "tram/store/record"

// Reopen is the version above a tombstone that takes the deletion back, because
// something refers to the record anew. It has no name yet, nor a stamp.
func Reopen(dead *record.Version) *record.Version {
	v := *dead
	v.Name, v.Stamp, v.Base, v.Includes = record.Name{}, record.Stamp{}, dead.Ref(), nil
	v.Author, v.Deleted = Author, false
	v.Lost = []record.Lost{{
		Value: []byte(`{}`), Won: []byte(`{}`), Policy: PolicyReferred,
		By: []record.Writer{{Name: dead.Name, Author: dead.Author, Stamp: dead.Stamp}},
	}}
	return &v
}
