package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// Messages of systemd's notification protocol, sd_notify(3).
const (
	msgReady    = "READY=1"
	msgStopping = "STOPPING=1"
	msgAlive    = "WATCHDOG=1"
	// msgLonger asks for a minute more than the unit's limit for starting: a large
	// database is read whole before it opens.
	msgLonger = "EXTEND_TIMEOUT_USEC=60000000"
)

// startPause is the time between two such requests.
const startPause = 20 * time.Second

// notifier tells systemd about this process. The nil notifier tells nobody.
type notifier struct {
	conn  *net.UnixConn
	pause time.Duration // between two signs of life; 0 means none are wanted
}

// newNotifier reads what systemd put into the environment: NOTIFY_SOCKET, a
// path or an abstract name after "@", WATCHDOG_USEC and WATCHDOG_PID
// (sd_watchdog_enabled(3)). It is nil where systemd wants no word.
func newNotifier(env func(string) string) (*notifier, error) {
	socket := env("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("reach service manager: %w", err)
	}
	n := &notifier{conn: conn}
	pid := env("WATCHDOG_PID")
	if limit, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64); err == nil && limit > 1 &&
		(pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.pause = time.Duration(limit) * time.Microsecond / 2
	}
	return n, nil
}

// tell sends one message. A lost one is not worth ending for: what it says is
// repeated, or seen from the process itself.
func (n *notifier) tell(message string) {
	if n == nil {
		return
	}
	n.conn.SetWriteDeadline(time.Now().Add(time.Second))
	n.conn.Write([]byte(message))
}

// live sends signs of life until ctx ends.
func (n *notifier) live(ctx context.Context) {
	if n != nil && n.pause > 0 {
		n.repeat(ctx, msgAlive, n.pause)
	}
}

// starting asks for more time until ctx ends.
func (n *notifier) starting(ctx context.Context) {
	if n != nil {
		n.repeat(ctx, msgLonger, startPause)
	}
}

func (n *notifier) repeat(ctx context.Context, message string, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		n.tell(message)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *notifier) close() {
	if n != nil {
		n.conn.Close()
	}
}
