package imagebuild

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestFile lists the images of a docker save:
// https://github.com/moby/docker-image-spec/blob/v1.3.1/v1.2.md
const manifestFile = "manifest.json"

// savedImage is one element of it.
type savedImage struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// writeArchive writes a layout as `docker save` does since Docker 25: the layout
// itself, for all architectures, and with it manifest.json, which names one image for
// those that read no layouts.
func writeArchive(path string, l layout, image ocispec.Descriptor, name reference.NamedTagged) (err error) {
	files, err := l.files()
	if err != nil {
		return err
	}
	manifest, err := l.savedImage(image, name)
	if err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return writeTar(out, append(files, file{name: manifestFile, mode: 0o644, body: manifest}))
}

// savedImage returns manifest.json for an image of the layout.
func (l layout) savedImage(image ocispec.Descriptor, name reference.NamedTagged) ([]byte, error) {
	data, err := os.ReadFile(l.path(blobPath(image.Digest)))
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	saved := savedImage{Config: blobPath(m.Config.Digest), RepoTags: []string{name.String()}}
	for _, layer := range m.Layers {
		saved.Layers = append(saved.Layers, blobPath(layer.Digest))
	}
	return json.Marshal([]savedImage{saved})
}

// files returns all that is in the layout, sorted by name.
func (l layout) files() ([]file, error) {
	var files []file
	root := os.DirFS(l.dir)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case entry.IsDir():
			files = append(files, file{name: name + "/", mode: 0o755})
			return nil
		}
		body, err := fs.ReadFile(root, name)
		files = append(files, file{name: name, mode: 0o644, body: body})
		return err
	})
	return files, err
}
