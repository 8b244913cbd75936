package archivetest

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// V1Image is one image of Docker's first registry protocol: a layer on top of its
// parent's. Tests change its parts at will.
type V1Image struct {
	ID, JSON, Ancestry string
	// Layer is a gzipped tar.
	Layer []byte
}

// PulpExport is a Pulp v1 export.
type PulpExport struct {
	// RegistryID is the repository's name, "acme/small" where it is empty.
	RegistryID string
	Images     []V1Image
	Tags       map[string]string
}

// Add adds an image on top of a parent's, "" for none, with a layer of the files; no
// files make an empty layer. The command is that which made it, and the one to run.
// It returns the image's id, which follows from all this.
func (p *PulpExport) Add(parent, command string, files ...File) string {
	layer := Tar(files...)
	id := digest.FromString(parent + "\n" + command + "\n" + string(layer)).Encoded()
	doc := map[string]any{
		"id": id, "created": "2015-06-01T10:00:00Z", "docker_version": "1.6.2", "os": "linux", "architecture": "amd64", "Size": len(layer),
		"container_config": map[string]any{"Cmd": []string{"/bin/sh", "-c", command}},
		"config":           map[string]any{"Cmd": []string{command}, "Env": []string{"PATH=/bin"}},
	}
	ancestry := []string{id}
	if parent != "" {
		doc["parent"] = parent
		ancestry = append(ancestry, p.ancestry(parent)...)
	}
	img := V1Image{ID: id, JSON: string(JSON(doc)), Ancestry: string(JSON(ancestry)), Layer: Gzip(layer)}
	if i := p.index(id); i >= 0 {
		p.Images[i] = img
	} else {
		p.Images = append(p.Images, img)
	}
	return id
}

func (p *PulpExport) index(id string) int {
	return slices.IndexFunc(p.Images, func(img V1Image) bool { return img.ID == id })
}

// Image returns an image to be changed.
func (p *PulpExport) Image(id string) *V1Image { return &p.Images[p.index(id)] }

func (p *PulpExport) ancestry(id string) []string {
	var ids []string
	must(json.Unmarshal([]byte(p.Image(id).Ancestry), &ids))
	return ids
}

// Tag points a tag to an image.
func (p *PulpExport) Tag(tag, id string) {
	if p.Tags == nil {
		p.Tags = make(map[string]string)
	}
	p.Tags[tag] = id
}

// Files returns the files of the export, the directory "/" first, as Pulp wrote it.
func (p *PulpExport) Files() []File {
	name := p.RegistryID
	if name == "" {
		name = "acme/small"
	}
	images := []map[string]string{}
	for _, img := range p.Images {
		images = append(images, map[string]string{"id": img.ID})
	}
	files := []File{
		{Name: "/", Type: tar.TypeDir},
		{Name: "pulp.json", Body: JSON(map[string]any{
			"type": "pulp-docker-redirect", "version": 1, "repository": "pulp", "repo-registry-id": name,
			"url": "https://crane.example.com/pulp/", "protected": false, "images": images, "tags": p.Tags,
		})},
	}
	for _, img := range p.Images {
		dir := "web/" + img.ID + "/"
		files = append(files, File{Name: dir + "ancestry", Body: []byte(img.Ancestry)},
			File{Name: dir + "json", Body: []byte(img.JSON)}, File{Name: dir + "layer", Body: img.Layer})
	}
	return files
}

// PulpTree is one repository as Pulp 2 publishes it for the second protocol.
type PulpTree struct {
	// RegistryID is the repository's name, "acme/app" where it is empty.
	RegistryID string
	// Version is that of the metadata, 4 where it is 0.
	Version int
	// Layout are the blobs, manifests among them.
	Layout Layout
	// Manifests are the files in manifests/, such as "2/latest".
	Manifests map[string][]byte
	// Listed are the tags of tags/list beside those that have a manifest.
	Listed []string
}

// Docker's media types.
const (
	DockerManifest2 = "application/vnd.docker.distribution.manifest.v2+json"
	DockerList      = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig    = "application/vnd.docker.container.image.v1+json"
	dockerLayer     = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// Manifest adds an image with a manifest of schema 2.
func (p *PulpTree) Manifest(img Image, tags ...string) ocispec.Descriptor {
	m := map[string]any{"schemaVersion": 2, "mediaType": DockerManifest2, "config": p.Layout.Blob(dockerConfig, img.Config)}
	var layers []ocispec.Descriptor
	for _, l := range img.Layers {
		layers = append(layers, p.Layout.Blob(dockerLayer, Gzip(l)))
	}
	m["layers"] = layers
	return p.Put("2", DockerManifest2, JSON(m), tags...)
}

// List adds a manifest list.
func (p *PulpTree) List(children []ocispec.Descriptor, tags ...string) ocispec.Descriptor {
	m := map[string]any{"schemaVersion": 2, "mediaType": DockerList, "manifests": children}
	return p.Put("list", DockerList, JSON(m), tags...)
}

// Schema1 adds a v1 image and all below it with a manifest of schema 1.
func (p *PulpTree) Schema1(of *PulpExport, id string, tags ...string) ocispec.Descriptor {
	var layers, history []map[string]any
	for _, id := range of.ancestry(id) {
		img := of.Image(id)
		layers = append(layers, map[string]any{"blobSum": p.Layout.Blob("", img.Layer).Digest})
		history = append(history, map[string]any{"v1Compatibility": img.JSON})
	}
	m := map[string]any{
		"schemaVersion": 1, "name": "acme/app", "tag": "x", "architecture": "amd64", "fsLayers": layers, "history": history,
		"signatures": []any{map[string]any{"header": map[string]any{"alg": "ES256"}, "signature": "none", "protected": "none"}},
	}
	return p.Put("1", "application/vnd.docker.distribution.manifest.v1+prettyjws", JSON(m), tags...)
}

// Put adds a manifest below manifests/, under its digest and its tags.
func (p *PulpTree) Put(dir, mediaType string, data []byte, tags ...string) ocispec.Descriptor {
	if p.Manifests == nil {
		p.Manifests = make(map[string][]byte)
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	p.Manifests[dir+"/"+d.Digest.String()] = data
	for _, tag := range tags {
		p.Manifests[dir+"/"+tag] = data
	}
	return d
}

// Files returns the files of the tree; name is that of its directory.
func (p *PulpTree) Files(name string) []File {
	id, version := p.RegistryID, p.Version
	if id == "" {
		id = "acme/app"
	}
	if version == 0 {
		version = 4
	}
	dir := "v2/web/" + name
	files := []File{
		{Name: "v2/app/" + name + ".json", Body: JSON(map[string]any{
			"type": "pulp-docker-redirect", "version": version, "repository": name, "repo-registry-id": id, "url": "https://x/", "protected": true,
		})},
		{Name: dir + "/tags/list", Body: JSON(map[string]any{"name": name, "tags": p.Listed})},
	}
	for _, d := range slices.Sorted(maps.Keys(p.Layout.Blobs)) {
		files = append(files, File{Name: fmt.Sprintf("%s/blobs/%s", dir, d), Body: p.Layout.Blobs[d]})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Manifests)) {
		files = append(files, File{Name: dir + "/manifests/" + name, Body: p.Manifests[name]})
	}
	return files
}
