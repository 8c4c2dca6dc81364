package carry

import "syscall"

// giveUp lets a connection end on which nothing was acknowledged for so long, in
// milliseconds (RFC 5482; tcp(7), TCP_USER_TIMEOUT).
func giveUp(fd uintptr, ms int) error {
	const userTimeout = 18
	return syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, ms)
}
