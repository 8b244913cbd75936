// Package regcred is the language that every part of regcred speaks: scopes,
// credentials, logins, secrets, callers and errors, and the contracts of a
// Store and a Provider.
//
// It does no I/O. Stores live under store/, providers under provider/; each
// runs the contract's suite from regcredtest.
package regcred
