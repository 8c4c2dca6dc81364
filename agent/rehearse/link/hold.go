package link

import "sync"

// Hold is a stop to come: the connections that were made since pass so many bytes
// together and then nothing more, while they stay open. It is safe for concurrent use.
type Hold struct {
	// Reached is closed when bytes came that are not passed any more.
	Reached chan struct{}

	mu       sync.Mutex // guards what follows
	up, down bound
}

// bound is one direction of a hold.
type bound struct {
	left             int64 // bytes that may still pass; below zero without bound
	passed, withheld int64
}

// HoldAfter ends every connection and the weather, and lets new ones pass so many
// bytes up and down, and nothing more then. A bound below zero is none.
func (k *Link) HoldAfter(up, down int64) *Hold {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begin(false, &Hold{Reached: make(chan struct{}), up: bound{left: up}, down: bound{left: down}})
	return k.hold
}

// Up tells the bytes that were passed from the station since the hold was set, and
// those that came and were not passed.
func (h *Hold) Up() (passed, withheld int64) { return h.tell(&h.up) }

// Down is the same for the way to the station.
func (h *Hold) Down() (passed, withheld int64) { return h.tell(&h.down) }

func (h *Hold) tell(b *bound) (passed, withheld int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return b.passed, b.withheld
}

// pass says how many of n bytes may go on; all of them where there is no hold.
func (h *Hold) pass(n int, up bool) int {
	if h == nil {
		return n
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := &h.down
	if up {
		b = &h.up
	}
	pass := int64(n)
	if b.left >= 0 {
		pass = min(pass, b.left)
		b.left -= pass
	}
	if pass < int64(n) && h.up.withheld+h.down.withheld == 0 {
		close(h.Reached)
	}
	b.passed, b.withheld = b.passed+pass, b.withheld+int64(n)-pass
	return int(pass)
}
