// Package imageref reads image references and registry locations, and says
// which locations a credential for an image may be stored at.
//
// It knows nothing of credentials, and does no I/O. Canonical form is the one
// in which locations are compared: host in lower case, IP addresses in their
// shortest form, Docker Hub as "docker.io", no port 443 but after a host of one
// word, which would read as a name without it.
package imageref
