// Command regcred keeps every workload's access to its container images working:
// see README.md.
package main

import (
	"os"
	"runtime/debug"

	"regcred.dev/cmd/regcred/cli"
)

// gcPercent is how much garbage there may be, in percent of what is in use, before it
// is collected. A server's heap is small and changes little: half of Go's own default
// saves a tenth of its peak memory for a few milliseconds of processor time a minute.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(cli.System().Main(os.Args[1:]))
}
