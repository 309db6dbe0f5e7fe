package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// addresses reads an array of addresses to listen at.
func addresses(t *table, name string) []string {
	list := t.texts(name)
	for i, a := range list {
		if _, _, err := splitAddress(a); err != nil {
			t.fail(name+index(i), "%v", err)
		}
	}
	return list
}

// splitAddress checks host:port. The host is an IP address, "localhost", or empty
// for every address of the machine; names are not resolved, since that would open a socket.
func splitAddress(a string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(a)
	if err != nil {
		return "", "", fmt.Errorf(`%q is not an address such as "127.0.0.1:143" or "[::1]:143"`, a)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("%q has no port from 0 to 65535", a)
	} else if strconv.FormatUint(n, 10) != port {
		return "", "", fmt.Errorf("%q has a port with leading zeroes", a)
	}
	if host == "" || strings.EqualFold(host, "localhost") {
		return host, port, nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return "", "", fmt.Errorf("%q has no IP address", a)
	}
	return host, port, nil
}
