package crane

import (
	"iter"
	"maps"
	"net/http"
	"strings"
	"sync"

	"regcred.dev"
	"regcred.dev/registry"
)

// caller is who sent a request, and the metadata that is served to them throughout.
type caller struct {
	r        *http.Request
	set      *set
	entitled entitled
	// named is the repository that the request's v1 token is for, "" without one. The
	// token is anybody's word until login has seen it: named only chooses.
	named string
	// login finds out who it is in our own registry. A login that is not valid is
	// somebody who may do nothing, and an Unauthenticated error; other errors are those
	// of the tokens' store.
	login func() (registry.Visitor, error)
}

func (h *Handler) newCaller(r *http.Request) *caller {
	r, named := withBearer(r)
	c := &caller{r: r, named: named, set: h.directory.set.Load(), entitled: h.directory.newEntitled(r)}
	c.login = sync.OnceValues(func() (registry.Visitor, error) {
		if h.server == nil {
			return registry.Visitor{}, nil
		}
		return h.server.Visitor(r)
	})
	return c
}

// visitor is login without the error that the login is not valid.
func (c *caller) visitor() (registry.Visitor, error) {
	v, err := c.login()
	if regcred.CodeOf(err) == regcred.Unauthenticated {
		err = nil
	}
	return v, err
}

// visible yields the names of the directory's repositories, of either protocol, that
// the caller may have.
func (c *caller) visible() iter.Seq[string] {
	names := map[string]bool{}
	for _, repos := range []map[string]*repository{c.set.v1, c.set.v2} {
		for name, repo := range repos {
			if c.entitled.may(repo) {
				names[name] = true
			}
		}
	}
	return maps.Keys(names)
}

// withBearer returns a request whose Authorization header, if it is of the scheme that
// v1 has for tokens, is one that our registry knows, and the repository that it names:
//
//	Authorization: Token signature=TOKEN,repository="acme/app",access=read
//
// The signature is a Bearer token. Docker sends the scheme alone where it was given
// none.
func withBearer(r *http.Request) (_ *http.Request, named string) {
	scheme, params, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Token") {
		return r, ""
	}
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	if strings.TrimSpace(params) != "" {
		r.Header.Set("Authorization", "Bearer "+param(params, "signature"))
	}
	return r, param(params, "repository")
}

// param returns one of a v1 token's parameters, "" where it has none of that name.
func param(params, name string) string {
	for p := range strings.SplitSeq(params, ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(p), name+"="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// v1Token writes a Bearer token as v1 has them.
func v1Token(bearer regcred.Secret, repo string) string {
	return `signature=` + bearer.Reveal() + `,repository="` + repo + `",access=read`
}
