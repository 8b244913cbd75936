// Package publish copies an image of an archive into a registry.
//
// Contents go before the manifests that refer to them, children before their
// index, what is attached to an image after that, and the tag comes last: at no
// moment can anybody pull half an image. What the repository has already is not
// sent again, nor is what a Mask says that its owner hosts.
//
// What the archive holds in the form of a registry is passed through unchanged,
// so that its digests stay. Uncompressed layers of a docker save are compressed
// on the way, in a stream and always to the same bytes; their image keeps its
// config, and so the image id that `docker load` would give it. Images of v1 are
// converted, and kept as they were beside that: see regcred.dev/registry/dockerv1.
package publish
