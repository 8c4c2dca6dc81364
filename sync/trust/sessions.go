package trust

import (
	"crypto/rand"
	"crypto/tls"
	"sync"
)

// maxSessions bounds the connections that a listener remembers, of some 2 kB each.
const maxSessions = 1 << 14

// sessionID is what the other side keeps of one, in bytes; a ticket that bears the state
// itself, with the certificates in it, is fifty times as long (RFC 5077, section 3.1).
const sessionID = 16

// sessions are connections that may be taken up again without certificates being shown
// anew (RFC 8446, section 2.2). It is safe for concurrent use.
type sessions struct {
	mu    sync.Mutex
	of    map[[sessionID]byte][]byte
	order [][sessionID]byte // the oldest first
}

// resumable lets a listener's connections be taken up again, where its own refusals are
// asked anew each time (tls.Config.VerifyConnection).
func resumable(c *tls.Config) {
	s := &sessions{of: map[[sessionID]byte][]byte{}}
	c.WrapSession = func(_ tls.ConnectionState, state *tls.SessionState) ([]byte, error) { return s.keep(state) }
	c.UnwrapSession = func(id []byte, _ tls.ConnectionState) (*tls.SessionState, error) { return s.find(id) }
}

func (s *sessions) keep(state *tls.SessionState) ([]byte, error) {
	b, err := state.Bytes()
	if err != nil {
		return nil, err
	}
	var id [sessionID]byte
	rand.Read(id[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == maxSessions {
		delete(s.of, s.order[0])
		s.order = s.order[1:]
	}
	s.of[id], s.order = b, append(s.order, id)
	return id[:], nil
}

// find gives nothing for what is not known: the other side shows its certificate then.
func (s *sessions) find(id []byte) (*tls.SessionState, error) {
	if len(id) != sessionID {
		return nil, nil
	}
	s.mu.Lock()
	b, ok := s.of[[sessionID]byte(id)]
	s.mu.Unlock()
	if !ok {
		return nil, nil
	}
	return tls.ParseSessionState(b)
}
