// Package archive reads export files of container images and offers what is in
// them: manifests, configs and layers, each checked against its digest.
//
// It reads what `docker save` writes, in both kinds, and OCI image layouts; as a
// directory or a tar, plain or compressed with gzip or zstd, from a file or from
// standard input. A kind is a [format]: how it is recognized and how it is read
// into images. All formats read through one [source], so none of them touches
// the tar or the file system itself.
//
// Archives come from strangers. Nothing is ever extracted: a tar is indexed once
// and its contents are read in place; a compressed one is unpacked into an
// unnamed temporary file, up to a limit. Names that leave the archive, links out
// of it, devices, sparse files and duplicate names are refused for the whole
// archive, before anything of it is used. Documents are read up to 4 MiB,
// layers are only ever streamed.
package archive
