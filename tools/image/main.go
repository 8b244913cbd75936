// Command image writes a container image of regcred, without Docker: see package
// imagebuild. `make image` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"regcred.dev/tools/image/imagebuild"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o imagebuild.Options
	var architectures string
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&o.Source, "source", ".", "directory of regcred's source")
	flags.StringVar(&o.Out, "out", "dist", "directory to write to")
	flags.StringVar(&o.Name, "name", imagebuild.DefaultName, "name of the image in what is written")
	flags.StringVar(&architectures, "arch", strings.Join(imagebuild.Architectures(), ","), "architectures to build for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Architectures = strings.Split(architectures, ",")
	var err error
	if o.Created, err = imagebuild.SourceDate(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	built, err := imagebuild.Build(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%s\n%s@%s, version %s\n", built.Layout, built.Archive, o.Name, built.Digest, built.Version)
	return nil
}
