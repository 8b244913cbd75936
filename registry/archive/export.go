package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry/dockerv1"
)

// Export is a Pulp v1 export as it is: what a server of Docker's first registry
// protocol would serve.
type Export struct {
	// Repository is Pulp's own name for the repository, such as "acme-small".
	Repository string
	// RegistryID is by which clients know it, such as "acme/small".
	RegistryID string
	// URL is where Crane was to redirect to, empty where the export does not say.
	URL string
	// Protected says that Crane was to ask clients for certificates.
	Protected bool
	// Tags are ids of images by their tags.
	Tags map[string]string
	// Images are all of them, by their ids in order.
	Images []ExportImage
}

// ExportImage is one image of an Export: the three files by which it was served. Their
// Descriptors have no digest.
type ExportImage struct {
	ID                    string
	Layer, JSON, Ancestry Blob
}

// Export returns what is in a Pulp v1 export, nil for an archive of another kind.
func (a *Archive) Export() *Export { return a.export }

// pulpWeb is the directory of a Pulp v1 export that holds web/ID/{ancestry,json,layer};
// beside it is REPOSITORY.json, a redirect.
const pulpWeb = "web"

// redirect is the metadata of a repository that Pulp wrote for Crane; its versions 1
// to 4 have more and more of these fields.
type redirect struct {
	Version    int         `json:"version"`
	Repository string      `json:"repository"`
	RegistryID string      `json:"repo-registry-id"`
	URL        string      `json:"url"`
	Protected  bool        `json:"protected"`
	Tags       uniqueNames `json:"tags"` // version 1
}

// parseRedirect reads the metadata of a repository. Errors: Invalid, TooLarge.
func parseRedirect(file string, data []byte) (redirect, error) {
	var r redirect
	if err := decode(file, data, &r); err != nil {
		return r, err
	}
	if r.Version < 1 || r.Version > 4 {
		return r, regcred.Errorf(regcred.Invalid, "%q is of version %d: only Pulp's versions 1 to 4 are known", file, r.Version)
	}
	if r.RegistryID == "" {
		r.RegistryID = r.Repository
	}
	if r.RegistryID == "" {
		return r, regcred.Errorf(regcred.Invalid, "%q does not name its repository (repo-registry-id)", file)
	}
	return r, nil
}

// uniqueNames is a JSON object of strings, of bounded length and with no name twice.
type uniqueNames map[string]string

// UnmarshalJSON decodes an object, or null for an empty one.
func (u *uniqueNames) UnmarshalJSON(data []byte) error {
	*u = nil
	d := json.NewDecoder(bytes.NewReader(data))
	t, err := d.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("there is a %T where an object belongs", t)
	}
	*u = make(uniqueNames)
	for d.More() {
		if len(*u) == maxItems {
			return regcred.Errorf(regcred.TooLarge, "an object has more than %d members", maxItems)
		}
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string) // as the names of members are
		if _, twice := (*u)[name]; twice {
			return fmt.Errorf("%.100q is there twice", name)
		}
		var value string
		if err := d.Decode(&value); err != nil {
			return err
		}
		(*u)[name] = value
	}
	return nil
}

// readPulpExport reads a Pulp v1 export.
func readPulpExport(r *reader) ([]Image, error) {
	meta, err := r.exportMetadata()
	if err != nil {
		return nil, err
	}
	c := &chains{converter: converter{reader: r}, links: make(map[string]chainLink)}
	r.export = &Export{
		Repository: meta.Repository, RegistryID: meta.RegistryID, URL: meta.URL, Protected: meta.Protected, Tags: meta.Tags,
	}
	if r.export.Images, err = c.readAll(); err != nil {
		return nil, err
	}
	return c.images(meta)
}

// exportMetadata reads the one JSON file at the top.
func (r *reader) exportMetadata() (redirect, error) {
	names, err := r.src.list(".")
	if err != nil {
		return redirect{}, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".json") })
	if len(names) != 1 {
		return redirect{}, regcred.Errorf(regcred.Invalid,
			"it has %s/, as a Pulp v1 export has, and %d files *.json beside it where exactly one belongs, that of its repository", pulpWeb, len(names))
	}
	data, err := r.document(names[0])
	if err != nil {
		return redirect{}, err
	}
	meta, err := parseRedirect(names[0], data)
	if err == nil && meta.Version != 1 {
		err = regcred.Errorf(regcred.Invalid, "%q is of version %d, but Pulp v1 exports have version 1", names[0], meta.Version)
	}
	return meta, err
}

// chains are the images of an export, each with its parent.
type chains struct {
	converter
	links map[string]chainLink
}

// readAll reads the documents of all images and checks that their ancestries are as
// their parents say.
func (c *chains) readAll() ([]ExportImage, error) {
	ids, err := c.src.list(pulpWeb)
	if err != nil {
		return nil, err
	}
	images := make([]ExportImage, 0, len(ids))
	ancestries := make([][]byte, 0, len(ids))
	for _, id := range ids {
		img, ancestry, err := c.readImage(id)
		if err != nil {
			return nil, fmt.Errorf("image %.100q: %w", id, err)
		}
		images, ancestries = append(images, img), append(ancestries, ancestry)
	}
	for i, id := range ids {
		if err := c.checkAncestry(id, ancestries[i]); err != nil {
			return nil, err
		}
	}
	return images, nil
}

// readImage reads the documents of one image. It returns its ancestry, too.
func (c *chains) readImage(id string) (img ExportImage, ancestry []byte, err error) {
	if err := dockerv1.CheckID(id); err != nil {
		return img, nil, err
	}
	if err := c.count(3); err != nil {
		return img, nil, err
	}
	img.ID = id
	for name, b := range map[string]*Blob{"layer": &img.Layer, "json": &img.JSON, "ancestry": &img.Ancestry} {
		b.file, b.r = pulpWeb+"/"+id+"/"+name, c.reader
		if b.Descriptor.Size, err = c.size(b.file); err != nil {
			return img, nil, err
		}
	}
	if ancestry, err = c.document(img.Ancestry.file); err != nil {
		return img, nil, err
	}
	data, err := c.document(img.JSON.file)
	if err != nil {
		return img, nil, err
	}
	l := chainLink{json: img.JSON, layer: img.Layer}
	if l.document, err = dockerv1.ParseDocument(id, data); err != nil {
		return img, nil, err
	}
	l.json.Descriptor.MediaType, l.json.Descriptor.Digest = dockerv1.MediaTypeJSON, digest.FromBytes(data)
	l.layer.Descriptor.MediaType, l.layer.V1ID = dockerv1.MediaTypeLayer, id
	c.links[id] = l
	return img, ancestry, nil
}

// checkAncestry compares an ancestry with the parents.
func (c *chains) checkAncestry(id string, data []byte) error {
	ids, err := dockerv1.ParseAncestry(id, data)
	if err != nil {
		return err
	}
	documents := make([]dockerv1.Document, 0, len(ids))
	for _, id := range ids {
		l, ok := c.links[id]
		if !ok {
			return regcred.Errorf(regcred.Corrupt, "image %s is missing, which the ancestry of %s lists: the export is incomplete, write it again", id, ids[0])
		}
		documents = append(documents, l.document)
	}
	return dockerv1.CheckParents(documents)
}

// images returns the images that have a tag, in the order of their tags, and then
// those without one that no other is built upon.
func (c *chains) images(meta redirect) ([]Image, error) {
	var ids []string
	names := make(map[string][]string)
	for _, tag := range slices.Sorted(maps.Keys(meta.Tags)) {
		id := meta.Tags[tag]
		if _, ok := c.links[id]; !ok {
			return nil, regcred.Errorf(regcred.Corrupt, "the tag %.128q is for the image %.64q, which is missing: the export is incomplete, write it again", tag, id)
		}
		if names[id] == nil {
			ids = append(ids, id)
		}
		names[id] = append(names[id], meta.RegistryID+":"+tag)
	}
	parents := make(map[string]bool)
	for _, l := range c.links {
		parents[l.document.Parent] = true
	}
	for _, id := range slices.Sorted(maps.Keys(c.links)) {
		if names[id] == nil && !parents[id] {
			ids = append(ids, id)
		}
	}
	images := make([]Image, 0, len(ids))
	for _, id := range ids {
		images = append(images, c.image(names[id], c.chain(id), true))
	}
	return images, nil
}

// chain returns an image and its ancestors, which are known to be there.
func (c *chains) chain(id string) []chainLink {
	var list []chainLink
	for id != "" {
		l := c.links[id]
		list, id = append(list, l), l.document.Parent
	}
	return list
}
