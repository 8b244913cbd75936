package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

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
	Linked    int           `json:"linked,omitempty"` // because of a mask
	SentBytes int64         `json:"sent_bytes"`
}

type publishFlags struct {
	to, compression, spoolDir string
	public                    bool
	s3                        s3Flags
	mask                      maskFlags
	out                       outputFlag
}

func (p *Program) publishCommand() *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "publish ARCHIVE [NAME[:TAG]]",
		Short: "Publish the images of an export file to a registry, a bucket or a directory",
		Long: `Publish the images of an export file to the server's registry, or with --to into a
bucket or a directory that any web server can serve. ARCHIVE is what 'docker save' or
Pulp 2 writes, or an OCI image layout: a tar, plain or compressed by gzip or zstd, a
directory, an https URL, or - for standard input.

Without a NAME each image keeps the name that the archive gives it, less its
registry host. With a NAME that has no TAG the images of a repository go to that one,
and keep their tags. Where one image fails, those before it stay published. The tag
appears last: nobody ever pulls half an image. What is there already is not sent again.

A bucket's login is that of AWS's own tools: AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials. docs/registry-static.md has how a web
server or CDN serves a bucket or a directory.`,
		Example: `  docker save acme/app:1.0 | regcred publish -
  regcred publish app.tar acme/app:1.0
  regcred publish app.tar acme/app:1.0 --to s3://acme-images/registry
  regcred publish app.tar acme/app:1.0 --to file:///srv/registry
  regcred publish app.tar acme/app:1.0 --mask-owner https://registry.example.com --mask-repository base`,
		Args: wantArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return p.publish(cmd.Context(), args[0], name, f)
		},
	}
	cmd.Flags().StringVar(&f.to, "to", "", "where to publish: http[s]://HOST[:PORT] of a regcred server, with the API token REGCRED_TOKEN; s3://BUCKET[/PREFIX]; or file://DIRECTORY (default: the server that other commands talk to)")
	cmd.Flags().BoolVar(&f.public, "public", false, "have the bucket's policy let anybody read what is published")
	cmd.Flags().StringVar(&f.compression, "compression", "fast", "of layers that the archive holds uncompressed: fast, better, best or none")
	cmd.Flags().StringVar(&f.spoolDir, "spool-dir", "", "where archives are unpacked to, and layers that a bucket gets compressed (default: the directory for temporary files)")
	f.mask.add(cmd)
	f.s3.add(cmd)
	f.out.add(cmd)
	return cmd
}

func (p *Program) publish(ctx context.Context, path, name string, f publishFlags) (err error) {
	compression, err := publish.ParseCompression(f.compression)
	if err != nil {
		return &usageError{err}
	}
	masks, err := p.masks(ctx, &f.mask, f.to)
	if err != nil {
		return err
	}
	dst, err := p.destination(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	m := newMeter(p.Stderr)
	defer m.end()
	a, err := p.openArchive(ctx, path, f.spoolDir, m)
	if err != nil {
		return err
	}
	defer a.Close()
	for _, warning := range a.Warnings() {
		fmt.Fprintln(printable{m}, warning)
	}
	targets, err := publishTargets(a.Images(), name)
	if err != nil {
		return err
	}
	results, err := publishAll(ctx, dst, targets, m, publish.Options{Compression: compression, Masks: masks})
	m.end()
	// Those that were published stay so, also where a later one fails.
	return errors.Join(f.out.write(p.Stdout, results, func(w io.Writer) { describePublished(w, results) }), err)
}

// openArchive opens an archive, and shows how far that is where it takes long.
func (p *Program) openArchive(ctx context.Context, path, spoolDir string, m *meter) (*archive.Archive, error) {
	stdin := p.Stdin
	if path == archive.Stdin {
		stdin = interruptible(ctx, stdin)
	}
	return archive.Open(ctx, path, archive.Options{SpoolDir: spoolDir, Stdin: stdin, Progress: m.opening()})
}

// publishAll publishes images one after the other, until one fails. It returns
// those that are published in any case.
func publishAll(ctx context.Context, dst destination, targets []publishTarget, m *meter, o publish.Options) ([]published, error) {
	results := []published{}
	for _, t := range targets {
		name := t.repository + ":" + t.tag
		o.Progress, o.Log = m.publishing(name), slog.New(&retryLog{w: m, image: name})
		o.Linked = func(layer, url string) { fmt.Fprintf(printable{m}, "%s: layer %s stays at %s\n", name, layer, url) }
		r, err := publish.Publish(ctx, dst.registry, t.image, t.repository, t.tag, o)
		if err != nil {
			return results, fmt.Errorf("publish %s: %w", name, err)
		}
		if len(o.Masks) > 0 && r.Linked == 0 {
			fmt.Fprintf(printable{m}, "%s: no layer was left to its owner: the mask names none of this image, or the repository has them already\n", name)
		}
		results = append(results, published{
			Image: dst.host + "/" + name, Digest: r.Root.Digest, Platforms: t.image.Platforms(), Absent: t.image.Absent,
			Sent: r.Sent, Present: r.Present, Linked: r.Linked, SentBytes: r.SentBytes,
		})
	}
	return results, nil
}

func describePublished(w io.Writer, results []published) {
	for _, r := range results {
		fmt.Fprintf(w, "published %s@%s\n%s sent (%s), %d already there\n",
			r.Image, r.Digest, count(r.Sent, "content"), size(r.SentBytes), r.Present)
		if r.Linked > 0 {
			fmt.Fprintf(w, "%s left to the owner\n", count(r.Linked, "layer"))
		}
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

// publishTargets says where each image of an archive goes: under its own names, or under
// the name given. One without a tag is a repository, where images of a lone repository
// keep their tags.
func publishTargets(images []archive.Image, name string) ([]publishTarget, error) {
	own, err := ownTargets(images)
	if name == "" {
		return own, err
	}
	repository, tag, nameErr := splitName(name)
	repositories := repositoriesOf(own)
	switch {
	case nameErr != nil:
		return nil, nameErr
	case tag == "" && len(repositories) == 1:
		for i := range own {
			own[i].repository = repository
		}
		return own, nil
	case len(images) == 1:
		return []publishTarget{{images[0], repository, cmp.Or(tag, defaultTag)}}, nil
	case tag != "":
		return nil, regcred.Errorf(regcred.Invalid, "the archive holds %d images, which cannot all be %s: leave out its tag, as they have their own, or the name", len(images), name)
	case err != nil:
		return nil, err
	}
	return nil, regcred.Errorf(regcred.Invalid, "the archive holds images of several repositories (%s), which cannot all go to %s: leave the name out to publish them under their own", strings.Join(repositories, ", "), name)
}

// repositoriesOf returns where targets are, each repository once.
func repositoriesOf(targets []publishTarget) []string {
	var repositories []string
	for _, t := range targets {
		if !slices.Contains(repositories, t.repository) {
			repositories = append(repositories, t.repository)
		}
	}
	return repositories
}

// ownTargets has images go where their own names say.
func ownTargets(images []archive.Image) ([]publishTarget, error) {
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
			targets = append(targets, publishTarget{img, repository, cmp.Or(tag, defaultTag)})
		}
	}
	if len(targets) == 0 {
		return nil, regcred.Errorf(regcred.Invalid, "the archive gives its image no name: say which, as in 'regcred publish ARCHIVE acme/app:1.0'")
	}
	return targets, nil
}

// defaultTag is that of a name without one.
const defaultTag = "latest"

// splitName reads NAME[:TAG], without its registry host where it has one; the tag is ""
// where there is none. Images of Docker Hub named by one word lose the "library/" that the grammar adds.
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
	return repository, tag, nil
}
