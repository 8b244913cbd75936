// Command docker-credential-regcred answers who pulls images: docker and its like as a
// credential helper (package helper), and the kubelet as a credential provider plugin
// where its first argument is "kubelet" (package kubelet).
package main

import (
	"os"

	"regcred.dev/cmd/docker-credential-regcred/helper"
	"regcred.dev/cmd/docker-credential-regcred/kubelet"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) > 0 && args[0] == "kubelet" {
		return kubelet.System().Main(args[1:])
	}
	return helper.System().Main(args)
}
