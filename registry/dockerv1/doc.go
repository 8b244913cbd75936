// Package dockerv1 knows images of Docker's first registry protocol: what their
// documents say, how one is told as an image of today, and how the registry keeps the
// originals beside that.
//
// An image of v1 is a chain of layers, each with an id of its own, a JSON document
// and a gzipped tar; its ancestry lists the ids, its own first.
//
// Such an image is published twice, from the same blobs: as an image which
// clients of today pull, and as an artifact that refers to it and keeps the
// documents by which it was exported (ArtifactType). Clients of v1 are served from
// that. Being an ordinary artifact, it is copied, kept, listed and deleted like
// any other referrer of the image.
//
// Convert makes the image, Companion is the artifact.
package dockerv1

// What the artifact is made of. Its layers come in pairs, the image's own first and
// its farthest ancestor last: MediaTypeJSON, the image's "json" as it was exported,
// and then the layer, a gzipped tar. Both have the annotation AnnotationID.
const (
	// ArtifactType is the artifactType of the manifest.
	ArtifactType = "application/vnd.regcred.docker.v1"
	// MediaTypeJSON is the media type of an image's JSON document.
	MediaTypeJSON = "application/vnd.regcred.docker.v1.image+json"
	// MediaTypeLayer is the media type of a layer in the artifact.
	MediaTypeLayer = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	// AnnotationID names the v1 id that a part of the artifact is of.
	AnnotationID = "dev.regcred.docker.v1.id"
)
