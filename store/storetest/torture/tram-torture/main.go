//go:build linux && (amd64 || arm64)

// Command tram-torture cuts the store short in every way, and judges what is left.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"tram/store/storetest/torture"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := torture.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
