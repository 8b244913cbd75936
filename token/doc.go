// Package token signs, verifies and revokes what regcred itself hands out: the
// logins of its own registry, the Bearer tokens made from them, and API tokens.
//
// Logins and Bearer tokens are JSON Web Tokens (RFC 7519) signed with Ed25519
// (RFC 8037). Their "access" claim is that of Docker's registry token
// specification ("Token Authentication Implementation" in the documents of
// CNCF Distribution). Times have fractions of a second, as RFC 7519 allows: a
// token issued right after a revocation is then told from one issued before it.
//
// API tokens are random and stored by their hash: see [IsAPIToken].
package token
