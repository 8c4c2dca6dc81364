package trust

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"strings"
)

// ErrCode says that a text has not the form of an enrolment code.
var ErrCode = errors.New("not an enrolment code: 16 letters and digits in groups of four")

// Code is a one-time enrolment code: 80 random bits, as many as nobody guesses
// through a network.
type Code [10]byte

// codeLen is the length of a code without dashes: 80 bits at 5 each, no rest.
const codeLen = 16

// crockford is Douglas Crockford's base 32: no I, L, O, U, which are misread.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewCode draws a code.
func NewCode() Code {
	var c Code
	rand.Read(c[:])
	return c
}

// String is the code as it is printed: XXXX-XXXX-XXXX-XXXX.
func (c Code) String() string {
	s := base32.NewEncoding(crockford).WithPadding(base32.NoPadding).EncodeToString(c[:])
	return s[0:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:16]
}

// ParseCode reads a code as people type it: in either case, with O for 0 and I
// or L for 1, with or without spaces and dashes. It fails with ErrCode.
func ParseCode(s string) (Code, error) {
	if len(s) > 100 {
		return Code{}, ErrCode
	}
	var b strings.Builder
	for _, r := range strings.ToUpper(s) {
		switch r {
		case ' ', '\t', '\r', '\n', '\u00a0', '-', '_', '.', '\u2010', '\u2011', '\u2013', '\u2014':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		b.WriteRune(r)
	}
	if b.Len() != codeLen {
		return Code{}, ErrCode
	}
	raw, err := base32.NewEncoding(crockford).WithPadding(base32.NoPadding).DecodeString(b.String())
	if err != nil || len(raw) != len(Code{}) {
		return Code{}, ErrCode
	}
	return Code(raw), nil
}

// tag is what a centre keeps of a code: who steals the state has no code.
func (c Code) tag(secret []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("tram enrolment code 1"))
	h.Write(c[:])
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
