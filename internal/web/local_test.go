package web_test

import (
	"context"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// TestAddresses says of addresses how far inside they are.
func TestAddresses(t *testing.T) {
	const public, private, loopback, local = 0, 1, 2, 3
	for text, want := range map[string]int{
		"203.0.113.9": public, "8.8.8.8": public, "100.63.255.255": public, "100.128.0.0": public,
		"172.32.0.1": public, "2001:db8::1": public, "2600::1": public, "64:ff9b::8.8.8.8": public,
		"2002:808:808::": public, "::ffff:8.8.8.8": public, "::8.8.8.8": public, "168.63.129.15": public,

		"10.0.0.1": private, "172.16.0.1": private, "172.31.255.255": private, "192.168.0.1": private,
		"100.64.0.1": private, "100.127.255.255": private, "198.18.0.1": private, "192.0.0.8": private,
		"0.1.2.3": private, "240.0.0.1": private, "255.255.255.255": private, "fd00::1": private, "fc00::1": private,
		"fec0::1": private, "64:ff9b:1::7f00:1": private, "2001:0:7f00:1::": private, "64:ff9b::10.0.0.1": private,
		"2002:a00:1::": private, "::ffff:192.168.0.1": private, "::192.168.0.1": private,

		"127.0.0.1": loopback, "127.255.255.255": loopback, "::1": loopback, "::ffff:127.0.0.1": loopback,
		"64:ff9b::127.0.0.1": loopback, "2002:7f00:1::": loopback, "::127.0.0.1": loopback,

		"169.254.169.254": local, "169.254.0.1": local, "169.254.170.2": local, "fe80::1": local, "fe80::1%eth0": local,
		"::ffff:169.254.169.254": local, "64:ff9b::169.254.169.254": local, "2002:a9fe:a9fe::1": local, "::169.254.169.254": local,
		"fd00:ec2::254": local, "fd00:ec2::23": local, "fd00:ec2::254%1": local, "100.100.100.200": local, "168.63.129.16": local,
		"192.0.0.192": local, "0.0.0.0": local, "::": local, "224.0.0.1": local, "ff02::1": local, "::ffff:0.0.0.0": local,
	} {
		addr := netip.MustParseAddr(text)
		got := public
		switch {
		case web.Local(addr):
			got = local
		case web.Loopback(addr):
			got = loopback
		case web.Private(addr):
			got = private
		}
		if got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
	}
}

// TestNested shows that each kind of address is one of the next wider kind, and that
// an IPv4 address is what it is in every form of IPv6.
func TestNested(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		v4 := netip.AddrFrom4([4]byte(b[:4]))
		mapped, translated := netip.AddrFrom16(v4.As16()), [16]byte{1: 0x64, 2: 0xff, 3: 0x9b}
		copy(translated[12:], b[:4])
		for _, addr := range []netip.Addr{v4, netip.AddrFrom16(b)} {
			if web.Local(addr) && !web.Loopback(addr) || web.Loopback(addr) && !web.Private(addr) {
				t.Errorf("%s: local %t, loopback %t, private %t", addr, web.Local(addr), web.Loopback(addr), web.Private(addr))
			}
		}
		for _, kind := range []func(netip.Addr) bool{web.Local, web.Loopback, web.Private} {
			if kind(v4) != kind(mapped) || kind(v4) != kind(netip.AddrFrom16(translated)) {
				t.Errorf("%s is not what it is as %s or %s", v4, mapped, netip.AddrFrom16(translated))
			}
		}
	})
}

func TestAmbiguous(t *testing.T) {
	for host, want := range map[string]bool{
		"2852039166": true, "0xa9fea9fe": true, "0XA9FEA9FE": true, "0xa9.0xfe.0xa9.0xfe": true, "0251.0376.0251.0376": true,
		"169.254.43518": true, "127.1": true, "127.0.0.1.": true, "1.2.3.4.5": true, "256.1.1.1": true, "0x": true, "a.0x7f": true,
		"a.1": true, "１２７.0.0.1": true, "bücher.example": true, "a b": true, "a\x00": true, "a\x7f": true, "": true, ".": true, "a..": true,
		"127.0.0.1": false, "::1": false, "fe80::1%eth0": false, "example.com": false, "example.com.": false, "1.example.com": false,
		"0x7f.example": false, "localhost": false, "xn--bcher-kva.example": false, "a1": false, "0xg": false, "a.1a": false,
	} {
		if got := web.Ambiguous(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
}

// FuzzAmbiguous checks that the last label of what is neither an address nor ambiguous
// is no number, as inet_aton(3) reads them: no resolver makes an address of it.
func FuzzAmbiguous(f *testing.F) {
	f.Fuzz(func(t *testing.T, host string) {
		if _, literal := web.Literal(host); literal || web.Ambiguous(host) {
			return
		}
		labels := strings.Split(strings.TrimSuffix(host, "."), ".")
		digits, base := labels[len(labels)-1], 10
		if len(digits) > 2 && strings.EqualFold(digits[:2], "0x") {
			digits, base = digits[2:], 16
		}
		if _, ok := new(big.Int).SetString(digits, base); ok && digits[0] != '-' && digits[0] != '+' {
			t.Errorf("%q passes", host)
		}
	})
}

// TestRefused shows which hosts a client does not ask, however they are written: the
// requests reach nobody, by a name neither.
func TestRefused(t *testing.T) {
	names := map[string]string{
		"metadata.example.": "169.254.169.254", "mapped.example.": "::ffff:169.254.169.254", "six.example.": "fe80::1",
		"nat.example.": "64:ff9b::a9fe:a9fe", "private.example.": "10.255.255.1", "machine.example.": "127.0.0.1",
		"2852039166.": "169.254.169.254",
	}
	resolver := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = resolver })
	net.DefaultResolver = resolverOf(names)

	local := []string{
		"169.254.169.254", "169.254.170.2", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[fe80::1]",
		"[fe80::1%25lo]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "0.0.0.0", "[::]", "224.0.0.1",
		"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "１６９.254.169.254",
		"metadata.example", "mapped.example", "six.example", "nat.example",
	}
	private := []string{"10.255.255.1", "private.example", "127.0.0.1", "machine.example", "localhost", "[::1]"}
	refused := func(o web.Options, host string) {
		t.Helper()
		_, err := web.New(o).Do(request(t, "http://"+host+":1/"+canary))
		if err == nil || !strings.Contains(err.Error(), "not asked") {
			t.Errorf("%s: error %v", host, err)
			return
		}
		checkError(t, err, regcred.Unavailable, "not asked")
	}
	for _, host := range local {
		refused(web.Options{}, host)
	}
	for _, host := range append(local, private...) {
		refused(web.Options{Refuse: web.Private}, host)
	}

	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	refused(web.Options{Refuse: web.Loopback}, "machine.example:"+port+"/x")
	for _, o := range []web.Options{{}, {Refuse: web.Private, LocalAllowed: true}} {
		answer, err := web.New(o).Do(request(t, "http://machine.example:"+port))
		if err != nil || answer.Status != http.StatusNotFound || answer.Remote != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("a name of this machine: %+v, %v", answer, err)
		}
	}
	_, err := web.New(web.Options{}).Do(request(t, "http://none.example/"))
	checkError(t, err, regcred.Unavailable, "its name does not resolve")
}

// resolverOf is a resolver of these names alone. It speaks DNS over TCP (RFC 1035,
// section 4.2.2) on a pipe.
func resolverOf(names map[string]string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			packet := make([]byte, 512)
			if _, err := server.Read(packet[:2]); err != nil {
				return
			}
			n, err := server.Read(packet)
			var message dnsmessage.Message
			if err != nil || message.Unpack(packet[:n]) != nil {
				return
			}
			if answer, err := answerOf(message, names); err == nil {
				_, _ = server.Write(answer)
			}
		}()
		return client, nil
	}}
}

// answerOf answers a DNS query, with the length in front.
func answerOf(message dnsmessage.Message, names map[string]string) ([]byte, error) {
	message.Response, message.Additionals = true, nil
	for _, q := range message.Questions {
		text, ok := names[q.Name.String()]
		if !ok {
			message.RCode = dnsmessage.RCodeNameError
			continue
		}
		addr := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	answer, err := message.AppendPack([]byte{0, 0})
	if err == nil {
		answer[0], answer[1] = byte((len(answer)-2)>>8), byte(len(answer)-2)
	}
	return answer, err
}
