package dockerv1

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// The media types of a converted image, those of Docker's "Image Manifest Version 2,
// Schema 2". Every client of today reads them as it does OCI's, and so do those that
// are nearly as old as the images: Docker from 1.10 on, where OCI's manifests were
// not known for years.
const (
	MediaTypeConverted       = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeConvertedConfig = "application/vnd.docker.container.image.v1+json"
)

// Link is one image of a chain with what its layer is.
type Link struct {
	Document Document
	// Layer is the digest and size of the layer, a gzipped tar; DiffID is the digest of
	// that tar itself.
	Layer  ocispec.Descriptor
	DiffID digest.Digest
	// Empty says that the tar has no entries.
	Empty bool
}

// Converted is an image of v1 told as one of today.
type Converted struct {
	// Manifest is a MediaTypeConverted, Config a MediaTypeConvertedConfig.
	Manifest, Config []byte
	// Layers are those of the manifest, the base first.
	Layers []Link
}

// ManifestDescriptor describes the manifest.
func (c Converted) ManifestDescriptor() ocispec.Descriptor {
	return describe(MediaTypeConverted, c.Manifest)
}

// ConfigDescriptor describes the config.
func (c Converted) ConfigDescriptor() ocispec.Descriptor {
	return describe(MediaTypeConvertedConfig, c.Config)
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// Convert converts an image. The chain has its own link first and its farthest
// ancestor's last. Equal chains give equal bytes.
//
// Layers are taken as they are, so the file system is the same: both protocols write
// deletions alike, as ".wh." files. What an image's JSON document says of how to run
// it becomes the config; each image of the chain becomes an entry of its history. A
// layer that is empty, as those of commands such as ENV and CMD are, is in the
// history alone, as Docker itself does it. Where all are empty the base is kept: some
// clients refuse an image without layers.
//
// Errors: Invalid where the chain has no links, or documents do not follow one
// another; TooLarge where the config would be over 4 MiB.
func Convert(chain []Link) (Converted, error) {
	if len(chain) == 0 {
		return Converted{}, regcred.Errorf(regcred.Invalid, "an image has at least one layer")
	}
	if len(chain) > MaxDepth {
		return Converted{}, regcred.Errorf(regcred.TooLarge, "the image has %d layers; at most %d are supported", len(chain), MaxDepth)
	}
	documents := make([]Document, 0, len(chain))
	for _, l := range chain {
		documents = append(documents, l.Document)
	}
	if err := CheckParents(documents); err != nil {
		return Converted{}, err
	}
	rootFirst := slices.Clone(chain)
	slices.Reverse(rootFirst)
	if !slices.ContainsFunc(rootFirst, func(l Link) bool { return !l.Empty }) {
		rootFirst[0].Empty = false
	}
	c := Converted{Layers: slices.DeleteFunc(slices.Clone(rootFirst), func(l Link) bool { return l.Empty })}
	var err error
	if c.Config, err = config(rootFirst); err != nil {
		return Converted{}, err
	}
	if len(c.Config) > MaxCompanion {
		return Converted{}, regcred.Errorf(regcred.TooLarge, "the config of %s would have %d bytes; at most %d are supported", chain[0].Document.ID, len(c.Config), MaxCompanion)
	}
	c.Manifest, err = c.manifest()
	return c, err
}

// image is the config of an image:
// https://github.com/moby/docker-image-spec/blob/v1.3.1/v1.2.md
type image struct {
	Architecture    string            `json:"architecture"`
	Author          string            `json:"author,omitempty"`
	Comment         string            `json:"comment,omitempty"`
	Config          json.RawMessage   `json:"config,omitempty"`
	Container       string            `json:"container,omitempty"`
	ContainerConfig json.RawMessage   `json:"container_config,omitempty"`
	Created         *time.Time        `json:"created,omitempty"`
	DockerVersion   string            `json:"docker_version,omitempty"`
	History         []ocispec.History `json:"history"`
	OS              string            `json:"os"`
	RootFS          ocispec.RootFS    `json:"rootfs"`
}

// config makes the config of a chain, the base first.
func config(chain []Link) ([]byte, error) {
	d := chain[len(chain)-1].Document
	img := image{
		Author: d.Author, Comment: d.Comment, Config: d.Config, Container: d.Container,
		ContainerConfig: d.ContainerConfig, Created: d.Created, DockerVersion: d.DockerVersion,
		RootFS: ocispec.RootFS{Type: "layers"},
	}
	img.OS, img.Architecture = d.Platform()
	for _, l := range chain {
		img.History = append(img.History, ocispec.History{
			Created: l.Document.Created, CreatedBy: l.Document.createdBy(), Author: l.Document.Author,
			Comment: l.Document.Comment, EmptyLayer: l.Empty,
		})
		if !l.Empty {
			img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, l.DiffID)
		}
	}
	data, err := json.Marshal(img)
	if err != nil {
		return nil, fmt.Errorf("making the config of %s: %w", d.ID, err)
	}
	return data, nil
}

func (c Converted) manifest() ([]byte, error) {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: MediaTypeConverted,
		Config:    c.ConfigDescriptor(),
	}
	for _, l := range c.Layers {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: MediaTypeLayer, Digest: l.Layer.Digest, Size: l.Layer.Size})
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("making a manifest: %w", err)
	}
	return data, nil
}
