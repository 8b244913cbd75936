package rules

import "regcred.dev"

// NotFound says that there is no such credential.
func NotFound(guid string) error {
	return regcred.Errorf(regcred.NotFound, "there is no credential %s", guid)
}

// NoLogin says that a credential has no login, or does not exist.
func NoLogin(guid string) error {
	return regcred.Errorf(regcred.NotFound, "there is no login of credential %s", guid)
}

// Taken says that the credential of that name is where another one should go.
func Taken(name string) error {
	return regcred.Errorf(regcred.Exists, "credential %s is there already: update it, or delete it first", name)
}

// NoToken says that there is no such API token.
func NoToken(id string) error {
	return regcred.Errorf(regcred.NotFound, "there is no API token %s", id)
}

// TokenTaken says that an API token's id is in use.
func TokenTaken(id string) error {
	return regcred.Errorf(regcred.Exists, "there is an API token %s already", id)
}

// Ahead says that a watcher asked for what follows a revision that the store has
// not come to: it saw a newer state of this store than there is now.
func Ahead(after, revision uint64) error {
	return regcred.Errorf(regcred.Stale,
		"the store is at revision %d, and revision %d was seen before: an older copy of it was put back", revision, after)
}

// Closed says that the store was closed.
func Closed() error {
	return regcred.Errorf(regcred.Unavailable, "the store is closed")
}
