// Package disk plays a recorded disk again and tells what a power cut may leave
// of it.
//
// It owns the recorded operation, the disk that they build up, and the images
// that a cut leaves. It promises that whatever was synced is in every image: a
// file's bytes and size by a sync of the file, names by a sync of their folder;
// that everything else may be kept, dropped, torn at 512 bytes or reordered at
// 4096; and that the same seed gives the same image. After a failed sync what
// it was to keep stays in doubt until it is written again, as Linux has it. It
// does not know what the files mean.
package disk

// Kind is what an operation does.
type Kind uint8

// The kinds. What failed is not among them, but for a sync: it has an effect.
const (
	Create     Kind = iota // Dir, Name, Node
	Mkdir                  // Dir, Name, Node
	Write                  // Node, Off, Data
	Truncate               // Node, Off: the new size
	Sync                   // Node: a file
	SyncFailed             // Node: a file
	SyncDir                // Node: a folder
	Rename                 // Dir, Name to Dir2, Name2
	Link                   // Dir, Name: a second name of Node
	Remove                 // Dir, Name
	Mark                   // Data: what the recorded process said of itself
)

// Op is one recorded operation. Node 0 is the folder that was recorded, and is
// always there.
type Op struct {
	Kind        Kind
	Node        int
	Dir, Dir2   int
	Name, Name2 string
	Off         int64
	Data        []byte
}

// Disk is a disk as the operations so far made it. It is not safe for concurrent
// use.
type Disk struct {
	clock int // operations so far
	files map[int]*file
	dirs  map[int]map[string]int // names that are durable
	names []naming               // those that are not, in order
}

// naming is a change of names that no folder's sync has made durable: the entry
// from goes and the entry to leads to a node, both or neither.
type naming struct {
	at       int // the operation's number
	from, to entry
	node     int
}

type entry struct {
	dir  int
	name string
}

// New is an empty disk.
func New() *Disk {
	return &Disk{files: map[int]*file{}, dirs: map[int]map[string]int{0: {}}}
}

// Do plays one operation.
func (d *Disk) Do(op Op) {
	d.clock++
	switch op.Kind {
	case Create:
		d.files[op.Node] = newFile()
		d.names = append(d.names, naming{at: d.clock, to: entry{op.Dir, op.Name}, node: op.Node})
	case Link:
		d.names = append(d.names, naming{at: d.clock, to: entry{op.Dir, op.Name}, node: op.Node})
	case Mkdir:
		d.dirs[op.Node] = map[string]int{}
		d.names = append(d.names, naming{at: d.clock, to: entry{op.Dir, op.Name}, node: op.Node})
	case Rename:
		from := entry{op.Dir, op.Name}
		d.names = append(d.names, naming{at: d.clock, from: from, to: entry{op.Dir2, op.Name2}, node: d.leads(from)})
	case Remove:
		d.names = append(d.names, naming{at: d.clock, from: entry{op.Dir, op.Name}})
	case Write:
		d.files[op.Node].write(d.clock, op.Off, op.Data)
	case Truncate:
		d.files[op.Node].truncate(d.clock, op.Off)
	case Sync:
		d.files[op.Node].sync()
	case SyncFailed:
		d.files[op.Node].syncFailed()
	case SyncDir:
		d.syncDir(op.Node)
	}
}

// leads finds the node behind a name as the recorded process sees it.
func (d *Disk) leads(e entry) int {
	node, ok := d.dirs[e.dir][e.name]
	for _, n := range d.names {
		if n.from == e {
			node, ok = 0, false
		}
		if n.to == e {
			node, ok = n.node, true
		}
	}
	if !ok {
		return 0
	}
	return node
}

// syncDir makes durable what was done to a folder's names. A renaming between
// two folders is durable with either.
func (d *Disk) syncDir(dir int) {
	var left []naming
	for _, n := range d.names {
		if n.from.name != "" && n.from.dir == dir || n.to.name != "" && n.to.dir == dir {
			n.apply(d.dirs)
		} else {
			left = append(left, n)
		}
	}
	d.names = left
}

func (n naming) apply(dirs map[int]map[string]int) {
	if n.from.name != "" {
		delete(dirs[n.from.dir], n.from.name)
	}
	if n.to.name != "" {
		dirs[n.to.dir][n.to.name] = n.node
	}
}
