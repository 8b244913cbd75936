//go:build !unix

package cli

// ownerOf says in words whose a file is.
func ownerOf(string) string { return anothers }
