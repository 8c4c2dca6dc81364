package agent

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The code is for whoever starts the station at a terminal, and never for the log of a service.
func TestRunTellsTheSetupCodeAtATerminalAlone(t *testing.T) {
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	n, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	h := Here{Address: "127.0.0.1:8642", Setup: "ABCD2345"}
	(&tool{out: far}).greet(h)
	in := bufio.NewReader(near)
	for _, want := range []string{h.Address, h.Setup} {
		if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, want) {
			t.Errorf("the terminal shows %q, %v; want %s", line, err, want)
		}
	}
	var log strings.Builder
	if (&tool{out: &log}).greet(h); !strings.Contains(log.String(), h.Address) || strings.Contains(log.String(), h.Setup) {
		t.Errorf("a log gets %q", log.String())
	}
}
