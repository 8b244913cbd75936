package keyring

import (
	"fmt"
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/imageref"
)

const (
	// hubKey is the key of Docker Hub in docker's library (configfile,
	// authConfigKey).
	hubKey = "https://index.docker.io/v1/"
	// hubAlias is a host that go.podman.io/image takes for Docker Hub where a file
	// has no key for the very host (pkg/docker/config, normalizeRegistry).
	hubAlias = "registry-1." + imageref.DockerHub
	// deisEmail is the email that Deis Workflow writes.
	deisEmail = "none@none.com"
)

// Render writes the keyring in a dialect. Expired logins are in it: they stay
// delivered until a better one comes.
//
// Errors: Invalid where the dialect is none; NotFound and Invalid where Deis,
// which has exactly one entry, would have none or more.
func (k Keyring) Render(d Dialect, o RenderOptions) (Rendering, error) {
	w := newWriter(newView(k, d), d)
	switch d {
	case Docker:
		w.docker(o)
	case Containers:
		w.containers()
	case Kubelet:
		w.kubelet()
	case Deis:
		w.docker(o)
		return w.deis(k.scope)
	default:
		_, err := ParseDialect(string(d))
		return Rendering{}, err
	}
	return w.rendering(), nil
}

// writer collects the entries of one file.
type writer struct {
	*view
	dialect Dialect
	auths   map[string]Auth   // by region
	used    map[*Entry]bool   // those whose login is in auths
	left    map[string]string // by region: why its entry was left out
	remarks map[*Entry]string // what the entries of a credential do not say
}

func newWriter(v *view, d Dialect) *writer {
	return &writer{
		view: v, dialect: d,
		auths: map[string]Auth{}, used: map[*Entry]bool{}, left: map[string]string{}, remarks: map[*Entry]string{},
	}
}

// docker writes one key for each host that resolves to one credential as a whole.
func (w *writer) docker(o RenderOptions) {
	for _, host := range w.hosts {
		r := wholeHost(w.byHost[host])
		if lone, ok := w.lone(host); ok && o.Broaden {
			r = region{name: host, host: host, entry: lone}
		}
		w.left[host] = r.problem
		w.write(r)
	}
	// go.podman.io/image takes hubKey and hubAlias for the same host, and either
	// entry for it, unless Docker Hub also has an entry by its own name.
	if _, ok := w.auths[hubAlias]; ok {
		hub := w.auths[imageref.DockerHub]
		hub.Key = imageref.DockerHub
		w.auths[hubKey] = hub
	}
}

// wholeHost returns the region of a host as a client sees it that does not look
// at paths.
func wholeHost(regions []region) region {
	host := regions[0]
	for _, r := range regions[1:] {
		if host.problem == "" && !r.has(host.entry) {
			host.problem = "docker applies a key to its whole host, and images at " + r.name + " have another credential"
		}
	}
	return host
}

// lone returns the credential with a path that is the only one which matches
// anything on a host, if its login can be used.
func (w *writer) lone(host string) (*Entry, bool) {
	if len(w.onHost[host]) != 1 || w.regions[host].entry != nil {
		return nil, false
	}
	e := w.onHost[host][0]
	return e, w.regions[e.Location.String()].has(e)
}

// containers writes a key wherever the credential changes on the way down.
func (w *writer) containers() {
	for _, host := range w.hosts {
		for _, r := range w.byHost[host] {
			w.write(r)
		}
	}
}

// write adds an entry for a region where clients would not get the right login
// from a wider one: its login, or a block where it has none.
func (w *writer) write(r region) {
	above, ok := w.above(r)
	switch {
	case r.problem != "":
		if ok && !above.Blocks() {
			w.block(r)
		}
	case ok && above.GUID == r.entry.GUID && !above.Blocks():
	case r.name == hubAlias && !ok:
		w.left[r.name] = "podman and skopeo would also send it to " + imageref.DockerHub + ", which has no entry of its own"
	default:
		w.login(r)
	}
}

// above returns the entry that clients use for a region that has none.
func (w *writer) above(r region) (Auth, bool) {
	for name := r.name; name != r.host; {
		name = name[:strings.LastIndexByte(name, '/')]
		if a, ok := w.auths[name]; ok {
			return a, true
		}
	}
	if r.host == hubAlias && w.dialect != Kubelet {
		a, ok := w.auths[imageref.DockerHub]
		return a, ok
	}
	return Auth{}, false
}

// login adds an entry with the login of the region's credential.
func (w *writer) login(r region) {
	l := r.entry.Login
	w.auths[r.name] = Auth{
		Key: w.key(r), GUID: r.entry.GUID,
		Username: l.Username, Password: l.Password, ExpiresAt: l.ExpiresAt,
	}
	w.used[r.entry] = true
}

// block adds an entry without a login.
func (w *writer) block(r region) {
	a := Auth{Key: w.key(r)}
	if r.entry != nil {
		a.GUID = r.entry.GUID
	}
	w.auths[r.name] = a
}

// key returns how the dialect spells a region.
func (w *writer) key(r region) string {
	switch {
	case r.name == imageref.DockerHub && w.dialect != Containers && w.dialect != Kubelet:
		return hubKey
	case r.name != r.host && w.dialect == Kubelet:
		return r.name + "/"
	}
	return r.name
}

// deis returns the rendering whose only entry is that of the only credential with
// an entry for its own host.
func (w *writer) deis(scope regcred.Scope) (Rendering, error) {
	var hosts []string
	for host, a := range w.auths {
		if !a.Blocks() && w.own(a.GUID, host) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	switch len(hosts) {
	case 0:
		return Rendering{}, regcred.Errorf(regcred.NotFound,
			"Deis needs one credential for a whole registry host, with a login, and %s has none%s", atScope(scope), w.reasons())
	case 1:
	default:
		return Rendering{}, regcred.Errorf(regcred.Invalid,
			"Deis takes one credential, and %s has some for %s: give it a scope that sees just one", atScope(scope), strings.Join(hosts, ", "))
	}
	a := w.auths[hosts[0]]
	a.Email = deisEmail
	if a.Key != hubKey {
		a.Key = "https://" + a.Key
	}
	w.auths = map[string]Auth{hosts[0]: a}
	return w.rendering(), nil
}

// reasons lists why credentials were left out, to end a sentence with.
func (w *writer) reasons() string {
	var s strings.Builder
	for _, o := range w.rendering().Omitted {
		fmt.Fprintf(&s, "; %s: %s", o.Location, o.Reason)
	}
	return s.String()
}

// own reports whether a credential's location is on a host, not above it.
func (w *writer) own(guid, host string) bool {
	return slices.ContainsFunc(w.entries, func(e *Entry) bool { return e.GUID == guid && e.Location.Host() == host })
}

// rendering sorts what was written, and says what was not.
func (w *writer) rendering() Rendering {
	var out Rendering
	for _, a := range w.auths {
		out.Auths = append(out.Auths, a)
	}
	slices.SortFunc(out.Auths, func(a, b Auth) int { return strings.Compare(a.Key, b.Key) })
	for _, e := range w.entries {
		reason := w.remarks[e]
		if !w.used[e] {
			reason = w.reason(e)
		}
		if reason != "" {
			out.Omitted = append(out.Omitted, Omission{e.GUID, e.Location, e.Scope, reason})
		}
	}
	return out
}

// reason says why an entry's login was not written.
func (w *writer) reason(e *Entry) string {
	r := w.regions[e.Location.String()]
	problem := e.problem(e.Location.Host())
	switch {
	case r.entry != nil && r.entry != e:
		return "the credential of " + atScope(r.entry.Scope) + " for " + r.entry.Location.String() + " is nearer"
	case problem != "":
		return problem
	case r.entry == nil:
		return r.problem
	case w.left[r.name] != "":
		return w.left[r.name]
	}
	reason := "docker applies a key to its whole host, and this credential is for a path alone"
	if _, ok := w.lone(r.host); ok {
		reason += "; broaden lets it stand for the host"
	}
	return reason
}
