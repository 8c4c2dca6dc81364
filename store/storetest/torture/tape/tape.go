//go:build linux && (amd64 || arm64)

// Package tape is a file system in memory that records, in order, what a process
// asks of its disk.
//
// It owns the mounted file system and a tape for each folder in it. It promises
// that a tape holds every write, size, name and sync in the order in which they
// were answered, and between them the marks that the process wrote; and that a
// tape that was told so fails its n-th operation, once. It does not know what is
// written. What it does not record it refuses, so that nothing passes unseen.
package tape

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"tram/store/storetest/torture/disk"
)

// Mount is a mounted file system.
type Mount struct {
	dir    string
	root   *fs.Inode
	server *fuse.Server
}

// maxWrite is how much the kernel hands over at once, in bytes.
const maxWrite = 1 << 20

// New mounts on a folder, which it makes. It needs root and /dev/fuse.
func New(dir string) (*Mount, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mount tape: %w", err)
	}
	root := &top{}
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, MaxWrite: maxWrite, FsName: "tape", Name: "tape", DisableXAttrs: true}})
	if err != nil {
		return nil, fmt.Errorf("mount tape: %w", err)
	}
	return &Mount{dir, root.EmbeddedInode(), server}, nil
}

// Close unmounts. Nobody may have a file in it open.
func (m *Mount) Close() error { return m.server.Unmount() }

// Folder makes a folder with a tape of its own, and returns its path and the path
// of the file into which marks are written.
func (m *Mount) Folder(name string) (t *Tape, dir, marks string) {
	t = &Tape{}
	m.root.AddChild(name, m.root.NewPersistentInode(noContext(), &folder{t: t}, fs.StableAttr{Mode: fuse.S_IFDIR}), true)
	m.root.AddChild(name+".marks", m.root.NewPersistentInode(noContext(), &marker{t: t}, fs.StableAttr{Mode: fuse.S_IFREG}), true)
	return t, filepath.Join(m.dir, name), filepath.Join(m.dir, name+".marks")
}

// Drop forgets a folder.
func (m *Mount) Drop(name string) {
	m.root.RmChild(name, name+".marks")
	for _, n := range []string{name, name + ".marks"} {
		m.root.NotifyEntry(n) // of an entry that the kernel never saw there is nothing to forget
	}
}

// Tape is the record of one folder. It is safe for concurrent use.
type Tape struct {
	mu    sync.Mutex
	ops   []disk.Op
	nodes int
	// The fault to come: after how many operations, and which.
	after  int
	fault  syscall.Errno
	failed string // what failed
}

// Ops is what was recorded so far.
func (t *Tape) Ops() []disk.Op {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ops[:len(t.ops):len(t.ops)]
}

// Fail lets the n-th operation from now on fail, once. With 0 for an error a write
// or sync is answered as if it were done, and is not: no disk may do so.
func (t *Tape) Fail(n int, with syscall.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after, t.fault, t.failed = n, with, ""
}

// Failed tells which operation failed; "" where the process did not get there.
func (t *Tape) Failed() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// do records an operation and does in memory what it does, or lets it fail. What is
// made gets its number.
func (t *Tape) do(op disk.Op, act func(node int)) syscall.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	if op.Kind != disk.Mark {
		if t.after--; t.after == 0 {
			t.failed = word(op.Kind)
			if t.fault != 0 || op.Kind == disk.Write || op.Kind == disk.Sync {
				return t.fail(op)
			}
		}
	}
	if op.Kind == disk.Create || op.Kind == disk.Mkdir {
		t.nodes++
		op.Node = t.nodes
	}
	t.ops = append(t.ops, op)
	act(op.Node)
	return 0
}

// fail lets an operation fail. What a failed sync was to keep is in doubt.
func (t *Tape) fail(op disk.Op) syscall.Errno {
	if op.Kind == disk.Sync && t.fault != 0 {
		op.Kind = disk.SyncFailed
		t.ops = append(t.ops, op)
	}
	return t.fault
}

func word(k disk.Kind) string {
	return [...]string{"create", "mkdir", "write", "truncate", "sync", "sync", "sync of a folder", "rename", "link", "remove", "mark"}[k]
}
