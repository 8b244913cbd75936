package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"archive/tar"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// inImage is where the program stands in the image.
const inImage = "regcred"

// PackImage writes an image that holds one program, in the format of
// `docker save`.
func PackImage(program, archive string) error {
	layerFile := archive + ".layer"
	if err := writeLayer(program, layerFile); err != nil {
		return err
	}
	defer func() { _ = os.Remove(layerFile) }()
	layer, err := tarball.LayerFromFile(layerFile)
	if err != nil {
		return err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	if img, err = mutate.Config(img, v1.Config{Entrypoint: []string{"/" + inImage}}); err != nil {
		return err
	}
	ref, err := name.NewTag("regcred:" + tag)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(archive, ref, img)
}

func writeLayer(program, path string) error {
	in, err := os.Open(program)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	tw := tar.NewWriter(out)
	if err := tw.WriteHeader(&tar.Header{Name: inImage, Mode: 0o755, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if _, err := io.Copy(tw, in); err != nil {
		return err
	}
	return errors.Join(tw.Close(), out.Close())
}

func (d *demo) reference() (name.Reference, error) {
	return name.ParseReference(d.host+"/"+repository+":"+tag, name.Insecure)
}

// image asks for the image by go-containerregistry, which reads the docker config
// file as the docker CLI does.
func (d *demo) image(ctx context.Context, keychain authn.Keychain) (v1.Image, error) {
	ref, err := d.reference()
	if err != nil {
		return nil, err
	}
	return remote.Image(ref, remote.WithAuthFromKeychain(keychain), remote.WithContext(ctx))
}

// keychain is that of the delivered file alone.
func (d *demo) keychain() (authn.Keychain, error) {
	if err := os.Setenv("DOCKER_CONFIG", filepath.Join(d.dir, filepath.Dir(configFile))); err != nil {
		return nil, err
	}
	return authn.DefaultKeychain, nil
}

// pullOnce pulls the whole image by go-containerregistry.
func (d *demo) pullOnce(ctx context.Context) error {
	keychain, err := d.keychain()
	if err != nil {
		return err
	}
	img, err := d.image(ctx, keychain)
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := drain(l.Compressed()); err != nil {
			return err
		}
	}
	d.pulls++
	return nil
}

func drain(r io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

func (d *demo) pullAnonymously(ctx context.Context) error {
	_, err := d.image(ctx, authn.NewMultiKeychain())
	return err
}

// puller is a client that may be installed.
type puller struct {
	program string
	ready   []string // a command that fails where the client cannot work here
	pull    []string
	// unreachable is what it says where it runs on another machine, such as the one
	// of Docker Desktop, to which 127.0.0.1 is not this one; "" where it cannot.
	unreachable string
	remove      []string // takes away what it keeps outside the demo's directory
}

func (d *demo) pullers() []puller {
	image := d.host + "/" + repository + ":" + tag
	authFile := filepath.Join(d.dir, configFile)
	return []puller{
		{
			program: "skopeo",
			pull:    []string{"copy", "--insecure-policy", "--src-tls-verify=false", "--src-authfile", authFile, "docker://" + image, "dir:" + filepath.Join(d.dir, "skopeo")},
		},
		{
			program: "podman", ready: []string{"info"},
			pull: []string{"--root", filepath.Join(d.dir, "podman"), "pull", "--tls-verify=false", "--authfile", authFile, image},
		},
		{
			program: "docker", ready: []string{"info"},
			pull:        []string{"--config", filepath.Dir(authFile), "pull", image},
			unreachable: "connection refused",
			remove:      []string{"rmi", image},
		},
	}
}

// pullAll pulls by every client that is installed.
func (d *demo) pullAll(ctx context.Context) error {
	if err := d.pullOnce(ctx); err != nil {
		return err
	}
	d.clients = append(d.clients, "go-containerregistry")
	for _, c := range d.pullers() {
		if err := d.pullBy(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// pullBy pulls by one client, or notes why that cannot be done here.
func (d *demo) pullBy(ctx context.Context, c puller) error {
	path, _ := exec.LookPath(c.program)
	switch {
	case path == "":
		d.note("%s is not installed here", c.program)
		return nil
	case c.ready != nil && !succeeds(ctx, path, c.ready):
		d.note("%s is installed, but cannot run here", c.program)
		return nil
	}
	_, err := run(ctx, nil, path, c.pull...)
	if err != nil && c.unreachable != "" && strings.Contains(err.Error(), c.unreachable) {
		d.note("%s is installed, but cannot run here: it does not reach this machine's 127.0.0.1", c.program)
		return nil
	}
	if err == nil && c.remove != nil {
		_, err = run(ctx, nil, path, c.remove...)
	}
	if err != nil {
		return err
	}
	d.pulls++
	d.clients = append(d.clients, c.program)
	return nil
}

func succeeds(ctx context.Context, program string, args []string) bool {
	_, err := run(ctx, nil, program, args...)
	return err == nil
}

// extract pulls the image and writes the program that it holds to path.
func (d *demo) extract(ctx context.Context, path string) error {
	keychain, err := d.keychain()
	if err != nil {
		return err
	}
	img, err := d.image(ctx, keychain)
	if err != nil {
		return err
	}
	files := mutate.Extract(img)
	defer files.Close()
	tr := tar.NewReader(files)
	for {
		h, err := tr.Next()
		if err != nil {
			return fmt.Errorf("the image does not hold %s: %w", inImage, err)
		}
		if !slices.Contains([]string{inImage, "/" + inImage}, h.Name) {
			continue
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700) //nolint:gosec // it is to be run
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, tr, h.Size)
		return errors.Join(err, f.Close())
	}
}
