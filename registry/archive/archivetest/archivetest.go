// Package archivetest builds image exports for tests, file by file, so that a
// test can have each detail right or wrong.
package archivetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "crypto/sha256" // go-digest knows the algorithms that are linked
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// File is an entry of a tar.
type File struct {
	Name string
	Body []byte
	// Type is that of the tar entry; zero means a regular file.
	Type byte
	// Link is the target of a link.
	Link string
	// PAX are extra PAX records.
	PAX map[string]string
}

// Tar writes the files to a tar, however wrong they are.
func Tar(files ...File) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{
			Name: f.Name, Typeflag: f.Type, Linkname: f.Link, PAXRecords: f.PAX,
			Size: int64(len(f.Body)), Mode: 0o644, ModTime: time.Unix(0, 0),
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		must(w.WriteHeader(h))
		_, err := w.Write(f.Body)
		must(err)
	}
	must(w.Close())
	return buf.Bytes()
}

// Gzip compresses data.
func Gzip(data []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(data)
	must(err)
	must(w.Close())
	return buf.Bytes()
}

// Zstd compresses data.
func Zstd(data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	must(err)
	return w.EncodeAll(data, nil)
}

// WriteDir writes files below dir, as unpacking their tar would.
func WriteDir(dir string, files ...File) error {
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		var err error
		switch f.Type {
		case tar.TypeDir:
			err = os.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(f.Link, name)
		default:
			err = os.WriteFile(name, f.Body, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Image is an image without the form of any archive: a config and the
// uncompressed tars of its layers.
type Image struct {
	Config []byte
	Layers [][]byte
}

// New returns an image of a platform whose layers hold one file each, with the
// given contents.
func New(arch string, contents ...string) Image {
	var img Image
	for i, c := range contents {
		img.Layers = append(img.Layers, Tar(File{Name: fmt.Sprintf("etc/file%d", i), Body: []byte(c)}))
	}
	return WithLayers(arch, img.Layers...)
}

// WithLayers returns an image of the given layers.
func WithLayers(arch string, layers ...[]byte) Image {
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch}}
	config.RootFS.Type = "layers"
	config.Config.Cmd = []string{"/bin/true"}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l))
	}
	return Image{Config: JSON(config), Layers: layers}
}

// ConfigFile is the name of the image's config in a docker save.
func (i Image) ConfigFile() string { return digest.FromBytes(i.Config).Encoded() + ".json" }

// DockerSave returns the files of the classic docker save as engines wrote it up
// to Docker 24: a directory for each layer, and a link where an earlier
// directory has the same layer.
func DockerSave(tags []string, img Image) []File {
	var files []File
	var names []string
	first := make(map[digest.Digest]string)
	for i, l := range img.Layers {
		id := digest.FromString(fmt.Sprintf("chain %d of %s", i, img.ConfigFile())).Encoded()
		layer := File{Name: id + "/layer.tar", Body: l}
		if same, ok := first[digest.FromBytes(l)]; ok {
			layer = File{Name: id + "/layer.tar", Type: tar.TypeSymlink, Link: "../" + same + "/layer.tar"}
		} else {
			first[digest.FromBytes(l)] = id
		}
		names = append(names, id+"/layer.tar")
		files = append(files, File{Name: id + "/", Type: tar.TypeDir}, File{Name: id + "/VERSION", Body: []byte("1.0")},
			File{Name: id + "/json", Body: []byte(`{"id":"` + id + `"}`)}, layer)
	}
	files = append(files, File{Name: img.ConfigFile(), Body: img.Config},
		File{Name: "manifest.json", Body: DockerManifest(img.ConfigFile(), tags, names...)})
	if len(tags) > 0 {
		repositories := map[string]map[string]string{path.Dir(tags[0]): {"latest": "id"}}
		files = append(files, File{Name: "repositories", Body: JSON(repositories)})
	}
	return files
}

// DockerManifest is a manifest.json of one image.
func DockerManifest(config string, tags []string, layers ...string) []byte {
	return JSON([]map[string]any{{"Config": config, "RepoTags": tags, "Layers": layers}})
}

// JSON marshals v.
func JSON(v any) []byte {
	data, err := json.Marshal(v)
	must(err)
	return data
}

// must panics: what this package writes can only fail by a mistake in a test.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
