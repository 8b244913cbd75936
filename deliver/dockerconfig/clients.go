package dockerconfig

import (
	"fmt"
	"slices"
	"strings"
)

// helperName is what docker calls docker-credential-regcred in its settings.
const helperName = "regcred"

// shownHosts bounds how many hosts a warning names.
const shownHosts = 5

// warnClients says what in the file keeps clients from using what is delivered.
//
// Docker's library asks the program of "credHelpers" for a registry that stands
// there, else that of "credsStore", and looks at "auths" only where neither is set.
func (s *session) warnClients(o *opened) {
	if o.info != nil && o.info.Mode().Perm()&0o004 != 0 {
		s.warn("every user of this machine can read it, and so the logins: chmod 600 it")
	}
	var helpers map[string]string
	var store string
	o.doc.member("credHelpers", &helpers)
	o.doc.member("credsStore", &store)
	var ignored []string
	for _, key := range o.final.keys() {
		e := o.final.Entries[key]
		if e.Store != s.book.StoreID() || e.Blocks {
			continue
		}
		host := helperKey(key)
		switch helper := helpers[host]; helper {
		case helperName:
		case "":
			ignored = append(ignored, host)
		default:
			s.warn(`"credHelpers" has clients ask docker-credential-%s for %s, and ignore what is delivered: write %s there instead`,
				helper, host, offer([]string{host}))
		}
	}
	if store != "" && len(ignored) > 0 {
		s.warn(`"credsStore" is %q, so docker and clients like it ignore "auths": add "credHelpers": %s, with docker-credential-regcred in PATH`,
			store, offer(slices.Compact(ignored)))
	}
}

// helperKey returns the key in "credHelpers" for a key in "auths": the host, and for
// Docker Hub the very same key.
func helperKey(key string) string {
	if key == "https://index.docker.io/v1/" {
		return key
	}
	if _, host, ok := strings.Cut(key, "://"); ok {
		key = host
	}
	host, _, _ := strings.Cut(key, "/")
	return host
}

// offer returns the "credHelpers" for hosts, as JSON.
func offer(hosts []string) string {
	more := ""
	if len(hosts) > shownHosts {
		hosts, more = hosts[:shownHosts], ", and so on"
	}
	helpers := make([]string, len(hosts))
	for i, h := range hosts {
		helpers[i] = fmt.Sprintf("%q:%q", h, helperName) // hosts need no escaping
	}
	return "{" + strings.Join(helpers, ",") + "}" + more
}
