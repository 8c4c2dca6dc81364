package layout

import (
	"encoding/binary"
	"slices"

	"tram/store/people"
)

// The index of what is shown. Its keys are internal numbers, keyed digests and
// dates; nothing in it names or describes a person.
//
//	ByPatient  patient or Nobody, kind, date, number
//	ByKind     kind, date, number
//	ByCode     kind, code, date, number
//
// There are three entries for each record, so their parts are short: numbers take 5
// bytes, dates 6, which reach 4,400 years either way in milliseconds.
const (
	ByPatient = "p"
	ByKind    = "k"
	ByCode    = "c"
)

// Nobody is the number that stands for the person of a record that is not for everybody,
// and names nobody here. No record has it.
const Nobody = 0

// Sortable is a date in bytes that sort as it does.
func Sortable(at int64) []byte {
	const most = 1<<47 - 1
	at = max(-most, min(at, most))
	return binary.BigEndian.AppendUint64(nil, uint64(at)+1<<47)[2:]
}

// DateLen and NumberLen are how long dates and numbers are in the index, in bytes.
const (
	DateLen   = 6
	NumberLen = 5
)

// DateIn is the date in a key of the index.
func DateIn(k []byte) people.Date { return people.Date(k[len(k)-NumberLen-DateLen:][:DateLen]) }

// Short is a number as it stands in the index.
func Short(n []byte) []byte { return n[len(n)-NumberLen:] }

// Long is the number at the end of a key of the index.
func Long(k []byte) []byte {
	return append(make([]byte, 8-NumberLen, 8), k[len(k)-NumberLen:]...)
}

// Latest is an order in which the newest date comes first, and of one date the
// record that came last.
func Latest(date, n []byte) string {
	out := slices.Concat(date, n)
	for i := range out {
		out[i] = ^out[i]
	}
	return string(out)
}
