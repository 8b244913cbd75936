package publish

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"cuelabs.dev/go/oci/ociregistry/ociref"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry/dockerv1"
)

// Mask names layers that are not sent, because their owner hosts them: the destination
// gets to know them by where that is, and sends its clients there.
type Mask struct {
	// Owner is the URL of the owner's registry, https://HOST[:PORT][/PATH], and
	// Repository whose layers they are there.
	Owner, Repository string
	// Layers are ids of v1 images and digests of layers as they are stored, in any
	// order. Clients get a layer from OWNER/v1/images/ID/layer where it is named by
	// its id, and from OWNER/v2/REPOSITORY/blobs/DIGEST by its digest.
	Layers []string
}

// maxMaskLine is the longest line of a mask, in bytes.
const maxMaskLine = 1 << 10

// maxMask is how many layers a mask can name.
const maxMask = 100_000

// ReadMask reads the layers of a mask: an id or digest in each line, besides empty ones
// and those that begin with "#". Errors: Invalid and TooLarge, naming the line.
func ReadMask(r io.Reader) ([]string, error) {
	var layers []string
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxMaskLine)
	n := 0
	for s.Scan() {
		n++
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := checkLayerName(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if layers = append(layers, line); len(layers) > maxMask {
			return nil, regcred.Errorf(regcred.TooLarge, "a mask has at most %d layers", maxMask)
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return nil, regcred.Errorf(regcred.Invalid, "line %d: it is longer than %d bytes: write an id or digest in each line", n+1, maxMaskLine)
	}
	if s.Err() != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "cannot read the mask: %w", s.Err())
	}
	return layers, nil
}

func checkLayerName(name string) error {
	if dockerv1.CheckID(name) == nil {
		return nil
	}
	if d := digest.Digest(name); d.Validate() == nil && (d.Algorithm() == digest.SHA256 || d.Algorithm() == digest.SHA512) {
		return nil
	}
	return regcred.Errorf(regcred.Invalid, "%.100q names no layer: write the id of a v1 image (64 hexadecimal digits) or a digest (sha256:...)", name)
}

// masked says by whom layers are hosted.
type masked map[string]string // URLs by id or digest

// newMasked reads masks. Errors: Invalid for a malformed mask, and where two masks
// name a layer, so that whose it is would be a matter of chance.
func newMasked(masks []Mask) (masked, error) {
	m := make(masked)
	for _, mask := range masks {
		base, err := mask.base()
		if err != nil {
			return nil, err
		}
		for _, name := range mask.Layers {
			if err := checkLayerName(name); err != nil {
				return nil, err
			}
			at := base + "/v1/images/" + name + "/layer"
			if strings.Contains(name, ":") {
				at = base + "/v2/" + mask.Repository + "/blobs/" + name
			}
			if other, ok := m[name]; ok && other != at {
				return nil, regcred.Errorf(regcred.Invalid, "layer %s is in two masks, so that it would be at %s and at %s: leave it out of one", name, other, at)
			}
			m[name] = at
		}
	}
	return m, nil
}

// base returns the owner's URL.
func (m Mask) base() (string, error) {
	u, err := url.Parse(m.Owner)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", regcred.Errorf(regcred.Invalid, "the owner of masked layers is no registry's URL: write https://HOST[:PORT], without a user or query")
	}
	if !ociref.IsValidRepository(m.Repository) {
		return "", regcred.Errorf(regcred.Invalid, "%.100q is no name of a repository of %s, whose layers are masked", m.Repository, u.Host)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// find returns by which name a layer is masked, and where its owner hosts it.
func (m masked) find(d digest.Digest, v1ID string) (name, at string, ok bool) {
	for _, name := range []string{string(d), v1ID} {
		if at, ok := m[name]; ok {
			return name, at, true
		}
	}
	return "", "", false
}
