package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"regcred.dev"
)

// route decides where the requests of one transport may go. A host is looked at
// twice: as it is written in the URL, before a proxy could take it, and as the
// address that its name resolved to, when that is dialed.
//
// What a proxy from the environment makes of a name is up to that proxy, which
// stands in a network of its own. The proxy itself is the operator's choice, and
// may be anywhere.
type route struct {
	refuse  func(netip.Addr) bool
	proxies sync.Map // the addresses (HOST:PORT) of proxies that were used
}

// proxy is an http.Transport's Proxy, which that asks for each request.
func (r *route) proxy(req *http.Request) (*url.URL, error) {
	if err := r.check(req.URL.Hostname()); err != nil {
		return nil, err
	}
	proxy, err := http.ProxyFromEnvironment(req)
	if proxy != nil {
		r.proxies.Store(net.JoinHostPort(proxy.Hostname(), portOf(proxy)), true)
	}
	return proxy, err
}

// check looks at a host as it is written.
func (r *route) check(host string) error {
	if addr, ok := Literal(host); ok && r.refuse(addr) {
		return refused(host)
	}
	if Ambiguous(host) {
		return regcred.Errorf(regcred.Unavailable, "%q is not asked: some would read it as an address, others as a name", host)
	}
	return nil
}

// dial is an http.Transport's DialContext.
func (r *route) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if _, isProxy := r.proxies.Load(address); !isProxy {
		dialer.Control = r.control
	}
	return dialer.DialContext(ctx, network, address)
}

// control is a net.Dialer's Control: it sees the address that a name resolved to,
// however that was written.
func (r *route) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || r.refuse(ap.Addr()) {
		return refused(address)
	}
	return nil
}

func refused(address string) error {
	return regcred.Errorf(regcred.Unavailable, "%s is an address of an internal network, which is not asked", address)
}

// portOf returns the port of a proxy's URL, as net/http completes it.
func portOf(proxy *url.URL) string {
	if port := proxy.Port(); port != "" {
		return port
	}
	switch proxy.Scheme {
	case "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	}
	return "80"
}
