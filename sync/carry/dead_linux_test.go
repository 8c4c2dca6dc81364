package carry

import (
	"net"
	"syscall"
	"testing"
)

// What was not acknowledged for deadAfter ends the connection: the network between may
// have forgotten one that was idle for long.
func TestDeadConnectionsAreGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	conn, err := dialer().DialContext(t.Context(), "tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, 18)
		if err != nil || int64(got) != deadAfter.Milliseconds() {
			t.Errorf("given up after %d ms, %v; want %d", got, err, deadAfter.Milliseconds())
		}
	}))
}
