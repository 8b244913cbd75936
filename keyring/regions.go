package keyring

import (
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/imageref"
)

// region is all images of one host that are at or below a location, and not at or
// below a deeper location that the keyring knows of: all of them have the same
// credentials to choose from, and so resolve alike.
type region struct {
	name string // HOST[:PORT][/PATH]
	host string
	// entry is what the images resolve to; nil where that is nothing, or where it
	// depends on the spelling.
	entry *Entry
	// problem says why the region cannot have the entry's login, "" where it can.
	problem string
}

// has reports whether the images of the region may use e's login.
func (r region) has(e *Entry) bool { return r.entry == e && r.problem == "" }

const problemSpelling = "clients cannot tell acme/app from docker.io/acme/app, and this keyring has different credentials for the two"

// view is a keyring prepared for rendering.
type view struct {
	entries []*Entry
	levels  []map[string]*Entry // by location; nearest scope first
	onHost  map[string][]*Entry // those whose location is on a host
	regions map[string]region   // by name
	hosts   []string            // sorted
	byHost  map[string][]region // the host's own first, each before those below it
}

// newView finds the regions of every host that a location or a login names, and
// of those that the clients of a dialect mix up with them.
func newView(k Keyring, d Dialect) *view {
	v := &view{entries: k.Entries(), onHost: map[string][]*Entry{}, regions: map[string]region{}, byHost: map[string][]region{}}
	v.levels = byScope(v.entries)
	for _, e := range v.entries {
		if e.Location.IsZero() {
			continue
		}
		v.onHost[e.Location.Host()] = append(v.onHost[e.Location.Host()], e)
		v.add(e.Location, e.Location.String())
		v.add(e.Location, e.Location.Host())
		for _, host := range loginHosts(e) {
			v.add(host, host.String())
		}
	}
	if alias, err := imageref.ParseLocation(hubAlias); err == nil && d != Kubelet && v.regions[imageref.DockerHub].entry != nil {
		v.add(alias, hubAlias)
	}
	for host, regions := range v.byHost {
		v.hosts = append(v.hosts, host)
		slices.SortFunc(regions, func(a, b region) int { return comparePaths(a.name, b.name) })
	}
	slices.Sort(v.hosts)
	return v
}

// byScope indexes entries by location, for each scope.
func byScope(entries []*Entry) []map[string]*Entry {
	var list []map[string]*Entry
	for i, e := range entries {
		if i == 0 || e.Scope != entries[i-1].Scope {
			list = append(list, map[string]*Entry{})
		}
		if !e.Location.IsZero() {
			list[len(list)-1][e.Location.String()] = e
		}
	}
	return list
}

// loginHosts returns the hosts within an entry's location that its login names.
func loginHosts(e *Entry) []imageref.Location {
	var list []imageref.Location
	if e.Login == nil {
		return nil
	}
	for _, host := range e.Login.Hosts {
		if l, err := imageref.ParseLocation(host); err == nil && l.Path() == "" && e.Location.Covers(l) {
			list = append(list, l)
		}
	}
	return list
}

// comparePaths orders names so that all that lie below one follow it directly.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// add adds the region of a name, which is a location or its host.
func (v *view) add(at imageref.Location, name string) {
	if _, ok := v.regions[name]; ok {
		return
	}
	r := region{name: name, host: at.Host()}
	r.entry = v.resolve(at, name, false)
	switch {
	case r.host == imageref.DockerHub && r.entry != v.resolve(at, name, true):
		r.entry, r.problem = nil, problemSpelling
	case r.entry == nil:
		r.problem = "nothing matches"
	default:
		r.problem = r.entry.problem(r.host)
	}
	v.regions[name] = r
	v.byHost[r.host] = append(v.byHost[r.host], r)
}

// resolve does for a region what Lookup does for one of its images; short says
// that the image is written without a host.
func (v *view) resolve(at imageref.Location, name string, short bool) *Entry {
	candidates := wider(name, at.Host(), short)
	for _, level := range v.levels {
		for _, candidate := range candidates {
			e := level[candidate]
			if e != nil && (e.Location.Path() != "" || e.Location.Covers(at)) {
				return e
			}
		}
	}
	return nil
}

// wider lists what may cover a name: itself, its path ancestors, its host, and
// all that may be a parent domain of that.
func wider(name, host string, short bool) []string {
	var list []string
	for ; name != host; name = name[:strings.LastIndexByte(name, '/')] {
		list = append(list, name)
	}
	if library := imageref.DockerHub + "/library"; short && !slices.Contains(list, library) {
		list = append(list, library)
	}
	for domain, more := host, true; more; _, domain, more = strings.Cut(domain, ".") {
		list = append(list, domain)
	}
	return list
}

// problem says why clients cannot have the entry's login for a host, "" where
// they can. An expired login stays: it is marked, until a better one comes.
func (e *Entry) problem(host string) string {
	switch {
	case e.Err != nil:
		return "its stored row does not pass its integrity check"
	case e.Login == nil && e.Location.IsZero():
		return "its location is found when its first login is minted, and there is none yet"
	case e.Login == nil && e.DropRevision > 0:
		return "its login was revoked, and there is no new one yet"
	case e.Login == nil:
		return "it has no login yet"
	case e.Location.IsZero():
		return "its location is not found yet"
	case !e.Login.Serves(host):
		return "its login is for " + strings.Join(e.Login.Hosts, ", ") + ", not for " + host
	}
	return unsayable(e.Login)
}

// unsayable says why no docker config file can hold a login, "" where it can.
func unsayable(l *regcred.Login) string {
	password := l.Password.Reveal()
	switch {
	case l.Username == "":
		return "its login has no user name, which clients refuse"
	case strings.Contains(l.Username, ":"):
		return "its user name holds a colon, which Basic authentication cannot carry"
	case strings.Trim(password, "\x00") != password:
		return "its password begins or ends with a NUL character, which clients cut off"
	}
	return ""
}
