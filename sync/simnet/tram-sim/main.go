// Command tram-sim plays worlds of replicas in which everything goes wrong, and holds
// what comes of them against what people were told.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"tram/sync/simnet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := simnet.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
