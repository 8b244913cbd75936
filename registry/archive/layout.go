package archive

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// The files of an OCI image layout:
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
const (
	indexFile  = ocispec.ImageIndexFile
	layoutFile = ocispec.ImageLayoutFile
)

// Docker's media types of manifests, which layouts may hold too.
const (
	dockerManifestType = "application/vnd.docker.distribution.manifest.v2+json"
	dockerListType     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfigType   = "application/vnd.docker.container.image.v1+json"
)

// maxDepth is how deep indexes may lie in indexes.
const maxDepth = 4

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerListType
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == dockerManifestType
}

// blobFile returns where a layout keeps a content, of whatever type.
func blobFile(_ string, d digest.Digest) string {
	return "blobs/" + string(d.Algorithm()) + "/" + d.Encoded()
}

// layoutReader reads the documents of a layout, each once.
type layoutReader struct {
	*reader
	// file returns where a content is kept.
	file func(mediaType string, d digest.Digest) string
	seen map[digest.Digest]*tree
	// save is whether an engine wrote the layout as a docker save.
	save bool
}

// tree is a manifest and what it lacks.
type tree struct {
	m       *Manifest
	absent  []string // platforms that the archive does not have
	missing error    // why it cannot be published itself
}

// maxAbsent bounds a tree's absent platforms.
const maxAbsent = 32

func (t *tree) addAbsent(platforms ...string) {
	for _, p := range platforms {
		if p != "" && len(t.absent) < maxAbsent && !slices.Contains(t.absent, p) {
			t.absent = append(t.absent, p)
		}
	}
}

// readLayout reads an OCI image layout.
func readLayout(r *reader) ([]Image, error) {
	if err := checkLayoutVersion(r); err != nil {
		return nil, err
	}
	data, err := r.document(indexFile)
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(indexFile, data, "")
	if err != nil {
		return nil, err
	}
	if err := r.count(len(doc.Manifests)); err != nil {
		return nil, err
	}
	_, err = r.src.size(dockerManifestFile)
	lr := newLayoutReader(r, blobFile)
	lr.save = err == nil
	return lr.images(doc.Manifests)
}

func newLayoutReader(r *reader, file func(string, digest.Digest) string) *layoutReader {
	return &layoutReader{reader: r, file: file, seen: make(map[digest.Digest]*tree)}
}

// checkLayoutVersion reads the oci-layout file. Some tools leave it out.
func checkLayoutVersion(r *reader) error {
	if _, err := r.src.size(layoutFile); isNotExist(err) {
		return nil
	}
	data, err := r.document(layoutFile)
	if err != nil {
		return err
	}
	var l struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := decode(layoutFile, data, &l); err != nil {
		return err
	}
	if !strings.HasPrefix(l.Version, "1.") {
		return regcred.Errorf(regcred.Invalid, "%q: layout version %.20q is not supported, only 1.0.0 is", layoutFile, l.Version)
	}
	return nil
}

// images turns the entries of index.json into images, and into what is about them.
func (r *layoutReader) images(entries []descriptor) ([]Image, error) {
	var a assembly
	for _, d := range entries {
		t, err := r.tree(d, 0)
		if err != nil {
			return nil, err
		}
		if t.missing != nil {
			return nil, t.missing
		}
		a.entries = append(a.entries, entry{descriptor: d, tree: t})
	}
	images := a.images()
	for _, w := range a.warnings {
		r.warnf("%s", w)
	}
	return images, nil
}

// tree reads the manifest that d describes, and everything below it.
func (r *layoutReader) tree(d descriptor, depth int) (*tree, error) {
	if depth > maxDepth {
		return nil, regcred.Errorf(regcred.Invalid, "indexes are nested more than %d deep", maxDepth)
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	if isSchema1(d.MediaType) && depth > 0 {
		return &tree{m: &Manifest{Descriptor: d.oci()}, missing: errSchema1}, nil
	}
	if !isIndex(d.MediaType) && !isManifest(d.MediaType) {
		return nil, regcred.Errorf(regcred.Invalid, "%s is of type %.100q: only OCI and Docker schema 2 manifests and indexes are supported", d.Digest, d.MediaType)
	}
	if t, ok := r.seen[d.Digest]; ok {
		return t, nil
	}
	t, err := r.readTree(d, depth)
	if err != nil {
		return nil, err
	}
	r.seen[d.Digest] = t
	return t, nil
}

func (r *layoutReader) readTree(d descriptor, depth int) (*tree, error) {
	file := r.file(d.MediaType, d.Digest)
	m := &Manifest{Descriptor: d.oci()}
	m.read = func() ([]byte, error) {
		data, err := r.load(file)
		if err == nil {
			err = verify(file, data, d.Digest)
		}
		return data, r.wrap(err)
	}
	if _, err := r.src.size(file); isNotExist(err) {
		return &tree{m: m, missing: missing(file, err)}, nil
	}
	data, err := r.verifiedDocument(file, d.Digest)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != d.Size {
		return nil, wrongSize(file, int64(len(data)), d.Size)
	}
	doc, err := parseDocument(file, data, d.MediaType)
	if err != nil {
		return nil, err
	}
	if err := r.count(len(doc.Manifests) + len(doc.Layers) + 1); err != nil {
		return nil, err
	}
	if doc.Subject != nil {
		m.subject = doc.Subject.Digest
	}
	if isIndex(d.MediaType) {
		return r.index(m, doc.Manifests, depth)
	}
	return r.manifest(m, doc, depth == 0)
}

// manifest checks that all blobs of an image manifest are there. alone says that
// no index lists it.
func (r *layoutReader) manifest(m *Manifest, doc document, alone bool) (*tree, error) {
	t := &tree{m: m}
	blobs := make([]Blob, 0, len(doc.Layers)+1)
	for _, d := range append([]descriptor{*doc.Config}, doc.Layers...) {
		if err := d.check(); err != nil {
			return nil, err
		}
		b := Blob{Descriptor: d.oci(), file: r.file(d.MediaType, d.Digest), r: r.reader}
		size, err := r.src.size(b.file)
		switch {
		case isNotExist(err):
			t.missing = missing(b.file, err)
			return t, nil
		case err != nil:
			return nil, err
		case size != d.Size:
			return nil, wrongSize(b.file, size, d.Size)
		}
		blobs = append(blobs, b)
	}
	m.Config, m.Layers = blobs[0], blobs[1:]
	return t, r.readConfig(m, alone)
}

// readConfig takes the platform from the config, and the digests of the layers
// where the manifest is one that an engine made up for the export.
func (r *layoutReader) readConfig(m *Manifest, alone bool) error {
	if ct := m.Config.Descriptor.MediaType; ct != ocispec.MediaTypeImageConfig && ct != dockerConfigType {
		return nil // an artifact
	}
	data, err := r.verifiedDocument(m.Config.file, m.Config.Descriptor.Digest)
	if err != nil {
		return err
	}
	var c imageConfig
	if err := decode(m.Config.file, data, &c); err != nil {
		return err
	}
	if m.Descriptor.Platform == nil {
		m.Descriptor.Platform = c.platform.oci()
	}
	if !r.save || !alone || !madeUp(m) {
		return nil
	}
	ids, err := c.diffIDs(m.Config.file, len(m.Layers))
	if err != nil {
		return err
	}
	for i, id := range ids {
		if l := &m.Layers[i]; l.Descriptor.Digest != id {
			return wrongDigest(l.file, l.Descriptor.Digest, id)
		}
		m.Layers[i].DiffID = id
	}
	m.Descriptor.Digest, m.Descriptor.Size = "", 0
	return nil
}

// madeUp reports whether a docker save's manifest was made for the export:
// engines that keep images unpacked write their layers uncompressed. No registry
// has ever seen its digest.
func madeUp(m *Manifest) bool {
	return len(m.Layers) > 0 && !slices.ContainsFunc(m.Layers, func(b Blob) bool {
		return b.Descriptor.MediaType != ocispec.MediaTypeImageLayer
	})
}

// index reads the children of an index. Those that the archive does not have
// are left out, as engines save only the platforms that they have pulled; the
// index is then to be made anew, or is replaced by its only child.
func (r *layoutReader) index(m *Manifest, children []descriptor, depth int) (*tree, error) {
	t := &tree{m: m}
	gone := make(map[digest.Digest]bool)
	changed := false
	for _, d := range children {
		if gone[d.Annotations.AttestationOf] {
			continue // an attestation of what is not there
		}
		c, err := r.tree(d, depth+1)
		if err != nil {
			return nil, err
		}
		t.addAbsent(c.absent...)
		if c.missing != nil {
			gone[d.Digest], t.missing = true, c.missing
			t.addAbsent(platformString(d.Platform.oci()))
			continue
		}
		changed = changed || c.m.Descriptor.Digest != d.Digest
		m.Children = append(m.Children, c.m)
	}
	whole := len(gone) == 0 && !changed
	if whole || len(m.Children) == 0 {
		return t, nil
	}
	t.missing = nil
	switch len(m.Children) {
	case 1:
		t.m = m.Children[0]
	default:
		m.Descriptor.Digest, m.Descriptor.Size = "", 0
	}
	return t, nil
}

func wrongSize(file string, got, want int64) error {
	return regcred.Errorf(regcred.Corrupt, "%q has %d bytes, not %d: the archive is damaged, write it again", file, got, want)
}

// parseDocument reads a manifest or index of the given media type, "" for
// index.json itself. It refuses what could be read as both.
func parseDocument(file string, data []byte, mediaType string) (document, error) {
	var doc document
	if err := decode(file, data, &doc); err != nil {
		return doc, err
	}
	fail := func(reason string) (document, error) {
		return doc, regcred.Errorf(regcred.Invalid, "%q is malformed: %s", file, reason)
	}
	index := mediaType == "" || isIndex(mediaType)
	switch {
	case doc.SchemaVersion != 2:
		return fail(fmt.Sprintf("schemaVersion is %d, not 2", doc.SchemaVersion))
	case mediaType != "" && doc.MediaType != "" && doc.MediaType != mediaType:
		return fail(fmt.Sprintf("it says that it is of type %.100q, but is referred to as %q", doc.MediaType, mediaType))
	case index && (doc.Config != nil || doc.Layers != nil):
		return fail("it is an index, but has a config or layers as well")
	case !index && doc.Manifests != nil:
		return fail("it is an image manifest, but lists manifests as well")
	case !index && doc.Config == nil:
		return fail("it has no config")
	}
	return doc, nil
}
