package wire

import _ "embed"

// Form is how the lines of a stream are packed.
type Form int

// The forms.
const (
	Plain  Form = iota // zstd alone
	Packed             // told by what is known, then zstd with what is known
)

// What both sides know before an exchange: lines as they travel, and a dictionary of
// zstd, both made by "make known" from made-up stations alone.
var (
	//go:embed known.ndjson
	knownLines []byte
	//go:embed known.zdict
	knownBytes []byte
	//go:embed known.sum
	knownSum string
)

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
