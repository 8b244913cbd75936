package archive

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// pulpTree is the directory of REPOSITORY.json, a redirect, in what Pulp 2 publishes
// for Docker's second registry protocol. Beside it, in pulpRepositories, is
// REPOSITORY/{blobs/DIGEST, manifests/{1,2,list}/{DIGEST|TAG}, tags/list}.
const (
	pulpTree         = "v2/app"
	pulpRepositories = "v2/web"
)

// treeKinds are the directories of manifests, the best for clients of today first. The
// oldest Pulp had schema 1 only, in the directory itself.
var treeKinds = []struct{ dir, mediaType string }{
	{"manifests/list", dockerListType},
	{"manifests/2", dockerManifestType},
	{"manifests/1", schema1Type},
	{"manifests", schema1Type},
}

// readPulpTree reads all repositories of a tree. Only tagged images count, as they do
// for clients; of a tag with several kinds of manifests, the newest kind.
func readPulpTree(r *reader) ([]Image, error) {
	names, err := r.src.list(pulpTree)
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, name := range names {
		repository, ok := strings.CutSuffix(name, ".json")
		if !ok {
			continue
		}
		file := path.Join(pulpTree, name)
		data, err := r.document(file)
		if err != nil {
			return nil, err
		}
		meta, err := parseRedirect(file, data)
		if err != nil {
			return nil, err
		}
		if meta.Version == 1 {
			return nil, regcred.Errorf(regcred.Invalid, "%q is of version 1, which belongs to a Pulp v1 export, not to a v2 tree", file)
		}
		list, err := newTreeRepository(r, path.Join(pulpRepositories, repository), meta.RegistryID).images()
		if err != nil {
			return nil, fmt.Errorf("repository %.100q: %w", meta.RegistryID, err)
		}
		if len(list) == 0 {
			r.warnf("%.200s is left out: there is no tagged image in %s", meta.RegistryID, path.Join(pulpRepositories, repository))
		}
		images = append(images, list...)
	}
	return images, nil
}

// treeRepository reads one repository of a tree.
type treeRepository struct {
	*layoutReader
	converter converter
	dir, name string
}

func newTreeRepository(r *reader, dir, name string) *treeRepository {
	t := &treeRepository{converter: converter{reader: r}, dir: dir, name: name}
	t.layoutReader = newLayoutReader(r, t.contentFile)
	return t
}

// contentFile returns where a tree keeps a content.
func (t *treeRepository) contentFile(mediaType string, d digest.Digest) string {
	for _, k := range treeKinds {
		if k.mediaType == mediaType {
			return path.Join(t.dir, k.dir, string(d))
		}
	}
	return path.Join(t.dir, "blobs", string(d))
}

// images returns the images that have tags, in the order of these. Tags of the same
// manifest are one image under several names.
func (t *treeRepository) images() ([]Image, error) {
	tags, err := t.tags()
	if err != nil {
		return nil, err
	}
	var images []Image
	place := make(map[digest.Digest]int)
	for _, tag := range tags {
		img, of, err := t.image(tag)
		if err != nil {
			return nil, fmt.Errorf("tag %.128q: %w", tag, err)
		}
		if of == "" {
			continue
		}
		if i, ok := place[of]; ok {
			images[i].Names = append(images[i].Names, img.Names...)
			continue
		}
		place[of] = len(images)
		images = append(images, img)
	}
	return images, nil
}

// tags returns the names of all manifests that are no digests.
func (t *treeRepository) tags() ([]string, error) {
	var tags []string
	for _, k := range treeKinds {
		names, err := t.src.list(path.Join(t.dir, k.dir))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if _, err := t.src.size(path.Join(t.dir, k.dir, name)); err == nil && !strings.Contains(name, ":") {
				tags = append(tags, name)
			}
		}
	}
	listed, err := t.listedTags()
	if err != nil {
		return nil, err
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	for _, tag := range listed {
		if !slices.Contains(tags, tag) {
			t.warnf("%.200s:%.128s is left out: tags/list has the tag, but there is no manifest of that name", t.name, tag)
		}
	}
	return tags, nil
}

func (t *treeRepository) listedTags() ([]string, error) {
	file := path.Join(t.dir, "tags/list")
	if _, err := t.src.size(file); isNotExist(err) {
		return nil, nil
	}
	data, err := t.document(file)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Tags list[string] `json:"tags"`
	}
	return doc.Tags, decode(file, data, &doc)
}

// image returns the image of a tag, and the digest of its manifest; none where it can
// be published in no way.
func (t *treeRepository) image(tag string) (Image, digest.Digest, error) {
	for _, k := range treeKinds {
		file := path.Join(t.dir, k.dir, tag)
		if _, err := t.src.size(file); isNotExist(err) {
			continue
		}
		data, err := t.load(file)
		if err != nil {
			return Image{}, "", err
		}
		d := digest.FromBytes(data)
		names := []string{t.name + ":" + tag}
		if k.mediaType == schema1Type {
			chain, err := t.schema1(file, data)
			if err != nil && regcred.CodeOf(err) != regcred.Invalid {
				return Image{}, "", err
			}
			if err != nil {
				t.warnf("%.200s:%.128s is left out: its manifest of schema 1 cannot be converted: %v", t.name, tag, err)
				return Image{}, "", nil
			}
			return t.converter.image(names, chain, false), d, nil
		}
		tree, err := t.tree(descriptor{MediaType: k.mediaType, Digest: d, Size: int64(len(data))}, 0)
		if err != nil {
			return Image{}, "", err
		}
		return Image{Names: names, Root: tree.m, Absent: tree.absent}, d, tree.missing
	}
	return Image{}, "", missing(tag, fs.ErrNotExist)
}
