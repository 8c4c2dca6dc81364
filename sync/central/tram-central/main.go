// Command tram-central is what the stations talk to.
package main

import (
	"context"
	"os"

	"tram/sync/central"
)

func main() {
	os.Exit(central.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
