// Program tram-setup sets up a station's PC from one stick: it looks at the PC,
// shows a plan, and carries it out.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"tram/installer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := installer.Command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
