// Package stick carries exchanges in files: a request goes up on a USB stick and
// its answer comes down on one, weeks later, twice or never.
//
// It owns the form of the files, their names on a stick, and what either side
// keeps of them. It promises that a file opens only for whom it is, that a file
// with one bit changed yields nothing, and that files which are lost, doubled,
// late or out of order do no harm: what they miss is in the next one. It does not
// know what the frames mean, nor where sticks appear.
package stick

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tram/store/record"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

// version is the form of the files; a header of a later one is not read.
const version = 1

// magic begins every file.
const magic = "tram stick\n"

const (
	maxStream = carry.MaxRequest
	maxHead   = 8 << 10
	// MaxFile bounds a file, in bytes.
	MaxFile = maxStream + maxStream/256 + 64<<10 // sealing adds 16 bytes in 64 KiB
)

// The directions of a file.
const (
	up   = "up"
	down = "down"
)

// header stands openly in front of what is sealed, and once more within.
type header struct {
	V    int    `json:"v"`
	From string `json:"from"` // a replica's name, or the fingerprint of the centre's root
	To   string `json:"to"`
	Dir  string `json:"dir"`
	// N counts the requests of a station; an answer bears its request's.
	N    uint64 `json:"n"`
	Time int64  `json:"time"` // the maker's clock, Unix milliseconds; shown, never obeyed
	// Re is, in an answer, the sum of the request: another life of the station may
	// have given its number a second time.
	Re record.Digest `json:"re,omitzero"`
	// Miss are, in an answer, the numbers of earlier requests that had not come; the
	// highest of them where there are many.
	Miss []uint64 `json:"miss,omitempty"`
	// Cert and Key are, in a request, the station's certificate (DER) and the key to
	// which the answer is sealed.
	Cert []byte `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`
}

// Result is what became of a file.
type Result struct {
	Code status.Stick
	// Station is whose exchange it is, N the number of the request, Made the time
	// that its maker's clock showed, in Unix milliseconds; zero where the file does
	// not say so credibly.
	Station string
	N       uint64
	Made    int64
	// Sent counts the own changes that the exchange handed in, Taken those of them
	// that are in the centre's history, Received what came down.
	Sent, Taken, Received int
	Refused               wire.Refusal
	// Exchange is, at a station, what the exchange came to.
	Exchange engine.Result `json:"-"`
}

// File is one that goes onto a stick.
type File struct {
	Name  string
	Bytes []byte
}

// refusal is why a file yields nothing.
type refusal struct{ code status.Stick }

func (r refusal) Error() string { return "a file from a stick: " + string(r.code) }

// told makes a refusal a result; other errors last.
func told(res Result, err error) (Result, error) {
	var r refusal
	switch {
	case errors.As(err, &r):
		res.Code = r.code
	case errors.Is(err, errLarge):
		res.Code = status.StickLarge
	case errors.Is(err, wire.ErrNonsense), errors.Is(err, wire.ErrCut):
		res.Code = status.StickNonsense
	case err != nil:
		return res, fmt.Errorf("stick: %w", err)
	}
	return res, nil
}

// party is one end: it signs what it seals, and opens what was sealed to it.
type party interface {
	SignStick(sum [sha256.Size]byte) ([]byte, error)
	OpenStick(r io.Reader) (io.Reader, error)
}

// sheet is a file taken apart. Nothing of it is proved but that it is whole.
type sheet struct {
	header
	head, sealed, sig []byte
	sum               record.Digest // of all of it
	signed            [sha256.Size]byte
}

// read takes a file apart. What was changed by accident is found here; who made it
// is for the signature to say.
func read(b []byte) (*sheet, error) {
	if len(b) > MaxFile {
		return nil, refusal{status.StickLarge}
	}
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < sha256.Size {
		return nil, refusal{status.StickAltered}
	}
	sum := sha256.Sum256(rest[sha256.Size:])
	if !bytes.Equal(sum[:], rest[:sha256.Size]) {
		return nil, refusal{status.StickAltered}
	}
	s := &sheet{sum: record.Digest(sum[:16])}
	var okSig, okHead bool
	s.sig, rest, okSig = cut(rest[sha256.Size:])
	s.signed = sha256.Sum256(rest)
	s.head, s.sealed, okHead = cut(rest)
	if !okSig || !okHead || len(s.head) > maxHead || json.Unmarshal(s.head, &s.header) != nil {
		return nil, refusal{status.StickAltered}
	}
	if s.V != version {
		return nil, refusal{status.StickNewer}
	}
	return s, nil
}

// cut parts what its length in two bytes stands in front of from the rest.
func cut(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// write seals a stream to a key, signs it and puts the file together.
func write(h header, by party, to string, stream []byte) ([]byte, record.Digest, error) {
	h.V = version
	head, err := json.Marshal(h)
	if err != nil {
		return nil, record.Digest{}, err
	}
	var body bytes.Buffer
	put(&body, head)
	w, err := trust.SealStick(&body, to)
	if err != nil {
		return nil, record.Digest{}, err
	}
	for _, part := range [][]byte{head, []byte("\n"), stream} {
		if _, err := w.Write(part); err != nil {
			return nil, record.Digest{}, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, record.Digest{}, err
	}
	sig, err := by.SignStick(sha256.Sum256(body.Bytes()))
	if err != nil {
		return nil, record.Digest{}, err
	}
	var rest bytes.Buffer
	put(&rest, sig)
	rest.Write(body.Bytes())
	sum := sha256.Sum256(rest.Bytes())
	return append(append([]byte(magic), sum[:]...), rest.Bytes()...), record.Digest(sum[:16]), nil
}

func put(b *bytes.Buffer, part []byte) {
	b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(part))))
	b.Write(part)
}

// open unseals the stream of a file whose signature was proved. Who signs what
// another sealed does not know the header within.
func (s *sheet) open(by party) ([]byte, error) {
	r, err := by.OpenStick(bytes.NewReader(s.sealed))
	if err != nil {
		return nil, refused(err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxStream+maxHead+2))
	if err != nil {
		return nil, refused(err)
	}
	stream, ok := bytes.CutPrefix(plain, append(bytes.Clone(s.head), '\n'))
	if !ok {
		return nil, refusal{status.StickAltered}
	}
	if len(stream) > maxStream {
		return nil, refusal{status.StickLarge}
	}
	return stream, nil
}

func refused(err error) error {
	if errors.Is(err, trust.ErrSealed) {
		return refusal{status.StickAltered}
	}
	return err
}

// errLarge says that a stream does not fit into one file.
var errLarge = errors.New("too much for one file")

// stream writes frames into memory, within the bounds of a file.
func stream(next func() (*wire.Frame, error)) ([]byte, error) {
	var b bounded
	err := carry.Send(&b, next)
	return b.Bytes(), err
}

type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxStream {
		return 0, errLarge
	}
	return b.Buffer.Write(p)
}

// slower is the pace for a second try at a file that got too large; what is left
// goes into the next one.
func slower(p engine.Pace) engine.Pace {
	return engine.Pace{Up: max(p.Up/4, 1), Down: max(p.Down/4, 1), Stretch: max(p.Stretch/4, 1)}
}

// pace suits a carrier that comes by once a day or a week.
func pace() engine.Pace { return engine.Pace{Up: 8192, Down: 8192, Stretch: 32} }
