// Package clients checks what regcred says to registry clients, and hears from them,
// against their own libraries and programs: the files that keyring renders, and
// docker's credential helper protocol in both directions. It is a module of its own so
// that regcred does not depend on those.
package clients
