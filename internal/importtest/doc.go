// Package importtest holds the architecture as a test: which packages of regcred
// may import which, and which libraries. The table is in rules_test.go.
package importtest
