package imageref

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// DockerHub is the canonical host of Docker Hub.
const DockerHub = "docker.io"

// dockerIndex is another name of Docker Hub's host, never a canonical one.
const dockerIndex = "index.docker.io"

// Limits of host names (RFC 1035, section 2.3.4), in bytes.
const (
	maxHost  = 253
	maxLabel = 63
)

// isHost reports whether the first segment of a name is a registry host: the rule
// of the reference grammar (distribution/reference, splitDockerDomain).
func isHost(s string) bool {
	return strings.ContainsAny(s, ".:") || s == "localhost" || strings.ToLower(s) != s
}

// splitPort splits HOST:PORT, where HOST may be an IPv6 address in brackets.
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
	host, err := canonicalName(host)
	if err != nil {
		return "", err
	}
	if port, err = canonicalPort(port); err != nil {
		return "", err
	}
	switch {
	case port == "" && !isHost(host):
		return "", fmt.Errorf("%s is neither a host, which has a dot or a port, nor a name on Docker Hub, which is in lower case", quote(hostport))
	case port == "443" && isHost(host):
		port = ""
	}
	if port != "" {
		return host + ":" + port, nil
	}
	if host == dockerIndex {
		return DockerHub, nil
	}
	return host, nil
}

// canonicalPort returns a port without leading zeros, "" for "".
func canonicalPort(port string) (string, error) {
	if port == "" {
		return "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("port %s is not a number between 1 and 65535", quote(port))
	}
	return strconv.FormatUint(n, 10), nil
}

// canonicalName returns a host name, or an IP address, in canonical form.
func canonicalName(host string) (string, error) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		return canonicalIPv6(inner)
	}
	if err := checkName(host); err != nil {
		return "", fmt.Errorf("%s is not a host name: %w", quote(host), err)
	}
	return strings.ToLower(host), nil
}

// canonicalIPv6 takes what follows the opening bracket. Zones and IPv4-mapped
// addresses are not in the reference grammar.
func canonicalIPv6(rest string) (string, error) {
	inner, closed := strings.CutSuffix(rest, "]")
	addr, err := netip.ParseAddr(inner)
	switch {
	case !closed || err != nil || !addr.Is6():
		return "", fmt.Errorf("%s is not an IPv6 address in brackets, such as [fd00::1]", quote("["+rest))
	case addr.Zone() != "":
		return "", fmt.Errorf("leave out the zone %s of the IPv6 address", quote("%"+addr.Zone()))
	case addr.Is4In6():
		return "", fmt.Errorf("write the IPv4 address %s as it is", addr.Unmap())
	}
	return "[" + addr.String() + "]", nil
}

// checkName returns an error where a name is not one of letters, digits and
// hyphens in labels, as the reference grammar has it, or over the limits of DNS.
func checkName(host string) error {
	switch {
	case strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }):
		return errors.New("write an international name in its ASCII form, which begins with xn--")
	case strings.Contains(host, ":"):
		return errors.New("write an IPv6 address in brackets, such as [fd00::1]")
	case strings.HasSuffix(host, "."):
		return errors.New("leave out the final dot")
	case len(host) > maxHost:
		return fmt.Errorf("it has more than %d characters", maxHost)
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) > maxLabel {
			return fmt.Errorf("%s has more than %d characters between two dots", quote(label), maxLabel)
		}
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notInLabel) {
			return errors.New("use letters, digits, dots and, within words, hyphens")
		}
	}
	return nil
}

func notInLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}

// parents yields the parent domains of a canonical HOST[:PORT] at which a
// credential may serve it, nearest first, each with the same port. IP addresses
// have none. They stop before a public suffix and before a shared registry
// domain; a host that is one itself has none. Each is a suffix of hostport:
// nothing is allocated.
func parents(hostport string) iter.Seq[string] {
	return func(yield func(string) bool) {
		host, _ := splitPort(hostport)
		if isAddress(host) {
			return
		}
		for own := true; strings.Contains(host, ".") && sharedAsParent(host) == ""; own = false {
			if !own && hostport != dockerIndex && !yield(hostport) {
				return
			}
			i := strings.IndexByte(host, '.') + 1
			host, hostport = host[i:], hostport[i:]
		}
	}
}

// isAddress reports whether a host is an IP address, or would be taken for one by
// some client: a name whose last label is a number, decimal or hexadecimal (WHATWG
// URL, "ends in a number").
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
