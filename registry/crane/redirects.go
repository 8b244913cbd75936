package crane

import (
	"net/http"

	"regcred.dev"
)

// redirects is the tree of Crane's metadata.
type redirects struct{ metrics *metrics }

// find returns a v1 repository that the caller may have.
func (redirects) find(c *caller, name string) (*repository, error) {
	repo := c.set.v1[name]
	if repo == nil || !c.entitled.may(repo) {
		return nil, errNotThere
	}
	return repo, nil
}

func (t redirects) images(c *caller, name string) ([]string, error) {
	repo, err := t.find(c, name)
	if err != nil {
		return nil, err
	}
	return repo.images, nil
}

func (t redirects) tags(c *caller, name string) (map[string]string, error) {
	repo, err := t.find(c, name)
	if err != nil {
		return nil, err
	}
	return repo.tags, nil
}

func (t redirects) tag(c *caller, name, tag string) (string, error) {
	tags, err := t.tags(c, name)
	if err != nil {
		return "", err
	}
	id, ok := tags[tag]
	if !ok {
		return "", errNotThere
	}
	return id, nil
}

// token returns none: certificates come with each request.
func (redirects) token(*caller, string) (regcred.Secret, error) { return regcred.Secret{}, nil }

// serve sends the client to the first repository of those that list the image.
func (t redirects) serve(w http.ResponseWriter, c *caller, id, file string) error {
	for _, repo := range c.set.images[id] {
		if c.entitled.may(repo) {
			t.metrics.redirected(repo, file)
			http.Redirect(w, c.r, repo.url+id+"/"+file, http.StatusFound) //nolint:gosec // the id is one of the metadata's
			return nil
		}
	}
	return errNotThere
}
