package registry

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// indirect reports whether a header is one of requests that somebody else sent on, or
// that a web page made a browser send: where such a request comes from is not who wants
// it. Some proxies name no client, but the scheme or host that it asked for. A page whose
// name is made to lead here (DNS rebinding) reads without an Origin; Accept-Language is
// what every browser sends, and no client of registries.
func indirect(header string) bool {
	switch header {
	case "Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Origin", "Accept-Language":
		return true
	}
	return strings.HasPrefix(header, "X-Forwarded") || strings.HasPrefix(header, "X-Envoy-")
}

// clientAddr returns where a request comes from, as far as that may open anything:
// its peer, or the client that a trusted proxy names. It is the zero Addr, which is
// in no network, where that is not known or not to be trusted.
func (s *Server) clientAddr(r *http.Request) netip.Addr {
	if !s.storage.policy.networks() {
		return netip.Addr{} // nobody will ask
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a local socket
	}
	addr := plain(peer.Addr())
	if contains(s.proxies, addr) {
		if r.Header["Origin"] != nil || r.Header["Accept-Language"] != nil {
			return netip.Addr{}
		}
		return forwardedFor(r.Header.Values("X-Forwarded-For"), s.proxies)
	}
	for name := range r.Header {
		if indirect(name) {
			return netip.Addr{}
		}
	}
	return addr
}

// Address returns where a request comes from, as the audit log has it: its peer or, where
// that is a trusted proxy, the client that the proxy names. It is "" for a local socket.
func (s *Server) Address(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := plain(peer.Addr())
	if contains(s.proxies, addr) {
		if client := forwardedFor(r.Header.Values("X-Forwarded-For"), s.proxies); client.IsValid() {
			addr = client
		}
	}
	return addr.String()
}

// forwardedFor returns the client that trusted proxies name: each adds who called it
// at the end, so what stands before the first that is not trusted is anybody's word.
func forwardedFor(headers []string, trusted []netip.Prefix) netip.Addr {
	for _, hop := range slices.Backward(strings.Split(strings.Join(headers, ","), ",")) {
		addr, err := parseHop(strings.TrimSpace(hop))
		if err != nil {
			return netip.Addr{}
		}
		if addr = plain(addr); !contains(trusted, addr) {
			return addr
		}
	}
	return netip.Addr{}
}

// parseHop reads an address, with a port or without.
func parseHop(hop string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return withPort.Addr(), nil
	}
	return netip.ParseAddr(hop)
}

// plain returns an address in the form in which networks are written: IPv4 as such,
// and IPv6 without its zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}
