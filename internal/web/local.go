package web

import (
	"net/netip"
	"slices"
	"strings"
)

// metadata are addresses at which clouds give a machine its own identity, and
// which are not link-local: Amazon's over IPv6, Alibaba's, Azure's WireServer,
// Oracle's.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd00:ec2::23"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"),
}

// internal are the blocks that the IANA special-purpose address registries (RFC
// 6890) do not call globally reachable, besides those that netip knows by name.
// Those that lead to any IPv4 address at all are among them.
var internal = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // this network; Linux takes it for itself
	netip.MustParsePrefix("100.64.0.0/10"),  // behind a carrier's translator, and in many clusters
	netip.MustParsePrefix("192.0.0.0/24"),   // protocol assignments
	netip.MustParsePrefix("198.18.0.0/15"),  // benchmarks, and proxies that invent addresses
	netip.MustParsePrefix("240.0.0.0/4"),    // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b:1::/48"), // a translator of one's own (RFC 8215)
	netip.MustParsePrefix("2001::/32"),      // Teredo
	netip.MustParsePrefix("fec0::/10"),      // site-local, deprecated
}

// Local reports whether an address is one that only this machine can use for what
// it is: link-local, a cloud's metadata service, unspecified or multicast. IPv4
// addresses in IPv6 form count as what they stand for.
func Local(addr netip.Addr) bool {
	addr = plain(addr)
	return addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsInterfaceLocalMulticast() ||
		addr.IsMulticast() || addr.IsUnspecified() || slices.Contains(metadata, addr)
}

// Loopback reports whether an address is this machine's own, or Local.
func Loopback(addr netip.Addr) bool { return plain(addr).IsLoopback() || Local(addr) }

// Private reports whether an address is not one of the public Internet: one of a
// network of one's own, or Loopback.
func Private(addr netip.Addr) bool {
	addr = plain(addr)
	return Loopback(addr) || addr.IsPrivate() ||
		slices.ContainsFunc(internal, func(block netip.Prefix) bool { return block.Contains(addr) })
}

// Prefixes of IPv6 addresses that lead to the IPv4 address inside them.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291, section 2.5.5.1
)

// plain returns the address that another one leads to, without a zone.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	b := addr.As16()
	switch {
	case nat64.Contains(addr), compatible.Contains(addr) && !addr.IsLoopback() && !addr.IsUnspecified():
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:]))
	}
	return addr
}

// Literal reads the host of a URL, without brackets, as an IP address; false where
// it is a name.
func Literal(host string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(host)
	return addr, err == nil
}

// Ambiguous reports whether a host is one that some resolvers read as an address
// and others as a name: a number in decimal, octal or hexadecimal, one of too few
// or too many parts, or text that is not ASCII and may become a number.
// The rule is the URL standard's "ends in a number", for all that is not written
// as addresses are.
func Ambiguous(host string) bool {
	if _, ok := Literal(host); ok {
		return false
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := host[strings.LastIndexByte(host, '.')+1:]
	hex, isHex := strings.CutPrefix(last, "0x")
	return strings.Trim(last, "0123456789") == "" || isHex && strings.Trim(hex, "0123456789abcdef") == ""
}
