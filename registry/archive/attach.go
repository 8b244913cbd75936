package archive

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// entry is one entry of a layout's index.json.
type entry struct {
	descriptor descriptor
	tree       *tree
}

// kinds are the suffixes of cosign's tags by the kinds that `cosign save` writes.
var kinds = map[string]string{
	"dev.cosignproject.cosign/sigs":  ".sig",
	"dev.cosignproject.cosign/atts":  ".att",
	"dev.cosignproject.cosign/sboms": ".sbom",
}

// digestTag matches the tag of an artifact that is named after what it is about: by
// cosign, with a suffix, and by the referrers tag schema of OCI's distribution
// specification 1.1, without one.
var digestTag = regexp.MustCompile(`^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(\.[a-z0-9]+)?$`)

// about returns what an entry is about, empty for an image, and the tag by which it
// is found.
func (e entry) about(entries []entry) (about digest.Digest, tag string) {
	name := e.descriptor.Annotations.name()
	if suffix, ok := kinds[e.descriptor.Annotations.Kind]; ok {
		// It has the name of its image.
		i := slices.IndexFunc(entries, func(img entry) bool {
			_, artifact := kinds[img.descriptor.Annotations.Kind]
			return !artifact && img.descriptor.Annotations.name() == name
		})
		if i < 0 {
			return "", ""
		}
		d := entries[i].descriptor.Digest
		return d, string(d.Algorithm()) + "-" + d.Encoded() + suffix
	}
	if i := strings.LastIndexAny(name, "/:"); i < 0 || name[i] == ':' {
		tag = name[i+1:]
	}
	if m := digestTag.FindStringSubmatch(tag); m != nil {
		return digest.Digest(strings.Replace(m[1], "-", ":", 1)), tag
	}
	return e.tree.m.subject, tag
}

// assembly turns the entries of an index.json into images.
type assembly struct {
	entries  []entry
	warnings []string

	list []Image
	// place says which image a manifest goes with, by the digest of that.
	place map[digest.Digest]int
	// entered are the digests of all entries as they are written in index.json.
	entered map[digest.Digest]bool
}

// images returns the images, each with what is about it. Entries of the same digest
// are one image under several names. What is about nothing in the archive is an image
// of its own.
func (a *assembly) images() []Image {
	a.place, a.entered = make(map[digest.Digest]int), make(map[digest.Digest]bool)
	held := make(map[digest.Digest]bool) // all manifests that could be published
	for _, e := range a.entries {
		a.entered[e.descriptor.Digest] = true
		for m := range e.tree.m.All() {
			held[m.Descriptor.Digest] = true
		}
	}
	var artifacts []entry
	for _, e := range a.entries {
		about, _ := e.about(a.entries)
		switch {
		case about == "" || about == e.descriptor.Digest || !held[about] && !a.entered[about]:
			a.addImage(e)
		case !held[about]:
			a.warnings = append(a.warnings, fmt.Sprintf("%s is left out: it is about %s, of which the archive holds only a part, so that it is published anew under another digest", e.descriptor.Digest, about))
		default:
			artifacts = append(artifacts, e)
		}
	}
	a.attachAll(artifacts)
	return a.list
}

// addImage adds an image, or a name of one.
func (a *assembly) addImage(e entry) {
	d := e.descriptor.Digest
	i, ok := a.place[d]
	if !ok {
		i = len(a.list)
		a.list = append(a.list, Image{Root: e.tree.m, Absent: e.tree.absent})
		a.put(e, i)
	}
	if name := e.descriptor.Annotations.name(); name != "" && !slices.Contains(a.list[i].Names, name) {
		a.list[i].Names = append(a.list[i].Names, name)
	}
}

// put notes with which image the manifests of an entry go. What several images hold
// goes with the first.
func (a *assembly) put(e entry, image int) {
	a.placeOnce(e.descriptor.Digest, image)
	for m := range e.tree.m.All() {
		a.placeOnce(m.Descriptor.Digest, image)
	}
}

func (a *assembly) placeOnce(d digest.Digest, image int) {
	if _, ok := a.place[d]; !ok && d != "" {
		a.place[d] = image
	}
}

// attachAll attaches artifacts to images, those about artifacts after these. A circle
// of tags is no order, and what is in one is images again.
func (a *assembly) attachAll(artifacts []entry) {
	for len(artifacts) > 0 {
		rest := slices.DeleteFunc(slices.Clone(artifacts), a.attach)
		if len(rest) == len(artifacts) {
			a.addImage(rest[0])
			rest = rest[1:]
		}
		artifacts = rest
	}
}

// attach attaches an artifact to its image, and reports whether that is there yet.
func (a *assembly) attach(e entry) bool {
	about, tag := e.about(a.entries)
	i, ok := a.place[about]
	if !ok {
		return false
	}
	img := &a.list[i]
	if !slices.ContainsFunc(img.Attached, func(o Attachment) bool { return o.Manifest == e.tree.m && o.Tag == tag }) {
		img.Attached = append(img.Attached, Attachment{Manifest: e.tree.m, Tag: tag})
	}
	a.put(e, i)
	return true
}
