package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociauth"
	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/registry/publish"
)

// maskFlags name layers that somebody else hosts.
type maskFlags struct {
	layers            []string
	owner, repository string
}

func (f *maskFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.owner, "mask-owner", "", "URL of a registry that hosts layers, https://HOST: they are not sent, and pulls of them go there")
	flags.StringVar(&f.repository, "mask-repository", "", "whose layers they are there")
	addMask(cmd, &f.layers, "of them, rather than all of that repository")
}

func addMask(cmd *cobra.Command, layers *[]string, which string) {
	cmd.Flags().StringArrayVar(layers, "mask", nil, "ids of v1 images or digests of layers, with commas between, or a file with one in each line; "+which)
}

// masks returns the masks that flags name. to is --to.
func (p *Program) masks(ctx context.Context, f *maskFlags, to string) ([]publish.Mask, error) {
	switch {
	case f.owner == "" && f.repository == "" && len(f.layers) == 0:
		return nil, nil
	case f.owner == "" || f.repository == "":
		return nil, usagef("masked layers need --mask-owner and --mask-repository: clients are sent there for them")
	}
	layers, err := readMasks(f.layers)
	if err != nil {
		return nil, err
	}
	if len(layers) > 0 {
		return []publish.Mask{{Owner: f.owner, Repository: f.repository, Layers: layers}}, nil
	}
	src, err := p.ownerOfMasks(f.owner, to)
	if err != nil {
		return nil, err
	}
	mask, err := publish.RepositoryMask(ctx, src, f.owner, f.repository)
	return []publish.Mask{mask}, err
}

// ownerOfMasks returns the registry that hosts masked layers, to list them. It is asked
// with REGCRED_TOKEN where that is meant for it; else as docker would ask it, with the
// login of a docker config, or as nobody.
func (p *Program) ownerOfMasks(owner, to string) (ociregistry.Interface, error) {
	var token regcred.Secret
	var transport http.RoundTripper
	if p.tokenIsFor(owner, cmp.Or(p.remote(), to)) {
		token = p.remoteToken()
	} else {
		logins, err := ociauth.LoadWithEnv(ociauth.ExecHelperWithEnv(nil), p.dockerEnvironment())
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "--mask-owner: the docker config cannot be read: %w", err)
		}
		transport = ociauth.NewStdTransport(ociauth.StdTransportParams{Config: logins})
	}
	dst, err := publish.Remote(owner, token, transport)
	if err != nil {
		return nil, fmt.Errorf("--mask-owner: %w", err)
	}
	src, ok := dst.(ociregistry.Interface)
	if !ok {
		return nil, regcred.Errorf(regcred.Internal, "the client of %s cannot list layers", owner)
	}
	return src, nil
}

// tokenIsFor reports whether REGCRED_TOKEN, which is for a server, is for an owner.
func (p *Program) tokenIsFor(owner, server string) bool {
	o, err := url.Parse(owner)
	if err != nil || server == "" {
		return false
	}
	s, err := url.Parse(server)
	return err == nil && s.Host != "" && origin(s) == origin(o)
}

// dockerEnvironment says where a docker config is.
func (p *Program) dockerEnvironment() []string {
	var env []string
	for _, name := range []string{"DOCKER_AUTH_CONFIG", "DOCKER_CONFIG", "HOME", "USERPROFILE", "XDG_RUNTIME_DIR"} {
		env = append(env, name+"="+p.Getenv(name))
	}
	return env
}

// readMasks returns the layers that the values of --mask name.
func readMasks(values []string) ([]string, error) {
	var layers []string
	for _, value := range values {
		named, err := publish.ReadMask(strings.NewReader(strings.ReplaceAll(value, ",", "\n")))
		if err != nil {
			if named, err = readMaskFile(value); err != nil {
				return nil, err
			}
		}
		if len(named) == 0 {
			return nil, regcred.Errorf(regcred.Invalid, "--mask %s: it names no layer", value)
		}
		layers = append(layers, named...)
	}
	return layers, nil
}

func readMaskFile(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "--mask: it is neither ids and digests nor a file: %w", err)
	}
	defer f.Close()
	layers, err := publish.ReadMask(f)
	if err != nil {
		return nil, fmt.Errorf("--mask %s: %w", path, err)
	}
	return layers, nil
}
