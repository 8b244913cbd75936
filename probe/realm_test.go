package probe_test

import (
	"fmt"
	"net/http"
	"testing"

	"regcred.dev"
	"regcred.dev/probe"
	"regcred.dev/regcredtest"
)

// asksFor is a registry that names a realm; it takes "Bearer canary-token".
func asksFor(realm string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer canary-token" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", realm))
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}

// everywhere reaches a registry by its host, and a token service at all others.
type everywhere struct {
	registry regcredtest.HandlerTransport
	asked    []string
}

func (e *everywhere) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, ok := e.registry[req.URL.Host]; ok {
		return e.registry.RoundTrip(req)
	}
	e.asked = append(e.asked, req.URL.Scheme+"://"+req.URL.Host)
	hand := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"token":"canary-token"}`)) })
	return regcredtest.HandlerTransport{req.URL.Host: hand}.RoundTrip(req)
}

// From where a realm may be named: by a registry on the Internet, by one in a private
// network, by one on this machine, or by none.
const (
	anyName = iota
	privateToo
	machineToo
	never
)

var realms = []struct {
	realm string
	from  int
}{
	{"https://auth.example.net/token", anyName},
	{"https://AUTH.example.net:8443/token?a=b#c", anyName},
	{"https://registry.example.com.evil.example/token", anyName}, // it can have its login
	{"https://203.0.113.9/token", anyName},
	{"https://[2001:db8::1]/token", anyName},
	{"https://my_auth.example.net/token", anyName},

	{"https://10.0.0.1/token", privateToo},
	{"https://172.16.0.1/token", privateToo},
	{"https://192.168.1.1:8443/token", privateToo},
	{"https://100.64.1.1/token", privateToo},
	{"https://[fd00::1]/token", privateToo},
	{"https://[::ffff:10.0.0.1]/token", privateToo},
	{"https://[64:ff9b::10.0.0.1]/token", privateToo},
	{"https://[2002:a00:1::]/token", privateToo},

	{"https://127.0.0.1/token", machineToo},
	{"https://127.9.9.9:6443/token", machineToo},
	{"https://[::1]/token", machineToo},
	{"https://[::ffff:127.0.0.1]/token", machineToo},
	{"https://[::127.0.0.1]/token", machineToo},
	{"https://localhost/token", machineToo},
	{"https://LOCALHOST./token", machineToo},
	{"https://a.localhost/token", machineToo},

	{"https://169.254.169.254/latest/meta-data/", never},
	{"https://[::ffff:169.254.169.254]/", never},
	{"https://[::ffff:a9fe:a9fe]/", never},
	{"https://[64:ff9b::a9fe:a9fe]/", never},
	{"https://[2002:a9fe:a9fe::]/", never},
	{"https://[fe80::1]/", never},
	{"https://[fe80::1%25eth0]/", never},
	{"https://[2001:db8::1%25eth0]/", never},
	{"https://[fd00:ec2::254]/", never},
	{"https://168.63.129.16/", never},
	{"https://0.0.0.0/", never},
	{"https://[::]/", never},
	{"https://224.0.0.1/", never},
	{"https://2852039166/", never},
	{"https://0xa9fea9fe/", never},
	{"https://0xa9.0xfe.0xa9.0xfe/", never},
	{"https://0251.0376.0251.0376/", never},
	{"https://169.254.43518/", never},
	{"https://169.254.169.254./", never},
	{"https://127.1/", never},
	{"https://127.0.0.1./", never},
	{"https://１６９.254.169.254/", never},
	{"https://169。254。169。254/", never},
	{"https://ⓛocalhost/", never},
	{"https://%31%36%39.254.169.254/", never},
	{"http://auth.example.net/token", never},
	{"http://127.0.0.1/token", never},
	{"http://169.254.169.254/", never},
	{"https://user:pass@auth.example.net/token", never},
	{"https://auth.example.net\\@169.254.169.254/", never},
	{"https://@auth.example.net/token", never},
	{"https://auth.example.net:0/token", never},
	{"https://auth.example.net:00/token", never},
	{"https://auth.example.net:65536/token", never},
	{"https://auth.example.net:/token", never},
	{"https://auth.example.net:port/token", never},
	{"https://:443/token", never},
	{"https:///token", never},
	{"https:auth.example.net", never},
	{"//auth.example.net/token", never},
	{"/token", never},
	{"auth.example.net/token", never},
	{"", never},
	{"javascript:alert(1)", never},
	{"file:///etc/passwd", never},
	{"gopher://auth.example.net/", never},
	{"ftp://auth.example.net/", never},
	{"https://auth.example.net\r\nX: y/", never},
	{"https://auth example.net/", never},
	{"https://auth.example.net%00/", never},
}

// TestRealms shows which realms a registry may name, by where it stands itself: the
// login must not reach any other.
func TestRealms(t *testing.T) {
	for from, host := range []string{registryHost, "10.1.2.3:5000", "localhost:5000"} {
		for _, test := range realms {
			t.Run(host+" "+test.realm, func(t *testing.T) {
				e := &everywhere{registry: regcredtest.HandlerTransport{host: asksFor(test.realm)}}
				l := login(password)
				l.Hosts = nil
				report, err := probe.New(probe.Options{Transport: e}).Probe(t.Context(), host, l, "")
				checkSilent(t, report, err)
				want := test.from <= from
				if want && (err != nil || !report.Accepted || len(e.asked) != 1) {
					t.Errorf("asked %q: %v", e.asked, err)
				}
				if !want {
					checkError(t, err, regcred.Unavailable, "names a token service that is not asked")
					if len(e.asked) != 0 {
						t.Errorf("asked %q", e.asked)
					}
				}
			})
		}
	}
}
