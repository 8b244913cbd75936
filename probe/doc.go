// Package probe asks a registry itself whether it accepts a login, and whether
// that login may pull a repository.
//
// It asks as clients that pull do: the Docker Registry HTTP API V2, now the OCI
// distribution specification, and Docker's token authentication specification,
// with HTTP's authentication framework (RFC 9110, section 11) below both. A
// registry names its token service, the realm, in the challenge that it answers
// with when it is asked without a login.
//
// # Where a login goes
//
// A login is sent to its registry's host, and to the realm that this host names in
// an answer over TLS that was verified. The realm may be at any other host: token
// services are, auth.docker.io for registry-1.docker.io. Docker and containerd do
// the same. A registry that is not to be trusted can thus hand its own logins to
// somebody else; it could keep them as well. It cannot get at those of another
// registry, since nothing but the challenge of a login's own host, one of
// regcred.Login.Hosts, says where that login goes. No redirect is followed.
//
// What a registry must not do is to make this server ask whom the registry itself
// cannot reach. So a realm is https, has no user name and no host that some read
// as an address and others as a name. Only a registry that was reached at a private
// address may name a realm at one, and only one on this machine a realm on this
// machine; a link-local or metadata address is never asked. That is checked for
// addresses in the URL, and again for those that names resolve to, as they are
// dialed. A realm is asked over http only where its registry was, which is allowed
// at this machine alone unless Options say otherwise. Behind a proxy from the
// environment, names are resolved by that proxy, and are its matter.
//
// # What is said
//
// A report says what was asked and answered, in words. Of what a server says
// after it had the login, only the status and the specification's own error codes are
// repeated: it could say the login.
//
// An accepted login means that the registry, or its token service, did not refuse
// it. Some services hand a token to anybody, and only its use shows what it is good
// for; to be sure, name a repository that is not public.
package probe
