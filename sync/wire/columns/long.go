package columns

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// long are the texts of a block that are not looked into, a line feed behind each.
type long struct {
	told   bytes.Buffer  // to pack
	packed *bytes.Reader // to unpack; nil for none
	texts  *bufio.Reader // what is in there
}

func (l *long) add(text []byte) {
	l.told.Write(text)
	l.told.WriteByte('\n')
}

// deflate adds those of a block to it.
func (l *long) deflate(dst []byte) []byte {
	if l.told.Len() == 0 {
		return dst
	}
	out := bytes.NewBuffer(dst)
	z, _ := flate.NewWriter(out, flate.DefaultCompression) // which is a level that there is
	_, _ = l.told.WriteTo(z)                               // a buffer takes all
	_ = z.Close()
	l.told = bytes.Buffer{}
	return out.Bytes()
}

// inflate begins to give those of a block, max bytes at most of all.
func (l *long) inflate(b []byte, max int) {
	if l.packed, l.texts = nil, nil; len(b) > 0 {
		l.packed = bytes.NewReader(b)
		l.texts = bufio.NewReader(io.LimitReader(flate.NewReader(l.packed), int64(max)+1))
	}
}

// next is the next one. It fails with ErrForm.
func (l *long) next() (text []byte, err error) {
	if l.packed == nil {
		return nil, fmt.Errorf("%w: a long text", ErrForm)
	}
	part, err := l.texts.ReadSlice('\n')
	for ; errors.Is(err, bufio.ErrBufferFull); part, err = l.texts.ReadSlice('\n') {
		text = append(text, part...)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: its long texts", ErrForm)
	}
	return append(text, part[:len(part)-1]...), nil
}

// done tells that all were given, and lets go of the block.
func (l *long) done() bool {
	if l.packed == nil {
		return true
	}
	_, err := l.texts.ReadByte()
	all := errors.Is(err, io.EOF) && l.packed.Len() == 0
	l.packed, l.texts = nil, nil
	return all
}
