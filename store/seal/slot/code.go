package slot

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
)

// ErrCode says that a code was mistyped: nothing was tried with it.
var ErrCode = errors.New("the code is mistyped: it is 14 groups of 4 letters and digits")

const checkSize = 3 // bytes of digest behind the secret; with it, codes need no padding

// Code is a secret of 32 bytes as text that can be printed, read out and typed:
// base32 (RFC 4648) in 14 groups, with a check in the end.
func Code(secret []byte) string {
	check := sha256.Sum256(secret)
	text := base32.StdEncoding.EncodeToString(append(bytes.Clone(secret), check[:checkSize]...))
	var groups []string
	for len(text) > 0 {
		n := min(4, len(text))
		groups, text = append(groups, text[:n]), text[n:]
	}
	return strings.Join(groups, "-")
}

// ParseCode reverses Code, whatever the case, spaces and lines, and takes the
// digits for letters that people take for each other. Else it says ErrCode.
func ParseCode(text string) ([]byte, error) {
	text = strings.ToUpper(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("- \t\r\n", r) }), ""))
	text = strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(text)
	raw, err := base32.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != keySize+checkSize {
		return nil, ErrCode
	}
	secret := raw[:keySize]
	if check := sha256.Sum256(secret); !bytes.Equal(check[:checkSize], raw[keySize:]) {
		return nil, ErrCode
	}
	return secret, nil
}
