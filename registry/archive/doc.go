// Package archive reads export files of container images and offers what is in
// them: manifests, configs and layers, each checked against its digest.
//
// It reads what `docker save` writes, in both kinds, OCI image layouts, and what
// Pulp 2 exports and publishes; as a directory or a tar, plain or compressed with
// gzip or zstd, from a file, from standard input or from a URL. A kind is a
// [format]: how it is recognized and how it is read into images. All formats read
// through one [source], so none of them touches the tar or the file system itself.
//
// Images of Docker's first registry protocol, in a Pulp v1 export, and those with
// manifests of schema 1, in a Pulp v2 tree, are converted to what clients of today
// pull; see Image.Resolve. Of the former the originals go along.
//
// Archives come from strangers. Nothing is ever extracted: a tar is indexed once
// and its contents are read in place; a compressed one is unpacked into an
// unnamed temporary file, up to a limit, and so is what comes from a URL. Names
// that leave the archive, links out of it, devices, sparse files and duplicate
// names are refused for the whole archive, before anything of it is used.
// Documents are read up to 4 MiB, layers are only ever streamed.
package archive
