package seal

import (
	_ "embed"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// How a value stands behind the seal: its first byte.
const (
	stored byte = 0 // as it is
	packed byte = 1 // S2 with dictionary 1
)

// leastPacked is the size from which values are compressed, in bytes.
const leastPacked = 64

// dictionary1 is what values commonly hold. It is a part of the format: it
// never changes, and another one gets another first byte.
//
//go:embed dictionary1.txt
var dictionary1 []byte

// codec makes values smaller. A dictionary makes short ones a quarter of their
// size in a sixth of the time that zstd takes for a half. It is safe for
// concurrent use.
type codec struct{ dict *s2.Dict }

func newCodec() *codec { return &codec{s2.MakeDict(dictionary1, nil)} }

// pack appends the value with its first byte to dst, which may be reused.
func (c *codec) pack(dst, plain []byte) []byte {
	if len(plain) >= leastPacked {
		room := 1 + s2.MaxEncodedLen(len(plain))
		if cap(dst) < room {
			dst = make([]byte, 0, room)
		}
		if small := c.dict.Encode(dst[1:room], plain); len(small) < len(plain) {
			dst = dst[:1+len(small)]
			dst[0] = packed
			return dst
		}
	}
	return append(append(dst[:0], stored), plain...)
}

// unpack reverses pack into a slice of its own, at most MaxValue long.
func (c *codec) unpack(body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, ErrAltered
	}
	switch body[0] {
	case stored:
		return append([]byte{}, body[1:]...), nil
	case packed:
		n, err := s2.DecodedLen(body[1:])
		if err != nil || n > MaxValue {
			return nil, fmt.Errorf("%w: it would become too large", ErrAltered)
		}
		plain, err := c.dict.Decode(nil, body[1:])
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrAltered, err)
		}
		return plain, nil
	}
	return nil, ErrAltered
}
