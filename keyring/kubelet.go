package keyring

import (
	"strings"

	"regcred.dev/imageref"
)

// kubelet writes keys by the kubelet's rules (k8s.io/kubernetes,
// pkg/credentialprovider): it tries every key that is a prefix of the image, the
// longest first. So a key is written only where each region below it that has
// another credential has a key too, which is then tried before.
//
// Docker Hub's key is docker.io. The other one that the kubelet knows,
// https://index.docker.io/v1/, also counts for images at "localhost".
func (w *writer) kubelet() {
	for _, host := range w.hosts {
		regions := w.byHost[host]
		for i, able := range w.able(regions) {
			r := regions[i]
			if !able {
				if r.problem == "" {
					w.remarks[r.entry] = "nothing is written for " + r.name + ": " + w.left[r.name]
				}
				continue
			}
			if above, ok := w.above(r); ok && above.GUID == r.entry.GUID {
				continue
			}
			w.login(r)
			if r.name != r.host {
				w.remarks[r.entry] = "the kubelet applies it below " + r.name + "/, not to the repository " + r.name + " itself"
			}
		}
	}
	below := map[string][]string{}
	for _, host := range w.hosts {
		_, parent, _ := strings.Cut(host, ".")
		below[parent] = append(below[parent], host)
	}
	for _, host := range w.hosts {
		w.subdomains(w.byHost[host][0], below[host])
	}
}

// able says which regions of a host can have a key.
func (w *writer) able(regions []region) []bool {
	able := make([]bool, len(regions))
	for i := len(regions) - 1; i >= 0; i-- {
		r := regions[i]
		problem := r.problem
		if problem == "" {
			problem = kubeletProblem(r)
		}
		for j := i + 1; problem == "" && j < len(regions) && strings.HasPrefix(regions[j].name, r.name+"/"); j++ {
			if !able[j] && !regions[j].has(r.entry) {
				problem = "the kubelet would also try it for images at " + regions[j].name + ", which have another credential but no key of their own"
			}
		}
		able[i] = problem == ""
		w.left[r.name] = problem
	}
	return able
}

// kubeletProblem says why the kubelet cannot match a region, "" where it can.
func kubeletProblem(r region) string {
	path := strings.TrimPrefix(r.name, r.host) + "/"
	switch {
	case strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/v2/"):
		return "the kubelet takes the path's first segment for the version of a registry API and would apply it to the whole host"
	case strings.HasSuffix(r.host, "]"):
		return "the kubelet cannot match an IPv6 address without a port"
	}
	return ""
}

// subdomains writes *.HOST for a credential whose location is a host, where all
// known hosts one label below it resolve to it.
func (w *writer) subdomains(host region, below []string) {
	a, ok := w.auths[host.name]
	if !ok || host.name == imageref.DockerHub || host.entry.Location.String() != host.name || len(host.entry.Login.Hosts) > 0 {
		return
	}
	some, err := imageref.ParseLocation("x." + host.name)
	if err != nil || !host.entry.Location.Covers(some) {
		return
	}
	for _, other := range below {
		for _, r := range w.byHost[other] {
			if !r.has(host.entry) {
				w.remarks[host.entry] = "the kubelet applies it to " + host.name + " alone and to no host below, since " + r.name + " has another credential"
				return
			}
		}
	}
	a.Key = "*." + host.name
	w.auths[a.Key] = a
}
