// Package regcredtest holds the suites that every implementation of a contract
// runs, and what tests need to run them.
package regcredtest
