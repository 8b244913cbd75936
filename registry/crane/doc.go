// Package crane serves what Crane served, the read-only registry that stood in front
// of Pulp's files, and Docker's first registry protocol for our own images.
//
// A Directory holds Crane's metadata: JSON files that say at which URL a repository's
// files lie ("redirect" files, versions 1 to 4). A Handler answers from it by
// redirects, in both protocols, and in the first one from our own storage too: images
// that have a companion (package dockerv1).
//
// Where both have a repository of the same name, our own storage answers, in both
// protocols, whoever asks. A name that only the directory has cannot be pushed to, so
// that nobody takes it over.
package crane
