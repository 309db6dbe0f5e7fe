package authdb

import (
	"net/netip"
	"testing"
)

func TestAllowNets(t *testing.T) {
	for _, tt := range []struct {
		nets, addr string
		ok         bool
		bad        int
	}{
		{"127.0.0.0/8", "127.0.0.1", true, 0},
		{"127.0.0.0/8", "::ffff:127.0.0.1", true, 0},
		{"127.0.0.1", "127.0.0.1", true, 0},
		{"127.0.0.2", "127.0.0.1", false, 0},
		{"2001:db8::/32,::1", "::1", true, 0},
		{"2001:db8::/32", "2001:db9::1", false, 0},
		{"::/0", "127.0.0.1", false, 0},
		{"local", "", true, 0},
		{"127.0.0.0/8", "", false, 0},
		{"local", "127.0.0.1", false, 0},
		{"nonsense,127.0.0.0/8", "127.0.0.1", true, 1},
		{"", "127.0.0.1", false, 1},
	} {
		addr, _ := netip.ParseAddr(tt.addr)
		if ok, bad := netAllowed(tt.nets, addr); ok != tt.ok || len(bad) != tt.bad {
			t.Errorf("%q with %q: %v, bad %q", tt.nets, tt.addr, ok, bad)
		}
	}
}
