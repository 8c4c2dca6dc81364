package record

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Bytes are what Encode writes and the version's name with its digest, in one.
func (v *Version) Bytes() (Ref, []byte, error) {
	b, err := v.Encode()
	if err != nil || v.Name.IsZero() {
		return Ref{}, b, err
	}
	head := b[:len(b)-len(v.Content)-1]
	return Ref{v.Name, v.digest(head)}, b, nil
}

// Encode writes a version as one line of JSON and, behind it, the content just
// as it is, so that not a byte of it changes.
func (v *Version) Encode() ([]byte, error) {
	head, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", v.Key, err)
	}
	out := make([]byte, 0, len(head)+1+len(v.Content))
	out = append(append(out, head...), '\n')
	return append(out, v.Content...), nil
}

// DecodeVersion reads what Encode wrote.
func DecodeVersion(b []byte) (*Version, error) {
	head, content, ok := bytes.Cut(b, []byte{'\n'})
	v := &Version{}
	if err := json.Unmarshal(head, v); err != nil || !ok {
		return nil, fmt.Errorf("decode version: not a version")
	}
	if len(content) > 0 {
		v.Content = content
	}
	return v, nil
}
