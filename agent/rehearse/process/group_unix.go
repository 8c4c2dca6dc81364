//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// apart keeps a program out of the terminal's foreground group: there a Ctrl-C
// would reach it beside the signal that Stop sends, and a second signal is no
// clean end.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
