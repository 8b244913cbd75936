// Command cf-regcred is a plugin of the cf CLI: its registry credential commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"regcred.dev/cmd/cf-regcred/plugin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := plugin.System().Main(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
