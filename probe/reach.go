package probe

import (
	"net/netip"
	"net/url"
	"strings"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// reach says how far inside a registry stands, and so whom it may send us to.
type reach int

const (
	public  reach = iota // on the Internet
	private              // in a network of one's own
	machine              // on this machine
)

// refuse reports whether an address is further inside than r.
func (r reach) refuse(addr netip.Addr) bool {
	switch r {
	case machine:
		return web.Local(addr)
	case private:
		return web.Loopback(addr)
	}
	return web.Private(addr)
}

// reachOf returns the reach of a host (HOST[:PORT]) that answered at an address. Where
// that is not known, behind a proxy, the host's own spelling decides.
func reachOf(remote netip.Addr, host string) reach {
	name := (&url.URL{Host: host}).Hostname()
	if literal, ok := web.Literal(name); ok && !remote.IsValid() {
		remote = literal
	}
	switch {
	case remote.IsValid() && web.Loopback(remote), !remote.IsValid() && isLocalhost(name):
		return machine
	case remote.IsValid() && web.Private(remote):
		return private
	}
	return public
}

// realm returns the URL of the token service that a challenge names, where a
// registry of that reach may name it. http says whether it was itself asked over
// http.
func (p *Prober) realm(text string, from reach, http bool) (*url.URL, error) {
	refuse := func(why string) (*url.URL, error) {
		return nil, regcred.Errorf(regcred.Unavailable, "the registry names a token service that is not asked: %s", why)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return refuse("it is no URL")
	}
	host := u.Hostname()
	literal, isLiteral := web.Literal(host)
	switch {
	case u.User != nil:
		return refuse("a user name is in its URL")
	case u.Scheme != "https" && (u.Scheme != "http" || !http || !p.plainHTTP(u.Host)):
		return refuse("its URL does not begin with https://")
	case !isLiteral && !isName(host) || web.Ambiguous(host) || !isPort(u):
		return refuse("its host is not written as hosts are")
	case isLiteral && (literal.Zone() != "" || from.refuse(literal)):
		return refuse("its address is of an internal network, which the registry is not in")
	case from != machine && isLocalhost(host):
		return refuse("it would be on this machine, which the registry is not on")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// isLocalhost reports whether a name is this machine's by RFC 6761, section 6.3.
func isLocalhost(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// isName reports whether a host is letters, digits, dots and hyphens.
func isName(host string) bool {
	return host != "" && strings.IndexFunc(host, func(r rune) bool { return !isAlphanumeric(r) && r != '.' && r != '-' && r != '_' }) < 0
}

// isPort reports whether a URL has a port from 1 to 65535, or none at all.
func isPort(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	_, err := netip.ParseAddrPort("127.0.0.1:" + port)
	return err == nil && strings.Trim(port, "0") != ""
}
