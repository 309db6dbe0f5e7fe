package authdb

import (
	"net/netip"
	"strings"
)

// netAllowed reports whether addr lies in one of the networks, which are separated by commas: an address,
// an address with the length of its prefix, or "local" for a client without address.
// A network that does not parse matches nothing and ends up in bad.
func netAllowed(networks string, addr netip.Addr) (ok bool, bad []string) {
	addr = addr.Unmap()
	for _, n := range strings.Split(networks, ",") {
		if n == "local" {
			ok = ok || !addr.IsValid()
			continue
		}
		prefix, err := parseNet(n)
		if err != nil {
			bad = append(bad, n)
			continue
		}
		ok = ok || addr.IsValid() && prefix.Contains(addr)
	}
	return ok, bad
}

func parseNet(s string) (netip.Prefix, error) {
	if strings.IndexByte(s, '/') >= 0 {
		return netip.ParsePrefix(s)
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return addr.Unmap().Prefix(addr.Unmap().BitLen())
}
