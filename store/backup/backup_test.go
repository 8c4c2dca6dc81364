package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"tram/store/seal"
)

func keys(t *testing.T, first byte) *seal.Keys {
	t.Helper()
	k, err := seal.New(append(make([]byte, 31), first))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func written(t *testing.T, k *seal.Keys, pieces int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, k, Head{Name: "a", Slots: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pieces {
		if err := w.Piece(Entry, fmt.Append(nil, "key ", i), fmt.Append(nil, "Đặng Thị Hoà ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read is all pieces of a backup, and how reading ended.
func read(b []byte, k *seal.Keys) (out []string, err error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	r.Unlock(k)
	for {
		kind, key, value, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, string(kind)+string(key)+"="+string(value))
	}
}

func TestBackupGivesBackWhatItTook(t *testing.T) {
	k := keys(t, 1)
	b := written(t, k, 3)
	got, err := read(b, k)
	want := []string{"ekey 0=Đặng Thị Hoà 0", "ekey 1=Đặng Thị Hoà 1", "ekey 2=Đặng Thị Hoà 2"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if bytes.Contains(b, []byte("Hoà")) {
		t.Error("a value can be read in the file")
	}
}

func TestBackupThatIsNotWholeIsRefused(t *testing.T) {
	k := keys(t, 1)
	b := written(t, k, 3)
	other := written(t, k, 3)
	for cut := range b {
		if got, err := read(b[:cut], k); err == nil {
			t.Errorf("cut at %d of %d: read %q", cut, len(b), got)
		}
	}
	head := len(b) - len(written(t, k, 0))
	for at := 0; at < len(b); at++ {
		altered := bytes.Clone(b)
		altered[at] ^= 1
		got, err := read(altered, k)
		if err == nil && len(got) != 3 {
			t.Errorf("byte %d altered: read %q", at, got)
		}
		if err == nil && at > len(b)-head {
			t.Errorf("byte %d altered, and nobody noticed", at)
		}
	}
	mixed := append(bytes.Clone(b[:len(b)-60]), other[len(other)-60:]...)
	if got, err := read(mixed, k); err == nil {
		t.Errorf("put together from two: read %q", got)
	}
	if _, err := read(b, keys(t, 2)); !errors.Is(err, seal.ErrAltered) {
		t.Errorf("another key: %v, want ErrAltered", err)
	}
	for name, text := range map[string]string{"empty": "", "another file": "PK\x03\x04 something else entirely", "no head": magic + "\x02\x00\x00\x00{}"} {
		if _, err := read([]byte(text), k); !errors.Is(err, ErrNotBackup) {
			t.Errorf("%s: %v, want ErrNotBackup", name, err)
		}
	}
}
