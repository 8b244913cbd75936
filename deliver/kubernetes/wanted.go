package kubernetes

import (
	"encoding/json"
	"sync"

	"regcred.dev"
	"regcred.dev/keyring"
)

// wanted is what a book has for the namespaces of one scope. It is immutable.
type wanted struct {
	auths   []keyring.Auth
	omitted []keyring.Omission
	values  map[string]json.RawMessage // by key: the entry's text
	// warning says why there is nothing, though nothing is wrong.
	warning string
	// err is why the dialect cannot say it: nothing is known to be wanted.
	err error
}

// want renders a scope's keyring.
func want(book *keyring.Book, scope regcred.Scope, dialect keyring.Dialect) *wanted {
	rendering, err := book.Keyring(scope).Render(dialect, keyring.RenderOptions{})
	if regcred.CodeOf(err) == regcred.NotFound {
		return &wanted{warning: err.Error()}
	}
	if err != nil {
		return &wanted{err: err}
	}
	text, err := rendering.DockerConfig()
	if err != nil {
		return &wanted{err: err}
	}
	var file struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return &wanted{err: err}
	}
	return &wanted{auths: rendering.Auths, omitted: rendering.Omitted, values: file.Auths}
}

// logins reports whether there is a login to deliver.
func (w *wanted) logins() bool {
	for _, a := range w.auths {
		if !a.Blocks() {
			return true
		}
	}
	return false
}

// maxScopes bounds how many scopes' keyrings are kept rendered.
const maxScopes = 256

// renderings are what a book has, by scope. Namespaces of one scope share one.
type renderings struct {
	book    *keyring.Book
	dialect keyring.Dialect

	mu      sync.Mutex
	byScope map[regcred.Scope]*wanted
}

func newRenderings(book *keyring.Book, dialect keyring.Dialect) *renderings {
	return &renderings{book: book, dialect: dialect, byScope: map[regcred.Scope]*wanted{}}
}

// of returns what the book has for a scope.
func (r *renderings) of(scope regcred.Scope) *wanted {
	r.mu.Lock()
	w := r.byScope[scope]
	r.mu.Unlock()
	if w != nil {
		return w
	}
	w = want(r.book, scope, r.dialect)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byScope) >= maxScopes {
		clear(r.byScope)
	}
	r.byScope[scope] = w
	return w
}
