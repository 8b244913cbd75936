// Command docker-credential-regcred is a docker credential helper: see package
// helper.
package main

import (
	"os"

	"regcred.dev/cmd/docker-credential-regcred/helper"
)

func main() { os.Exit(helper.System().Main(os.Args[1:])) }
