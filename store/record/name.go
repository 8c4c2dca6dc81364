package record

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Lineage names one opening of a database: random bits drawn at each open, so
// that a restored, rolled-back or cloned database never uses a number twice.
type Lineage string

// LineageLen is the length of a lineage's text: 80 random bits in base 32.
const LineageLen = 16

// Valid reports whether l has a lineage's form: 16 of a-z and 2-7.
func (l Lineage) Valid() bool {
	if len(l) != LineageLen {
		return false
	}
	for i := range len(l) {
		if c := l[i]; !(c >= 'a' && c <= 'z' || c >= '2' && c <= '7') {
			return false
		}
	}
	return true
}

// Name is the name of a version: a lineage and a number of its counter. The
// same counter also numbers ids, so the numbers of versions have gaps.
type Name struct {
	Lineage Lineage
	N       uint64
}

// IsZero reports whether the name names nothing.
func (n Name) IsZero() bool { return n == Name{} }

// String is "<lineage>-<n>", which is also FHIR's versionId and the form of an id.
func (n Name) String() string {
	if n.IsZero() {
		return ""
	}
	return string(n.Lineage) + "-" + strconv.FormatUint(n.N, 10)
}

// Compare orders names by lineage, then number. The order means nothing in
// time; it makes encodings equal everywhere.
func (n Name) Compare(o Name) int {
	if c := strings.Compare(string(n.Lineage), string(o.Lineage)); c != 0 {
		return c
	}
	switch {
	case n.N < o.N:
		return -1
	case n.N > o.N:
		return 1
	}
	return 0
}

// ParseName reads "<lineage>-<n>".
func ParseName(s string) (Name, error) {
	l, num, ok := strings.Cut(s, "-")
	n, err := strconv.ParseUint(num, 10, 64)
	if !ok || err != nil || !Lineage(l).Valid() || n == 0 || num[0] == '0' {
		return Name{}, fmt.Errorf("not a version's name")
	}
	return Name{Lineage(l), n}, nil
}

// MarshalText encodes the name as its String.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (n *Name) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*n = Name{}
		return nil
	}
	v, err := ParseName(string(b))
	if err != nil {
		return err
	}
	*n = v
	return nil
}

// LogValue shows the name.
func (n Name) LogValue() slog.Value { return slog.StringValue(n.String()) }

// Digest is the first 16 bytes of a SHA-256.
type Digest [16]byte

// Sum digests the parts, each preceded by its length so that no two lists of
// parts look alike.
func Sum(parts ...[]byte) Digest {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		for i := range n {
			n[i] = byte(len(p) >> (8 * i))
		}
		h.Write(n[:])
		h.Write(p)
	}
	return Digest(h.Sum(nil)[:16])
}

// IsZero reports whether the digest is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// String is the digest in unpadded base64url, 22 characters.
func (d Digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// MarshalText encodes the digest as its String; the zero digest is empty.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(b []byte) error {
	*d = Digest{}
	if len(b) == 0 {
		return nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(b))
	if err != nil || len(raw) != len(d) {
		return fmt.Errorf("not a digest")
	}
	copy(d[:], raw)
	return nil
}

// Ref names one version and its content: one name with two digests is a fork,
// never the same version.
type Ref struct {
	Name   Name
	Digest Digest
}

// IsZero reports whether the reference names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// String is "<name>:<digest>"; the zero Ref is empty.
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return r.Name.String() + ":" + r.Digest.String()
}

// MarshalText encodes the reference as its String.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *Ref) UnmarshalText(b []byte) error {
	*r = Ref{}
	if len(b) == 0 {
		return nil
	}
	name, digest, ok := strings.Cut(string(b), ":")
	if !ok || name == "" || digest == "" {
		return fmt.Errorf("not a reference to a version")
	}
	if err := r.Name.UnmarshalText([]byte(name)); err != nil {
		return err
	}
	return r.Digest.UnmarshalText([]byte(digest))
}
