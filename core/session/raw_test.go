package session

import (
	"testing"

	"golang.org/x/sys/unix"
)

// dialRaw connects a bare descriptor and reads the greeting.
func dialRaw(t testing.TB, s *server) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	ap := s.listeners[0].conn.Addr()
	s.mu.Unlock()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}); err != nil {
		t.Fatal(err)
	}
	var b [16]byte
	if n, err := unix.Read(fd, b[:]); err != nil || string(b[:n]) != "hello\r\n" {
		t.Fatalf("greeting %q, %v", b[:n], err)
	}
	return fd
}

func closeRaw(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}
