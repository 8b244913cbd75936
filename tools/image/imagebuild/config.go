package imagebuild

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// imageConfig says how the image runs
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md). Without
// arguments it runs `regcred start`, which chooses the command by the environment.
func imageConfig(arch string, created time.Time, built programs, layers ...layer) ocispec.Image {
	image := ocispec.Image{
		Created:  &created,
		Platform: ocispec.Platform{OS: "linux", Architecture: arch},
		Config: ocispec.ImageConfig{
			User:         fmt.Sprintf("%d:%d", userID, userID),
			Env:          []string{"PATH=/", "REGCRED_DATA_DIR=" + dataDir},
			Entrypoint:   []string{"/regcred"},
			Cmd:          []string{"start"},
			ExposedPorts: map[string]struct{}{"8440/tcp": {}},
			Volumes:      map[string]struct{}{dataDir: {}},
			WorkingDir:   "/",
			Labels:       labels(created, built),
		},
		RootFS: ocispec.RootFS{Type: "layers"},
	}
	for i, l := range layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, l.diffID)
		image.History = append(image.History, ocispec.History{Created: &created, CreatedBy: fmt.Sprintf("regcred.dev/tools/image: layer %d", i+1)})
	}
	return image
}

// labels are those that the specification gives names for
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md).
func labels(created time.Time, built programs) map[string]string {
	l := map[string]string{
		ocispec.AnnotationTitle:       "regcred",
		ocispec.AnnotationDescription: "Keeps every workload's access to its container images working",
		ocispec.AnnotationLicenses:    "Apache-2.0",
		ocispec.AnnotationCreated:     created.Format(time.RFC3339),
		ocispec.AnnotationVersion:     built.version,
	}
	if built.revision != "" {
		l[ocispec.AnnotationRevision] = built.revision
	}
	return l
}

func imageManifest(config ocispec.Descriptor, layers ...layer) ocispec.Manifest {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.Descriptor)
	}
	return m
}

func imageIndex(images []ocispec.Descriptor) ocispec.Index {
	return ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: images,
	}
}

// layer is a layer of an image.
type layer struct {
	ocispec.Descriptor

	diffID digest.Digest // of the tar before compression
}
