package rancher

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"regcred.dev"
)

// environment is one of Rancher 1.x. It implements system for one session.
type environment struct {
	*cattle

	email string // written where the API asks for one
	log   *slog.Logger

	registries map[string][]resource // by host; read sets it
	found      map[string]resource   // by id: the credentials
}

// openEnvironment finds the environment that the URL and the API key are for.
func openEnvironment(ctx context.Context, e endpoint, o Options) (system, error) {
	c, err := openCattle(ctx, e)
	if err != nil {
		return nil, err
	}
	return &environment{cattle: c, email: o.Email, log: o.Log}, nil
}

func (e *environment) name() string { return e.where }

// read lists the registries and their credentials. A registry whose address makes no
// sense is passed over.
func (e *environment) read(ctx context.Context) ([]*credential, error) {
	registries, err := e.list(ctx, e.registry.Links["collection"])
	if err != nil {
		return nil, err
	}
	credentials, err := e.list(ctx, e.credential.Links["collection"])
	if err != nil {
		return nil, err
	}
	hosts := map[string]string{} // by the registry's id
	e.registries, e.found = map[string][]resource{}, map[string]resource{}
	for _, r := range registries {
		host, ok := hostOf(r.ServerAddress)
		if !ok {
			e.log.DebugContext(ctx, "a registry of Rancher's is passed over: its address names no host", "registry", r.ID)
			continue
		}
		hosts[r.ID] = host
		e.registries[host] = append(e.registries[host], r)
	}
	var all []*credential
	for _, r := range credentials {
		e.found[r.ID] = r
		all = append(all, credentialOf(r, cmp.Or(hosts[r.RegistryID], "registry "+r.RegistryID)))
	}
	return all, nil
}

func credentialOf(r resource, host string) *credential {
	c := &credential{id: r.ID, host: host, username: r.PublicValue, active: !strings.HasSuffix(r.State, inactive)}
	c.text, c.record, c.recorded = parseRecord(r.Description)
	return c
}

// unused says what is missing, or keeps Rancher from using a host's credentials: it finds a registry
// by its very host name, and takes the first of its credentials that is active.
func (e *environment) unused(host string, there, chosen []*credential) []string {
	switch {
	case len(e.registries[host]) == 0:
		return []string{fmt.Sprintf("there is no registry %s: add it, with a credential, or have regcred create it (auto_create, AUTO_CREATE)", host)}
	case len(there) == 0:
		return []string{fmt.Sprintf("the registry %s has no credential: add one, or have regcred create it (auto_create, AUTO_CREATE)", host)}
	}
	var why []string
	for _, r := range e.registries[host] {
		if !pulls(r.ServerAddress, host) {
			why = append(why, fmt.Sprintf("the registry %s is stored as %q, where Rancher does not find it when it pulls images: add it as %s", r.ID, r.ServerAddress, addressOf(host)))
		}
		if r.State == inactive {
			why = append(why, fmt.Sprintf("the registry %s (%s) is inactive: Rancher does not use it", host, r.ID))
		}
		var usable []*credential
		for _, c := range there {
			if e.found[c.id].RegistryID == r.ID && c.active {
				usable = append(usable, c)
			}
		}
		slices.SortFunc(usable, func(a, b *credential) int { return cmp.Compare(number(a.id), number(b.id)) })
		if len(usable) > 0 && !slices.Contains(chosen, usable[0]) {
			why = append(why, fmt.Sprintf("Rancher pulls images of %s with the credential %s, its first active one, which is not regcred's: deactivate it", host, usable[0].id))
		}
	}
	return why
}

// number returns the number in an id such as 1c12.
func number(id string) int {
	digits := id[strings.LastIndexFunc(id, func(r rune) bool { return r < '0' || r > '9' })+1:]
	n, _ := strconv.Atoi(digits) // what has no number comes first
	return n
}

// create creates a credential, and its registry where there is none.
func (e *environment) create(ctx context.Context, host string, v values) (*credential, error) {
	registry, err := e.registryFor(ctx, host)
	if err != nil {
		return nil, err
	}
	made, err := e.createCredential(ctx, registry.ID, e.fields(v))
	if err != nil {
		return nil, err
	}
	e.found[made.ID] = made
	return credentialOf(made, host), nil
}

// registryFor returns the registry that a credential is to be created on, which has
// none: a list whose pages change while they are read may have left some out.
func (e *environment) registryFor(ctx context.Context, host string) (resource, error) {
	there := e.registries[host]
	if len(there) == 0 {
		made, err := e.createRegistry(ctx, addressOf(host))
		if err == nil {
			e.log.InfoContext(ctx, "a registry was created in Rancher", "registry", host, "id", made.ID, "at", e.where)
		}
		return made, err
	}
	best := max(0, slices.IndexFunc(there, func(r resource) bool { return pulls(r.ServerAddress, host) }))
	credentials, err := e.credentialsOf(ctx, there[best].ID)
	if err == nil && len(credentials) > 0 {
		err = errTaken
	}
	return there[best], err
}

// fields are values as the API takes them.
func (e *environment) fields(v values) fields {
	f := fields{PublicValue: v.username, SecretValue: v.password.Reveal(), Description: v.description}
	if _, ok := e.credential.ResourceFields["email"]; ok {
		f.Email = e.email
	}
	return f
}

func (e *environment) update(ctx context.Context, c *credential, v values) error {
	changed, err := e.put(ctx, e.found[c.id], e.fields(v))
	if err == nil {
		e.found[c.id] = changed
	}
	return err
}

func (e *environment) activate(ctx context.Context, c *credential) error {
	settled, err := e.settle(ctx, e.found[c.id])
	if err == nil && settled.State == inactive {
		settled, err = e.act(ctx, settled, "activate")
	}
	if err == nil {
		e.found[c.id], c.active = settled, true
	}
	return err
}

func (e *environment) withdraw(ctx context.Context, c *credential) error {
	settled, err := e.deactivate(ctx, e.found[c.id])
	if err != nil {
		return err
	}
	if c.record.Made {
		return e.remove(ctx, settled)
	}
	if settled, err = e.put(ctx, settled, map[string]string{"description": c.text}); err != nil {
		return err
	}
	_, err = e.settle(ctx, settled) // so that it can be written to again
	return err
}

// deactivate has a credential not be used any more.
func (e *environment) deactivate(ctx context.Context, r resource) (resource, error) {
	r, err := e.settle(ctx, r)
	if err != nil || r.State == inactive {
		return r, err
	}
	if r.State != active {
		return r, regcred.Errorf(regcred.Unavailable, "the credential %s is %s", r.ID, r.State)
	}
	if r, err = e.act(ctx, r, "deactivate"); err != nil {
		return r, err
	}
	return e.settle(ctx, r)
}
