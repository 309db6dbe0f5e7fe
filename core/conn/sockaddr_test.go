package conn

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAddressesOfBothEnds(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		l, err := Adopt(ln)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fd, peer, err := accept(l.fd)
		if err != nil {
			t.Fatal(err)
		}
		clean := func(a net.Addr) netip.AddrPort {
			p := a.(*net.TCPAddr).AddrPort()
			return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
		}
		if want := clean(c.LocalAddr()); peer != want {
			t.Errorf("%s: the peer is %v, want %v", host, peer, want)
		}
		if want := clean(c.RemoteAddr()); Local(fd) != want {
			t.Errorf("%s: the local end is %v, want %v", host, Local(fd), want)
		}
		if got, err := name(unix.SYS_GETPEERNAME, fd); err != nil || got != peer {
			t.Errorf("%s: the peer's name is %v, %v, want %v", host, got, err, peer)
		}
		unix.Close(fd)
		c.Close()
		if _, _, err := accept(l.fd); err != unix.EAGAIN {
			t.Errorf("%s: a second connection: %v", host, err)
		}
		l.Close()
	}
	if a := Local(-1); a != (netip.AddrPort{}) {
		t.Errorf("no socket: %v", a)
	}
}

func BenchmarkLocal(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	l, err := Adopt(ln)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	for range b.N {
		Local(l.fd)
	}
}
