package rancher

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"regcred.dev"
)

// The types of Cattle's API that are spoken of.
const (
	typeRegistry   = "registry"
	typeCredential = "registryCredential"
)

// States that a resource comes to rest in.
const (
	active   = "active"
	inactive = "inactive"
)

// maxPages bounds a list. A page has at most 100 entries, unless a client asks for
// more (gdapi's Pagination).
const maxPages = 1000

// resource is a registry or a credential, as Cattle's API shows it. A credential's
// password is in the answer to its creation alone.
type resource struct {
	ID      string            `json:"id"`
	Links   map[string]string `json:"links"`
	Actions map[string]string `json:"actions"`
	State   string            `json:"state"`

	ServerAddress string `json:"serverAddress"` // a registry's

	RegistryID  string `json:"registryId"` // and all below a credential's
	PublicValue string `json:"publicValue"`
	Description string `json:"description"`
}

// live reports whether it is there: lists show some that are on their way out.
func (r resource) live() bool {
	return !slices.Contains([]string{"removing", "removed", "purging", "purged"}, r.State)
}

// moving reports whether it is on its way to another state.
func (r resource) moving() bool {
	return strings.HasSuffix(r.State, "ing") || strings.HasPrefix(r.State, "updating-")
}

// schema is what the API key may do with the resources of a type.
type schema struct {
	ID                string            `json:"id"`
	CollectionMethods []string          `json:"collectionMethods"`
	ResourceMethods   []string          `json:"resourceMethods"`
	ResourceFields    map[string]any    `json:"resourceFields"`
	Links             map[string]string `json:"links"`
}

// cattle is the API of one environment of Rancher 1.x, as an API key sees it.
type cattle struct {
	endpoint

	where      string // for people
	registry   schema
	credential schema
}

// openCattle finds the environment: the URL's answer names the schemas in a header, and
// those the collections.
func openCattle(ctx context.Context, e endpoint) (*cattle, error) {
	header, err := e.call(ctx, http.MethodGet, e.base.Path, nil, nil)
	if err != nil {
		return nil, e.explainOpen(err)
	}
	link := header.Get("X-API-Schemas")
	if link == "" {
		return nil, regcred.Errorf(regcred.Invalid, "%s is no API of Rancher 1.x: its answer names no schemas; write the URL as http://HOST:8080/v1, or for Rancher 2.x choose the API v3", e.base.Host)
	}
	var schemas struct {
		Data []schema `json:"data"`
	}
	if _, err := e.call(ctx, http.MethodGet, link, nil, &schemas); err != nil {
		return nil, e.explainOpen(err)
	}
	c := &cattle{endpoint: e}
	for _, s := range schemas.Data {
		switch s.ID {
		case typeRegistry:
			c.registry = s
		case typeCredential:
			c.credential = s
		}
	}
	c.where = whereOf(e.base.Host, c.credential.Links["collection"])
	return c, c.check()
}

// whereOf names an environment by the host and the id that its links have.
func whereOf(host, link string) string {
	if _, rest, ok := strings.Cut(link, "/projects/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		return "environment " + id + " at " + host
	}
	return "the environment at " + host
}

// check says what the API key lacks.
func (e *cattle) check() error {
	for _, s := range []schema{e.registry, e.credential} {
		if s.Links["collection"] == "" || !slices.Contains(s.CollectionMethods, http.MethodGet) {
			return regcred.Errorf(regcred.Denied, "the API key sees no registries at %s: it must be one of an environment (in Rancher: API, Keys, Environment API Keys)", e.base.Host)
		}
	}
	if slices.Contains(e.credential.ResourceMethods, http.MethodPut) {
		return nil
	}
	if !strings.Contains(e.credential.Links["collection"], "/projects/") {
		return regcred.Errorf(regcred.Denied, "the API key may not update registry credentials at %s: it is an account's key, and the URL names no environment: write .../projects/1aN behind it, or use a key of the environment", e.base.Host)
	}
	return regcred.Errorf(regcred.Denied, "the API key may not update registry credentials in %s: its role there is too small; it needs to be one of the environment's owners or members", e.where)
}

// mayCreate says whether the API key may create resources of a type.
func (e *cattle) mayCreate(s schema) error {
	if slices.Contains(s.CollectionMethods, http.MethodPost) {
		return nil
	}
	return regcred.Errorf(regcred.Denied, "the API key may not create what is missing in %s: its role there is too small", e.where)
}

// list returns the live resources of a collection, each once, whatever changes while
// its pages are read.
func (e *cattle) list(ctx context.Context, link string) ([]resource, error) {
	var all []resource
	seen := map[string]bool{}
	for range maxPages {
		var page struct {
			Type       string     `json:"type"`
			Data       []resource `json:"data"`
			Pagination struct {
				Next string `json:"next"`
			} `json:"pagination"`
		}
		if _, err := e.call(ctx, http.MethodGet, link, nil, &page); err != nil {
			return nil, e.explain(err)
		}
		if page.Type != "collection" {
			return nil, regcred.Errorf(regcred.Unavailable, "%s answers with something that is no list", e.base.Host)
		}
		for _, r := range page.Data {
			if r.live() && !seen[r.ID] {
				all = append(all, r)
			}
			seen[r.ID] = true
		}
		if link = page.Pagination.Next; link == "" {
			return all, nil
		}
	}
	return nil, regcred.Errorf(regcred.TooLarge, "%s lists more than %d pages", e.base.Host, maxPages)
}

// credentialsOf returns the live credentials of one registry.
func (e *cattle) credentialsOf(ctx context.Context, registryID string) ([]resource, error) {
	return e.list(ctx, e.credential.Links["collection"]+"?"+url.Values{"registryId": {registryID}}.Encode())
}

// errTaken says that somebody else has just created the registry.
var errTaken = errors.New("another writer created it just now")

// createRegistry creates a registry. Errors: errTaken; as call.
func (e *cattle) createRegistry(ctx context.Context, serverAddress string) (resource, error) {
	var made resource
	if err := e.mayCreate(e.registry); err != nil {
		return made, err
	}
	_, err := e.call(ctx, http.MethodPost, e.registry.Links["collection"], map[string]string{"serverAddress": serverAddress}, &made)
	if r, ok := errors.AsType[*refusal](err); ok && r.code == "ServerAddressUsed" {
		return made, errTaken
	}
	return made, e.explain(err)
}

// fields are what is written to a credential.
type fields struct {
	RegistryID  string `json:"registryId,omitempty"` // of a new one
	PublicValue string `json:"publicValue"`
	SecretValue string `json:"secretValue"`
	Email       string `json:"email,omitempty"`
	Description string `json:"description"`
}

// createCredential creates a credential.
func (e *cattle) createCredential(ctx context.Context, registryID string, f fields) (resource, error) {
	var made resource
	f.RegistryID = registryID
	if err := e.mayCreate(e.credential); err != nil {
		return made, err
	}
	_, err := e.call(ctx, http.MethodPost, e.credential.Links["collection"], f, &made)
	return made, e.explain(err)
}

// put writes to a credential: fields, or some of them.
func (e *cattle) put(ctx context.Context, r resource, f any) (resource, error) {
	var changed resource
	_, err := e.call(ctx, http.MethodPut, r.Links["self"], f, &changed)
	return changed, e.explain(err)
}

// act has a resource take an action, such as activate.
func (e *cattle) act(ctx context.Context, r resource, action string) (resource, error) {
	link, ok := r.Actions[action]
	if !ok {
		return r, regcred.Errorf(regcred.Denied, "the credential %s in %s is %s, and the API key may not %s it", r.ID, e.where, r.State, action)
	}
	var changed resource
	_, err := e.call(ctx, http.MethodPost, link, nil, &changed)
	return changed, e.explain(err)
}

// remove removes a resource that is inactive.
func (e *cattle) remove(ctx context.Context, r resource) error {
	_, err := e.call(ctx, http.MethodDelete, r.Links["self"], nil, nil)
	if said, ok := errors.AsType[*refusal](err); ok && said.status == http.StatusNotFound {
		return nil
	}
	return e.explain(err)
}

// How soon a resource is asked at first whether it has reached its state, each time
// after twice as long, and how long at most: some 20 s in all.
const (
	settlePause    = 10 * time.Millisecond
	maxSettlePause = time.Second
	settleTries    = 26
)

// settle waits until a resource has reached the state that it is on the way to.
func (e *cattle) settle(ctx context.Context, r resource) (resource, error) {
	pause := settlePause
	for range settleTries {
		if !r.moving() {
			return r, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return r, ctx.Err()
		}
		pause = min(2*pause, maxSettlePause)
		self := r.Links["self"]
		r = resource{}
		if _, err := e.call(ctx, http.MethodGet, self, nil, &r); err != nil {
			return r, e.explain(err)
		}
	}
	return r, regcred.Errorf(regcred.Unavailable, "the credential %s in %s stays %s", r.ID, e.where, r.State)
}

// explainOpen says what a refusal means that the URL itself is answered with.
func (e endpoint) explainOpen(err error) error {
	said, ok := errors.AsType[*refusal](err)
	switch {
	case ok && said.status == http.StatusNotFound:
		return regcred.Errorf(regcred.Invalid, "there is no API of Rancher 1.x at this URL of %s, or no such environment: write it as http://HOST:8080/v1, or with /projects/1aN behind it", e.base.Host)
	case ok && said.status == http.StatusForbidden:
		return regcred.Errorf(regcred.Denied, "%s refuses the API key (status 403): it is of another environment than the URL names: take one of this environment, or leave out /projects/...", e.base.Host)
	}
	return e.explain(err)
}

// explain says what a refusal means.
func (e endpoint) explain(err error) error {
	said, ok := errors.AsType[*refusal](err)
	switch {
	case !ok:
		return err
	case said.status == http.StatusUnauthorized:
		return regcred.Errorf(regcred.Denied, "%s does not know the API key, or the key is not active (status 401): check the access key and the secret key", e.base.Host)
	case said.status == http.StatusMethodNotAllowed:
		return regcred.Errorf(regcred.Denied, "%s does not let the API key do that now (status 405): its role may be too small", e.base.Host)
	}
	return said.err
}
