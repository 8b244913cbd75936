package registry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types of "Image Manifest Version 2, Schema 2", beside those of
// the OCI image specification.
const (
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// A document of 4 MiB can hold a million empty objects, which would take far more
// memory than the document itself.
const (
	maxFields      = 100    // of a manifest itself
	maxDescriptors = 10_000 // of a list in it
)

// manifest is what the registry needs to know of a manifest: an image with
// Config and Layers, or an index with Manifests.
type manifest struct {
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Subject      *ocispec.Descriptor  `json:"subject"`
	ArtifactType string               `json:"artifactType"`
	Annotations  map[string]string    `json:"annotations"`
}

// isIndex reports whether a media type is that of an index, isImage whether it
// is that of an image.
func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == mediaTypeDockerList
}

func isImage(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == mediaTypeDockerManifest
}

// parseManifest reads a manifest of a media type.
//
// It refuses what two clients could read differently (GHSA-qv35-3gw6-8q4j,
// GHSA-5j5w-g665-5m35): fields of both an image and an index, a field twice or
// in another case, a mediaType that is not the one it is pushed as, and
// anything after the end.
// Errors: ErrManifestInvalid.
func parseManifest(data []byte, mediaType string) (manifest, error) {
	var m manifest
	fields, err := topLevel(data)
	if err != nil {
		return m, invalidManifest("%v", err)
	}
	if err := checkShape(fields, mediaType); err != nil {
		return m, err
	}
	for _, name := range []string{"layers", "manifests"} {
		if longerThan(fields[name], maxDescriptors) {
			return m, invalidManifest("the list %q has more than %d elements", name, maxDescriptors)
		}
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, invalidManifest("%v", err)
	}
	for _, d := range append(m.references(), m.optional()...) {
		if err := checkDigest(d.Digest); err != nil || d.Size < 0 || d.MediaType == "" {
			return m, invalidManifest("the descriptor of %.80q lacks a media type, a size or a digest (sha256 or sha512)", d.Digest)
		}
	}
	return m, nil
}

// longerThan reports whether a JSON list has more than n elements. It reads no
// further than that.
func longerThan(list json.RawMessage, n int) bool {
	dec := json.NewDecoder(bytes.NewReader(list))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return false // what it is instead, decoding tells
	}
	for ; dec.More(); n-- {
		var element json.RawMessage
		if n == 0 || dec.Decode(&element) != nil {
			return n == 0
		}
	}
	return false
}

// checkShape looks at which fields a manifest has.
func checkShape(fields map[string]json.RawMessage, mediaType string) error {
	if v := string(fields["schemaVersion"]); v != "2" {
		return invalidManifest("its schemaVersion has to be 2")
	}
	if raw, ok := fields["mediaType"]; ok {
		var stated string
		if err := json.Unmarshal(raw, &stated); err != nil || stated != mediaType {
			return invalidManifest("its mediaType is %.80s, but it was pushed as %s", raw, mediaType)
		}
	}
	need, refuse := []string{"config", "layers"}, []string{"manifests", "fsLayers"}
	if isIndex(mediaType) {
		need, refuse = []string{"manifests"}, []string{"config", "layers", "fsLayers"}
	} else if !isImage(mediaType) {
		return invalidManifest("media type %.80q is not supported: use that of an OCI or Docker image manifest, index or manifest list", mediaType)
	}
	for _, name := range need {
		if v, ok := fields[name]; !ok || string(v) == "null" {
			return invalidManifest("a %s needs the field %q", mediaType, name)
		}
	}
	for _, name := range refuse {
		if _, ok := fields[name]; ok {
			return invalidManifest("a %s must not have the field %q: clients would not agree on what it is", mediaType, name)
		}
	}
	return nil
}

// knownFields are those whose meaning another spelling would hide.
var knownFields = []string{
	"schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType", "annotations", "fsLayers",
}

// topLevel returns the fields of a JSON object by their exact names.
func topLevel(data []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	fields := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := t.(string) // of an object, Token returns strings for keys
		if len(fields) == maxFields {
			return nil, fmt.Errorf("it has more than %d fields", maxFields)
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("it has the field %.80q twice", name)
		}
		for _, known := range knownFields {
			if name != known && strings.EqualFold(name, known) {
				return nil, fmt.Errorf("it has the field %.80q, which is spelled %q", name, known)
			}
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the end of the JSON object")
	}
	return fields, nil
}

// mediaTypeOf returns the media type that a manifest is pushed as: that of the
// Content-Type header, or where there is none what the manifest says.
func mediaTypeOf(contentType string, data []byte) string {
	if t, _, err := mime.ParseMediaType(contentType); err == nil {
		return t
	}
	if contentType != "" {
		return contentType
	}
	var stated struct {
		MediaType string `json:"mediaType"`
	}
	_ = json.Unmarshal(data, &stated) // parseManifest says what is wrong with it
	return stated.MediaType
}

// references returns what the repository has to have before the manifest.
// Layers that say from where else they can be had (foreign layers) are not among
// it.
func (m manifest) references() []ocispec.Descriptor {
	var list []ocispec.Descriptor
	if m.Config != nil {
		list = append(list, *m.Config)
	}
	for _, d := range m.Layers {
		if len(d.URLs) == 0 {
			list = append(list, d)
		}
	}
	return append(list, m.Manifests...)
}

// optional returns what the manifest names and need not be there.
func (m manifest) optional() []ocispec.Descriptor {
	var list []ocispec.Descriptor
	if m.Subject != nil {
		list = append(list, *m.Subject)
	}
	for _, d := range m.Layers {
		if len(d.URLs) > 0 {
			list = append(list, d)
		}
	}
	return list
}

// describe returns the descriptor of the manifest as lists of referrers have it:
// with the annotations, and the type of the artifact, which for an image without
// one is that of its config.
func (m manifest) describe(mediaType string, d digest.Digest, size int64) ociregistry.Descriptor {
	desc := ociregistry.Descriptor{
		MediaType: mediaType, Digest: d, Size: size,
		ArtifactType: m.ArtifactType, Annotations: m.Annotations,
	}
	if m.Config != nil {
		desc.ArtifactType = cmp.Or(m.ArtifactType, m.Config.MediaType)
	}
	return desc
}

func invalidManifest(format string, args ...any) error {
	return ociregistry.NewError("the manifest is not accepted: "+fmt.Sprintf(format, args...), ociregistry.ErrManifestInvalid.Code(), nil)
}
