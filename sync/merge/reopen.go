package merge

import "tram/store/record"

// Reopen is the version above a tombstone that takes the deletion back, because
// something refers to the record anew. It has no name yet, nor a stamp; whoever
// deleted the record is told by what it lost.
func Reopen(dead *record.Version) *record.Version {
	v := *dead
	v.Name, v.Stamp, v.Base, v.Includes = record.Name{}, record.Stamp{}, dead.Ref(), nil
	v.Author, v.Deleted = Author, false
	by := []record.Writer{{Name: dead.Name, Author: dead.Author, Stamp: dead.Stamp}}
	if marks := dead.Trace.Marks; len(marks) > 0 && marks[0].Path == "" { // deleted more than once, and merged
		by, v.Trace.Marks = nil, marks[1:]
		for _, n := range marks[0].By {
			if w, ok := dead.Trace.Writer(n); ok {
				by = append(by, w)
			}
		}
	}
	v.Lost = []record.Lost{{Value: []byte(`{}`), Won: []byte(`{}`), Policy: PolicyReferred, By: by}}
	return &v
}
