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
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
	// Unpacked are layers of the owner, as an OCI manifest describes them, by the
	// digests of their tars. They take the place of layers whose compressed form is
	// made here, those of a docker save, and whose digests the owner cannot have. Who
	// pulls checks both digests: an owner that says it wrong spoils the image, and gets
	// nobody to run anything else. RepositoryMask fills it in.
	Unpacked map[digest.Digest]ocispec.Descriptor
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
type masked struct {
	urls     map[string]string // by id or digest
	unpacked map[digest.Digest]ocispec.Descriptor
}

// newMasked reads masks. Errors: Invalid for a malformed mask, and where two masks
// name a layer, so that whose it is would be a matter of chance.
func newMasked(masks []Mask) (masked, error) {
	m := masked{urls: make(map[string]string), unpacked: make(map[digest.Digest]ocispec.Descriptor)}
	for _, mask := range masks {
		base, err := mask.base()
		if err != nil {
			return m, err
		}
		for _, name := range mask.Layers {
			at := base + "/v1/images/" + name + "/layer"
			if strings.Contains(name, ":") {
				at = base + "/v2/" + mask.Repository + "/blobs/" + name
			}
			if err := m.add(name, at); err != nil {
				return m, err
			}
		}
		for id, desc := range mask.Unpacked {
			if err := m.add(string(desc.Digest), base+"/v2/"+mask.Repository+"/blobs/"+string(desc.Digest)); err != nil {
				return m, err
			}
			if _, ok := m.unpacked[id]; !ok { // of several, the first owner's
				m.unpacked[id] = desc
			}
		}
	}
	return m, nil
}

// add adds where a layer is hosted.
func (m masked) add(name, at string) error {
	if err := checkLayerName(name); err != nil {
		return err
	}
	if other, ok := m.urls[name]; ok && other != at {
		return regcred.Errorf(regcred.Invalid, "layer %s is in two masks, so that it would be at %s and at %s: leave it out of one", name, other, at)
	}
	m.urls[name] = at
	return nil
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
		if at, ok := m.urls[name]; ok {
			return name, at, true
		}
	}
	return "", "", false
}
