// Package clients checks the files that keyring renders against the libraries
// that read them. It is a module of its own so that regcred does not depend on
// those.
package clients
