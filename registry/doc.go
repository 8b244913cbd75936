// Package registry is regcred's image registry: the OCI distribution
// specification over objects (Blobs), behind logins that regcred itself issued.
//
// Storage is what the registry knows, Server is who may have it over HTTP. The
// one may be used without the other: to publish into a directory takes no Server.
package registry
