package carry

import "syscall"

// giveUp lets a connection end on which nothing was acknowledged for so long, in
// milliseconds (Winsock's TCP_MAXRT, in seconds).
func giveUp(fd uintptr, ms int) error {
	const maxRT = 5
	return syscall.SetsockoptInt(syscall.Handle(fd), syscall.IPPROTO_TCP, maxRT, ms/1000)
}
