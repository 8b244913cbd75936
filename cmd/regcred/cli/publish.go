package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/publish"
)

// published is the result of `regcred publish` for programs.
type published struct {
	Image     string        `json:"image"`
	Digest    digest.Digest `json:"digest"`
	Platforms []string      `json:"platforms"`
	Absent    []string      `json:"absent,omitempty"` // listed in the archive, but not in it
	Sent      int           `json:"sent"`
	Present   int           `json:"present"`
	SentBytes int64         `json:"sent_bytes"`
}

type publishFlags struct {
	to, compression, spoolDir string
	out                       outputFlag
}

func (p *Program) publishCommand() *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "publish ARCHIVE [NAME[:TAG]]",
		Short: "Publish the images of an export file to the server's registry",
		Long: `Publish the images of an export file to the server's registry. ARCHIVE is what
'docker save' writes, or an OCI image layout: a tar, plain or compressed by gzip or
zstd, a directory, or - for standard input.

Without a NAME each image keeps the name that the archive gives it, less its
registry host. Several images in one archive can only be published under their own
names; where one fails, those before it stay published. The tag appears last: nobody
ever pulls half an image.`,
		Example: `  docker save acme/app:1.0 | regcred publish -
  regcred publish app.tar acme/app:1.0`,
		Args: wantArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return p.publish(cmd.Context(), args[0], name, f)
		},
	}
	cmd.Flags().StringVar(&f.to, "to", "", "regcred server to publish to, http[s]://HOST[:PORT], with the API token REGCRED_TOKEN (default: the server that other commands talk to)")
	cmd.Flags().StringVar(&f.compression, "compression", "fast", "of layers that the archive holds uncompressed: fast, better, best or none")
	cmd.Flags().StringVar(&f.spoolDir, "spool-dir", "", "where compressed archives are unpacked to (default: the directory for temporary files)")
	f.out.add(cmd)
	return cmd
}

func (p *Program) publish(ctx context.Context, path, name string, f publishFlags) error {
	compression, err := publish.ParseCompression(f.compression)
	if err != nil {
		return &usageError{err}
	}
	dst, err := p.destination(ctx, f.to)
	if err != nil {
		return err
	}
	stdin := p.Stdin
	if path == archive.Stdin {
		stdin = interruptible(ctx, stdin)
	}
	a, err := archive.Open(ctx, path, archive.Options{SpoolDir: f.spoolDir, Stdin: stdin})
	if err != nil {
		return err
	}
	defer a.Close()
	targets, err := publishTargets(a.Images(), name)
	if err != nil {
		return err
	}
	results, err := p.publishAll(ctx, dst, targets, compression)
	// Those that were published stay so, also where a later one fails.
	return errors.Join(f.out.write(p.Stdout, results, func(w io.Writer) { describePublished(w, results) }), err)
}

// publishAll publishes images one after the other, until one fails. It returns
// those that are published in any case.
func (p *Program) publishAll(ctx context.Context, dst destination, targets []publishTarget, c publish.Compression) ([]published, error) {
	results := []published{}
	stderr := &lockedWriter{w: p.Stderr} // several contents are sent at once
	for _, t := range targets {
		name := t.repository + ":" + t.tag
		r, err := publish.Publish(ctx, dst.registry, t.image, t.repository, t.tag, publish.Options{
			Compression: c, Progress: progress(stderr, t), Log: slog.New(&retryLog{w: stderr, image: name}),
		})
		if err != nil {
			return results, fmt.Errorf("publish %s: %w", name, err)
		}
		results = append(results, published{
			Image: dst.host + "/" + name, Digest: r.Root.Digest, Platforms: t.image.Platforms(), Absent: t.image.Absent,
			Sent: r.Sent, Present: r.Present, SentBytes: r.SentBytes,
		})
	}
	return results, nil
}

func describePublished(w io.Writer, results []published) {
	for _, r := range results {
		fmt.Fprintf(w, "published %s@%s\n%s sent (%.1f MB), %d already there\n",
			r.Image, r.Digest, count(r.Sent, "content"), float64(r.SentBytes)/1e6, r.Present)
		if len(r.Absent) > 0 {
			fmt.Fprintf(w, "the archive lists %s too, but does not hold it\n", strings.Join(r.Absent, ", "))
		}
	}
}

// publishTarget is one image and where it goes.
type publishTarget struct {
	image           archive.Image
	repository, tag string
}

// publishTargets says where each image of an archive goes: under the name given,
// or else under each of its own.
func publishTargets(images []archive.Image, name string) ([]publishTarget, error) {
	if name != "" {
		if len(images) != 1 {
			return nil, regcred.Errorf(regcred.Invalid, "the archive holds %d images, which cannot all be %s: leave the name out to publish them under their own", len(images), name)
		}
		repository, tag, err := splitName(name)
		return []publishTarget{{images[0], repository, tag}}, err
	}
	var targets []publishTarget
	for _, img := range images {
		for _, own := range img.Names {
			if !strings.ContainsAny(own, "/:") {
				continue // a bare tag of an OCI layout: it names no repository
			}
			repository, tag, err := splitName(own)
			if err != nil {
				return nil, err
			}
			targets = append(targets, publishTarget{img, repository, tag})
		}
	}
	if len(targets) == 0 {
		return nil, regcred.Errorf(regcred.Invalid, "the archive gives its image no name: say which, as in 'regcred publish ARCHIVE acme/app:1.0'")
	}
	return targets, nil
}

// splitName reads NAME[:TAG], without its registry host where it has one. Images
// of Docker Hub named by one word lose the "library/" that the grammar adds.
func splitName(name string) (repository, tag string, err error) {
	img, err := imageref.ParseImage(name)
	if err != nil {
		return "", "", &usageError{err}
	}
	if img.Digest() != "" {
		return "", "", usagef("%s: an image is published under a tag, not a digest", name)
	}
	repository, tag = img.Path(), img.Tag()
	if img.Host() == imageref.DockerHub && !strings.Contains(name, "library/") {
		repository = strings.TrimPrefix(repository, "library/")
	}
	if tag == "" {
		tag = "latest"
	}
	return repository, tag, nil
}

// progress reports to w, at most once a second and a line each time.
func progress(w io.Writer, t publishTarget) func(publish.Progress) {
	start := time.Now()
	last := start
	return func(now publish.Progress) {
		if time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		rate := float64(now.BytesDone) / 1e6 / time.Since(start).Seconds()
		fmt.Fprintf(w, "%s:%s: %d of %d contents, %.1f of %.1f MB, %.0f MB/s\n",
			t.repository, t.tag, now.Done, now.Contents, float64(now.BytesDone)/1e6, float64(now.Bytes)/1e6, rate)
	}
}
