// Command tram is the service on a health station's PC.
package main

import (
	"context"
	"os"

	"tram/agent"
)

func main() {
	os.Exit(agent.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
