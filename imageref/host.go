package imageref

import (
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// DockerHub is the canonical host of Docker Hub.
const DockerHub = "docker.io"

// isHost reports whether the first segment of a name is a registry host: the rule
// of the reference grammar (distribution/reference, splitDockerDomain).
func isHost(s string) bool {
	return strings.ContainsAny(s, ".:") || s == "localhost" || strings.ToLower(s) != s
}

// splitPort splits HOST:PORT, where HOST may be a bracketed IPv6 address.
func splitPort(hostport string) (host, port string) {
	i := strings.LastIndexByte(hostport, ':')
	if i < 0 || strings.HasSuffix(hostport, "]") {
		return hostport, ""
	}
	return hostport[:i], hostport[i+1:]
}

// canonicalHost returns HOST[:PORT] in canonical form.
func canonicalHost(hostport string) (string, error) {
	host, port := splitPort(hostport)
	if port == "" && strings.HasSuffix(hostport, ":") {
		return "", fmt.Errorf("%s names no port after the colon", quote(hostport))
	}
	host = strings.ToLower(host)
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || addr.Zone() != "" || !addr.Is6() {
			return "", fmt.Errorf("%s is not an IPv6 address", quote(host))
		}
		host = "[" + addr.String() + "]"
	}
	// The grammar's own word on what a host is; the path is a stand-in.
	if _, err := reference.WithName(host + "/x"); err != nil || !isHost(hostport) {
		return "", fmt.Errorf("%s is not a host name: use letters, digits, dots and single hyphens", quote(host))
	}
	switch n, err := strconv.ParseUint(port, 10, 16); {
	case port == "":
	case err != nil || n == 0:
		return "", fmt.Errorf("port %s is not between 1 and 65535", quote(port))
	case n == 443:
		port = ""
	default:
		port = strconv.FormatUint(n, 10)
	}
	if host == "index."+DockerHub {
		host = DockerHub
	}
	if port == "" {
		return restorable(host)
	}
	return host + ":" + port, nil
}

// restorable refuses a host that only its port 443 made one: "registry:443" would
// read as a Docker Hub name once the port is left out.
func restorable(host string) (string, error) {
	if !isHost(host) {
		return "", fmt.Errorf("%s needs a domain: port 443 is the default and is left out, and what remains does not read as a host", quote(host))
	}
	return host, nil
}

// parents yields the parent domains of a canonical HOST[:PORT] at which a
// credential may serve it, nearest first, each with the same port. IP addresses
// have none. They stop before a public suffix and before a shared registry
// domain. Each is a suffix of hostport: nothing is allocated.
func parents(hostport string) iter.Seq[string] {
	return func(yield func(string) bool) {
		host, _ := splitPort(hostport)
		if isAddress(host) {
			return
		}
		for {
			i := strings.IndexByte(host, '.')
			if i < 0 {
				return
			}
			host, hostport = host[i+1:], hostport[i+1:]
			if !strings.Contains(host, ".") || sharedAsParent(host) != "" || !yield(hostport) {
				return
			}
		}
	}
}

// isAddress reports whether a host is an IP address, or would be taken for one by
// some client: a name whose last label is a number (WHATWG URL, "ends in a
// number").
func isAddress(host string) bool {
	if strings.HasPrefix(host, "[") {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
