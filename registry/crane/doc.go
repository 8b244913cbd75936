// Package crane serves what Crane served, the read-only registry that stood in front
// of Pulp's files, and Docker's first registry protocol for our own images.
//
// A Directory holds Crane's metadata: JSON files that say at which URL a repository's
// files lie ("redirect" files, versions 1 to 4). A Handler answers from it by
// redirects, in both protocols, and in the first one from our own storage too: images
// that have a companion (package dockerv1).
//
// Where our own storage has images of a name that the directory has too, it answers for
// that name, in both protocols, whoever asks: so a repository moves over by being
// pushed, from its first manifest on, by whoever may push there. An image of v1 is
// looked for by its id in our own storage first, and then in the directory. Whatever a
// caller may not have is to them not there.
package crane
