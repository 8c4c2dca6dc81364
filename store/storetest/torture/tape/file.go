//go:build linux && (amd64 || arm64)

package tape

import (
	"bytes"
	"context"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"tram/store/storetest/torture/disk"
)

// file is a recorded file. The kernel keeps its pages too, so that it can be
// mapped; a write passes through to here before it is answered.
type file struct {
	fs.Inode
	t    *Tape
	node int
	mu   sync.Mutex
	data []byte
}

func (*file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) { return nil, 0, 0 }

func (*file) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	out.Mode, out.Size = 0o600, uint64(len(f.data))
	out.Blocks = (out.Size + 511) / 512
	return 0
}

func (f *file) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		errno := f.t.do(disk.Op{Kind: disk.Truncate, Node: f.node, Off: int64(size)}, func(int) { f.resize(int(size)) })
		if errno != 0 {
			return errno
		}
	}
	return f.Getattr(ctx, h, out)
}

func (f *file) resize(size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size <= len(f.data) {
		f.data = f.data[:size:size]
	} else {
		f.data = append(f.data, make([]byte, size-len(f.data))...)
	}
}

func (f *file) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	f.mu.Lock()
	now := uint64(len(f.data))
	f.mu.Unlock()
	if off+size <= now {
		return 0
	}
	return f.t.do(disk.Op{Kind: disk.Truncate, Node: f.node, Off: int64(off + size)}, func(int) { f.resize(int(off + size)) })
}

func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= int64(len(f.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, f.data[off:])]), 0
}

// Write fails half done where it is to fail, as a disk may.
func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	op := disk.Op{Kind: disk.Write, Node: f.node, Off: off, Data: bytes.Clone(data)}
	errno := f.t.do(op, func(int) { f.write(data, off) })
	if half := op; errno != 0 && len(data) > 1 {
		half.Data = half.Data[:len(data)/2]
		f.t.do(half, func(int) { f.write(half.Data, off) })
		return 0, errno
	}
	return uint32(len(data)), errno
}

func (f *file) write(data []byte, off int64) {
	if end := int(off) + len(data); end > len(f.data) {
		f.resize(end)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	copy(f.data[off:], data)
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return f.t.do(disk.Op{Kind: disk.Sync, Node: f.node}, func(int) {})
}

// marker is the file into which the process writes its marks.
type marker struct {
	fs.Inode
	t *Tape
}

// Open lets every write pass: nothing of it is kept in the kernel.
func (*marker) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (*marker) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o600
	return 0
}

func (*marker) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

func (m *marker) Write(_ context.Context, _ fs.FileHandle, data []byte, _ int64) (uint32, syscall.Errno) {
	return uint32(len(data)), m.t.do(disk.Op{Kind: disk.Mark, Data: bytes.Clone(data)}, func(int) {})
}
