package registry

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzForwardedFor holds that whom a header names is the last of its addresses that is
// no trusted proxy, whatever stands before it.
func FuzzForwardedFor(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, s := range []string{
		"203.0.113.7", "198.51.100.1, 203.0.113.7, 10.0.0.1", "[2001:db8::1]:99", "::ffff:10.0.0.1", "fe80::1%eth0",
		"", ",", "unknown", "10.0.0.1, 10.0.0.2", "203.0.113.7:99,10.0.0.1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := forwardedFor([]string{header}, trusted)
		if contains(trusted, got) || got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q names %s", header, got)
		}
		if more := forwardedFor([]string{"1.2.3.4", header}, trusted); got.IsValid() && more != got {
			t.Errorf("%q names %s, and %s with something before it", header, got, more)
		}
		if !strings.Contains(header, ",") && got.IsValid() {
			if hop, err := parseHop(strings.TrimSpace(header)); err != nil || plain(hop) != got {
				t.Errorf("%q names %s", header, got)
			}
		}
	})
}
