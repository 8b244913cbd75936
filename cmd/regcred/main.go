// Command regcred keeps every workload's access to its container images working:
// see README.md.
package main

import (
	"os"

	"regcred.dev/cmd/regcred/cli"
	"regcred.dev/internal/gcpace"
)

func main() {
	gcpace.Start()
	os.Exit(cli.System().Main(os.Args[1:]))
}
