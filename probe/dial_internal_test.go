package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/regcredtest"
)

// listen counts the connections to a port of this machine.
func listen(t *testing.T) (port string, reached *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	reached = new(atomic.Int32)
	go func() {
		for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
			reached.Add(1)
			c.Close()
		}
	}()
	_, port, _ = strings.Cut(listener.Addr().String(), ":")
	return port, reached
}

// TestRealmResolves shows that a realm's name that resolves to an address which the
// registry may not send us to is not asked, since that is looked at as it is dialed.
// The registry is reached in process, and so counts as one on the Internet; its token
// service is dialed.
func TestRealmResolves(t *testing.T) {
	resolver := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = resolver })
	port, reached := listen(t)
	for _, address := range [][4]byte{{127, 0, 0, 1}, {10, 0, 0, 1}, {169, 254, 169, 254}} {
		net.DefaultResolver = resolvesTo(address)
		p := New(Options{})
		p.registries = web.New(web.Options{Transport: regcredtest.HandlerTransport{"registry.example.com": http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://auth.example.net:%s/token"`, port))
				w.WriteHeader(http.StatusUnauthorized)
			})}})
		login := regcred.Login{Username: "robot", Password: regcred.NewSecret("canary-4711")}
		_, err := p.Probe(t.Context(), "registry.example.com", login, "")
		if err == nil || !strings.Contains(err.Error(), "internal network") {
			t.Errorf("%v: error %v", address, err)
		}
	}
	if reached.Load() != 0 {
		t.Errorf("%d connections to this machine", reached.Load())
	}
}

// TestPublicOnly shows that a Prober for callers who are no admins does not connect to
// this machine or a private network, however the host is written.
func TestPublicOnly(t *testing.T) {
	resolver := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = resolver })
	port, reached := listen(t)
	login := regcred.Login{Username: "robot", Password: regcred.NewSecret("canary-4711")}
	for host, address := range map[string][4]byte{
		"127.0.0.1": {}, "localhost": {127, 0, 0, 1}, "[::1]": {}, "10.0.0.1": {}, "169.254.169.254": {},
		"registry.example.com": {127, 0, 0, 1}, "inside.example.com": {192, 168, 0, 7}, "metadata.example.com": {169, 254, 169, 254},
	} {
		net.DefaultResolver = resolvesTo(address)
		_, err := New(Options{PublicOnly: true}).Probe(t.Context(), host+":"+port, login, "")
		if err == nil || !strings.Contains(err.Error(), "internal network") {
			t.Errorf("%s: error %v", host, err)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d connections to this machine", n)
	}
	if _, err := New(Options{}).Probe(t.Context(), "127.0.0.1:"+port, login, ""); err == nil || reached.Load() == 0 {
		t.Errorf("the listener cannot be reached at all, which proves nothing: %v", err)
	}
}

// resolvesTo is a resolver by which each name has one address. It speaks DNS over
// TCP (RFC 1035, section 4.2.2) on a pipe.
func resolvesTo(address [4]byte) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			packet := make([]byte, 512)
			n, err := server.Read(packet[:2])
			if err != nil || n != 2 {
				return
			}
			var message dnsmessage.Message
			n, err = server.Read(packet)
			if err != nil || message.Unpack(packet[:n]) != nil {
				return
			}
			message.Response, message.Additionals = true, nil
			for _, q := range message.Questions {
				if q.Type == dnsmessage.TypeA {
					message.Answers = append(message.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: address}})
				}
			}
			answer, err := message.AppendPack([]byte{0, 0})
			if err != nil {
				return
			}
			answer[0], answer[1] = byte((len(answer)-2)>>8), byte(len(answer)-2)
			_, _ = server.Write(answer)
		}()
		return client, nil
	}}
}
