//go:build linux && (amd64 || arm64)

package tape

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"tram/store/storetest/torture/disk"
)

func noContext() context.Context { return context.Background() }

// top is the mounted folder; what is in it is laid there.
type top struct{ fs.Inode }

// Statfs tells of a small disk that never fills, on which little is kept back.
func (*top) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno { return roomy(out) }

func roomy(out *fuse.StatfsOut) syscall.Errno {
	*out = fuse.StatfsOut{Blocks: 1 << 10, Bfree: 1 << 10, Bavail: 1 << 10, Files: 1 << 20, Ffree: 1 << 20, Bsize: 4096, Frsize: 4096, NameLen: 255}
	return 0
}

// folder is a recorded folder; go-fuse keeps the names in it.
type folder struct {
	fs.Inode
	t    *Tape
	node int
}

func (*folder) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno { return roomy(out) }

func (*folder) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o700
	return 0
}

func (*folder) Setattr(_ context.Context, _ fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o700
	return 0
}

func (f *folder) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	child := &file{t: f.t}
	errno := f.t.do(disk.Op{Kind: disk.Create, Dir: f.node, Name: name}, func(node int) { child.node = node })
	if errno != 0 {
		return nil, nil, 0, errno
	}
	out.Mode = 0o600
	return f.NewPersistentInode(ctx, child, fs.StableAttr{Mode: fuse.S_IFREG}), nil, 0, 0
}

func (f *folder) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child := &folder{t: f.t}
	errno := f.t.do(disk.Op{Kind: disk.Mkdir, Dir: f.node, Name: name}, func(node int) { child.node = node })
	if errno != 0 {
		return nil, errno
	}
	out.Mode = 0o700
	return f.NewPersistentInode(ctx, child, fs.StableAttr{Mode: fuse.S_IFDIR}), 0
}

func (f *folder) Unlink(_ context.Context, name string) syscall.Errno {
	return f.t.do(disk.Op{Kind: disk.Remove, Dir: f.node, Name: name}, func(int) {})
}

func (f *folder) Rmdir(ctx context.Context, name string) syscall.Errno {
	if c := f.GetChild(name); c != nil && len(c.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	return f.Unlink(ctx, name)
}

func (f *folder) Rename(_ context.Context, name string, to fs.InodeEmbedder, name2 string, flags uint32) syscall.Errno {
	into, ok := to.(*folder)
	if !ok || into.t != f.t || flags != 0 {
		return syscall.EXDEV
	}
	return f.t.do(disk.Op{Kind: disk.Rename, Dir: f.node, Name: name, Dir2: into.node, Name2: name2}, func(int) {})
}

func (f *folder) Link(_ context.Context, to fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	of, ok := to.(*file)
	if !ok || of.t != f.t {
		return nil, syscall.EXDEV
	}
	out.Mode = 0o600
	return of.EmbeddedInode(), f.t.do(disk.Op{Kind: disk.Link, Dir: f.node, Name: name, Node: of.node}, func(int) {})
}

func (f *folder) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return f.t.do(disk.Op{Kind: disk.SyncDir, Node: f.node}, func(int) {})
}
