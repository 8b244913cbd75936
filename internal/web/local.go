package web

import (
	"net/netip"
	"slices"
	"syscall"

	"regcred.dev"
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

// Local reports whether an address is one that only this machine can use for what
// it is: link-local, a cloud's metadata service, unspecified or multicast. IPv4
// addresses in IPv6 form count as what they stand for.
func Local(addr netip.Addr) bool {
	addr = embedded(addr.Unmap().WithZone(""))
	return addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsInterfaceLocalMulticast() ||
		addr.IsMulticast() || addr.IsUnspecified() || slices.Contains(metadata, addr)
}

// nat64 is the prefix of IPv4 addresses behind a translator (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// embedded returns the IPv4 address that a NAT64 address leads to.
func embedded(addr netip.Addr) netip.Addr {
	if !nat64.Contains(addr) {
		return addr
	}
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

// refuseLocal is a net.Dialer's Control: it sees the address that a name resolved
// to, however it was written.
func refuseLocal(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || Local(ap.Addr()) {
		return regcred.Errorf(regcred.Unavailable, "%s is an address of this machine's own network, which is not asked", address)
	}
	return nil
}
