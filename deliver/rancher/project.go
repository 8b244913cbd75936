package rancher

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"regcred.dev"
	"regcred.dev/imageref"
)

// The types of Rancher 2.x that are spoken of, and their collections in URLs
// (rancher/types).
const (
	typeDocker           = "dockerCredential"
	typeNamespacedDocker = "namespacedDockerCredential"

	dockerCollection           = "dockercredentials"
	namespacedDockerCollection = "namespaceddockercredentials"
)

// hubRegistry is how Rancher 2.x, as docker itself, names Docker Hub.
const hubRegistry = "index.docker.io"

// dockerCredential is a docker credential of Rancher 2.x: a Secret of the type
// kubernetes.io/dockerconfigjson. Its passwords are never shown.
type dockerCredential struct {
	ID          string                    `json:"id,omitempty"`
	Type        string                    `json:"type"`
	Name        string                    `json:"name,omitempty"`
	ProjectID   string                    `json:"projectId,omitempty"`
	NamespaceID string                    `json:"namespaceId,omitempty"`
	Description string                    `json:"description"`
	Registries  map[string]dockerRegistry `json:"registries"`
	Links       map[string]string         `json:"links,omitempty"`
}

type dockerRegistry struct {
	Username string `json:"username"`
	Password string `json:"password,omitempty"`
}

// project is one of Rancher 2.x. It implements system for one session. Each host has
// a credential of its own: a password cannot be written back that is not known.
type project struct {
	endpoint

	id, namespace string
	collection    string // the path
	found         map[string]dockerCredential
}

func openProject(_ context.Context, e endpoint, o Options) (system, error) {
	p := &project{endpoint: e, id: o.Project, namespace: o.Namespace}
	root := strings.TrimSuffix(strings.TrimSuffix(e.base.Path, "/"), "/v3") + "/v3/project/" + o.Project + "/"
	p.collection = root + dockerCollection
	if p.namespace != "" {
		p.collection = root + namespacedDockerCollection
	}
	return p, nil
}

func (p *project) name() string {
	if p.namespace != "" {
		return "namespace " + p.namespace + " of project " + p.id + " at " + p.base.Host
	}
	return "project " + p.id + " at " + p.base.Host
}

// read lists the project's docker credentials. One of others may have several hosts.
func (p *project) read(ctx context.Context) ([]*credential, error) {
	p.found = map[string]dockerCredential{}
	var all []*credential
	link := p.collection
	for range maxPages {
		var page struct {
			Type       string             `json:"type"`
			Data       []dockerCredential `json:"data"`
			Pagination struct {
				Next string `json:"next"`
			} `json:"pagination"`
		}
		if _, err := p.call(ctx, http.MethodGet, link, nil, &page); err != nil {
			return nil, p.explainRead(err)
		}
		if page.Type != "collection" {
			return nil, regcred.Errorf(regcred.Unavailable, "%s answers with something that is no list", p.base.Host)
		}
		for _, d := range page.Data {
			if _, seen := p.found[d.ID]; seen || p.namespace != "" && d.NamespaceID != p.namespace {
				continue
			}
			p.found[d.ID] = d
			all = append(all, d.credentials()...)
		}
		if link = page.Pagination.Next; link == "" {
			return all, nil
		}
	}
	return nil, regcred.Errorf(regcred.TooLarge, "%s lists more than %d pages", p.base.Host, maxPages)
}

// credentials returns what the credential has, by host.
func (d dockerCredential) credentials() []*credential {
	var list []*credential
	for key, registry := range d.Registries {
		host, ok := hostOf(key)
		if !ok {
			continue
		}
		c := &credential{id: d.ID, host: host, username: registry.Username, active: true}
		c.text, c.record, c.recorded = parseRecord(d.Description)
		c.shared = len(d.Registries) > 1 // regcred writes one host into each
		c.recorded = c.recorded && !c.shared
		list = append(list, c)
	}
	return list
}

// unused says nothing: Kubernetes tries all of a pod's pull secrets.
func (p *project) unused(string, []*credential, []*credential) []string { return nil }

// body returns a credential with values.
func (p *project) body(host string, v values) dockerCredential {
	d := dockerCredential{Type: typeDocker, ProjectID: p.id, Description: v.description}
	if p.namespace != "" {
		d.Type, d.NamespaceID = typeNamespacedDocker, p.namespace
	}
	address := host
	if host == imageref.DockerHub {
		address = hubRegistry
	}
	d.Registries = map[string]dockerRegistry{address: {Username: v.username, Password: v.password.Reveal()}}
	return d
}

func (p *project) create(ctx context.Context, host string, v values) (*credential, error) {
	d := p.body(host, v)
	d.Name = objectName(host)
	var made dockerCredential
	if _, err := p.call(ctx, http.MethodPost, p.collection, d, &made); err != nil {
		return nil, p.explainWrite(err)
	}
	p.found[made.ID] = made
	return &credential{id: made.ID, host: host, username: v.username, active: true}, nil
}

// objectName returns the name of a host's credential, which is that of an object of
// Kubernetes (RFC 1123, section 2.1). What a name cannot hold is told apart by a hash.
func objectName(host string) string {
	slug := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, host), "-.")
	if slug == host {
		return "regcred-" + host
	}
	sum := sha256.Sum256([]byte(host))
	return "regcred-" + slug + "-" + hex.EncodeToString(sum[:4])
}

func (p *project) update(ctx context.Context, c *credential, v values) error {
	there := p.found[c.id]
	d := p.body(c.host, v)
	d.Name = there.Name
	link := cmp.Or(there.Links["update"], there.Links["self"])
	_, err := p.call(ctx, http.MethodPut, link, d, nil)
	return p.explainWrite(err)
}

// activate does nothing: the credentials of 2.x have no states.
func (p *project) activate(context.Context, *credential) error { return nil }

func (p *project) withdraw(ctx context.Context, c *credential) error {
	there := p.found[c.id]
	_, err := p.call(ctx, http.MethodDelete, cmp.Or(there.Links["remove"], there.Links["self"]), nil, nil)
	if said, ok := errors.AsType[*refusal](err); ok && said.status == http.StatusNotFound {
		return nil
	}
	return p.explainWrite(err)
}

// explainRead says what a refusal means that a list is answered with.
func (p *project) explainRead(err error) error {
	said, ok := errors.AsType[*refusal](err)
	switch {
	case ok && said.status == http.StatusNotFound:
		return regcred.Errorf(regcred.Invalid, "there is no project %s at %s, or no API of Rancher 2.x: write the URL as https://HOST/v3, and the project as c-XXXXX:p-XXXXX", p.id, p.base.Host)
	case ok && said.status == http.StatusForbidden:
		return regcred.Errorf(regcred.Denied, "the API key may not see the registry credentials of project %s at %s (status 403): its user needs to be a member of the project", p.id, p.base.Host)
	}
	return p.explain(err)
}

// explainWrite says what a refusal means that a write is answered with.
func (p *project) explainWrite(err error) error {
	said, ok := errors.AsType[*refusal](err)
	switch {
	case ok && said.status == http.StatusForbidden && p.namespace == "":
		return regcred.Errorf(regcred.Denied, "%s refuses to write (status 403): from Rancher 2.11 on, new projects take no credential for all of their namespaces: name one (namespace), or better, deliver by a kubernetes target to the namespaces with the label field.cattle.io/projectId; on older ones the API key's user needs to be a member of the project", p.base.Host)
	case ok && said.status == http.StatusForbidden:
		return regcred.Errorf(regcred.Denied, "%s refuses to write into the namespace %s (status 403): the API key's user needs to be a member of its project", p.base.Host, p.namespace)
	}
	return p.explain(err)
}
