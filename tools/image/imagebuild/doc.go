// Package imagebuild writes a container image of regcred with nothing but Go: as an
// OCI image layout and as an archive of the kind that `docker save` writes.
//
// The image holds the two programs that run in a cluster, statically linked, the root
// certificates that Mozilla trusts, and next to nothing else: no shell, no packages.
// The same source, version of Go and SOURCE_DATE_EPOCH give the same bytes on every
// machine.
//
// This is a module of its own so that regcred does not depend on its certificates.
package imagebuild
