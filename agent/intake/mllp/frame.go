package mllp

import (
	"bufio"
	"errors"
)

// Errors of frames.
var (
	ErrFrame    = errors.New("not in a frame of MLLP: send 0x0B, the message, 0x1C and 0x0D")
	ErrTooLarge = errors.New("the frame is too large")
)

const (
	begin = 0x0b
	end   = 0x1c
	after = 0x0d
)

// kept is how much of a broken frame is handed on: enough to answer its sender.
const kept = 4 << 10

// Read reads one frame and returns what it holds. Line ends between frames, which some
// senders write, are a nil message. With ErrFrame and ErrTooLarge it returns the
// beginning of what came; every other error is the reader's.
func Read(r *bufio.Reader, max int) ([]byte, error) {
	c, err := r.ReadByte()
	switch {
	case err != nil:
		return nil, err
	case c == '\r' || c == '\n':
		return nil, nil
	case c != begin:
		return []byte{c}, ErrFrame
	}
	message := []byte{}
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return nil, err
		case c == begin: // the one before was cut off
			return message[:min(len(message), kept)], ErrFrame
		case c == end:
			if c, err = r.ReadByte(); err != nil {
				return nil, err
			}
			if c != after {
				return message[:min(len(message), kept)], ErrFrame
			}
			return message, nil
		case len(message) == max:
			return message[:min(max, kept)], ErrTooLarge
		}
		message = append(message, c)
	}
}

// Frame puts a message into a frame.
func Frame(message []byte) []byte {
	out := make([]byte, 0, len(message)+3)
	return append(append(append(out, begin), message...), end, after)
}
