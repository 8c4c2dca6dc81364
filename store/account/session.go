package account

import (
	"sync"
	"time"
)

const (
	// DefaultIdle is after how long a session locks when nobody does anything.
	DefaultIdle = 3 * time.Minute
	// sessionLife is after how long a session ends, used or not: a working day.
	sessionLife = 12 * time.Hour
	maxSessions = 256
	maxNote     = 1 << 10
)

// Session is what a browser's cookie stands for.
type Session struct {
	User string
	// Locked says that the PIN is asked for before anything is shown.
	Locked bool
	// Note is what the session keeps for itself, such as the last search: it
	// stays out of addresses and off the disk.
	Note string
}

type open struct {
	Session
	began, used time.Time
}

// Sessions are the open sessions. They are in memory: a restart ends them all. It
// is safe for concurrent use.
type Sessions struct {
	idle time.Duration
	now  func() time.Time

	mu  sync.Mutex
	all map[string]*open // by the cookie's digest
}

// NewSessions makes a set that locks sessions after idle; 0 is DefaultIdle.
func NewSessions(idle time.Duration, now func() time.Time) *Sessions {
	if idle <= 0 {
		idle = DefaultIdle
	}
	return &Sessions{idle: idle, now: now, all: map[string]*open{}}
}

// Idle is after how long a session locks.
func (s *Sessions) Idle() time.Duration { return s.idle }

// Start opens a session and returns its cookie, 256 random bits.
func (s *Sessions) Start(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for k, o := range s.all {
		if now.Sub(o.began) > sessionLife {
			delete(s.all, k)
		}
	}
	for len(s.all) >= maxSessions {
		oldest := ""
		for k, o := range s.all {
			if oldest == "" || o.used.Before(s.all[oldest].used) {
				oldest = k
			}
		}
		delete(s.all, oldest)
	}
	cookie := draw()
	s.all[digest(cookie)] = &open{Session{User: user}, now, now}
	return cookie
}

// Find finds a cookie's session and notes that it was used. One that was idle
// for too long comes back locked, and stays so until End.
func (s *Sessions) Find(cookie string) (Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, now := s.all[digest(cookie)], s.now()
	if o == nil {
		return Session{}, false
	}
	if now.Sub(o.began) > sessionLife {
		delete(s.all, digest(cookie))
		return Session{}, false
	}
	// The wall clock also counts while the PC sleeps; the monotonic one cannot be set.
	wall := now.Round(0).Sub(o.used.Round(0))
	if now.Sub(o.used) >= s.idle || wall >= s.idle || wall <= -s.idle {
		o.Locked = true
	}
	if !o.Locked {
		o.used = now
	}
	return o.Session, true
}

// Lock locks a session at once.
func (s *Sessions) Lock(cookie string) {
	s.with(cookie, func(o *open) { o.Locked = true })
}

// LockUser locks every session of somebody, who has to show the PIN of now.
func (s *Sessions) LockUser(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.all {
		o.Locked = o.Locked || o.User == user
	}
}

// Keep sets the session's note.
func (s *Sessions) Keep(cookie, note string) {
	if len(note) <= maxNote {
		s.with(cookie, func(o *open) { o.Note = note })
	}
}

func (s *Sessions) with(cookie string, f func(*open)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.all[digest(cookie)]; o != nil {
		f(o)
	}
}

// End ends a session.
func (s *Sessions) End(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, digest(cookie))
}
