// Command tram-rehearse plays a station's work with the real programs, and judges
// what came of it by comparing records.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"tram/agent/rehearse"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := rehearse.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
