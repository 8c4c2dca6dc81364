package wire

import (
	_ "embed"
	"sync"

	"tram/sync/wire/columns"
)

// Form is how the lines of a stream are packed.
type Form int

// The forms.
const (
	Plain  Form = iota // zstd alone
	Packed             // told by what is known
)

// What both sides know before an exchange: lines as they travel, made by "make known"
// from made-up stations alone, and the sum of them.
var (
	//go:embed known.ndjson
	knownLines []byte
	//go:embed known.sum
	knownSum string
)

// known is what a model knows of these lines. It takes some tenths of a second to make on
// an old PC, so it is made once, when it is asked for.
var known = sync.OnceValue(func() *columns.Model { return columns.NewModel(knownLines) })

const (
	mediaType = "application/vnd.tram.exchange+zstd"
	packed    = "application/vnd.tram;k="
)

// MediaType is the content type of a stream of frames: for a packed one with the
// beginning of a SHA-256 over what both sides must know.
func (f Form) MediaType() string {
	if f == Plain {
		return mediaType
	}
	return packed + knownSum
}

// FormOf is the form of a content type; not ok for one that is not known here.
func FormOf(contentType string) (f Form, ok bool) {
	for _, f := range []Form{Plain, Packed} {
		if contentType == f.MediaType() {
			return f, true
		}
	}
	return Plain, false
}
