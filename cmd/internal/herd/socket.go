package herd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Patience bounds every wait for the server.
const Patience = 60 * time.Second

// perAddress is how many sessions come from one source address.
const perAddress = 64

// source returns the loopback address that session i of a herd in network n (127.n.0.0/16) comes from.
func source(n byte, i int) netip.Addr {
	k := i / perAddress % (256 * 254)
	return netip.AddrFrom4([4]byte{127, n, byte(k / 254), byte(1 + k%254)})
}

// socketOptions are those of a session that does not read: small segments and a small window keep what the
// two kernels hold for it at some 50 KB, where loopback would take 2.5 MB.
type socketOptions struct{ tiny bool }

// dial connects a descriptor to addr, which blocks, for up to Patience. From a loopback address it goes to a loopback address only.
func dial(addr netip.AddrPort, from netip.Addr, o socketOptions) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, advise("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	err = errors.Join(
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	if err == nil && o.tiny {
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536))
	}
	if err == nil && addr.Addr().IsLoopback() {
		// The port is chosen at connect, which may reuse it for another destination.
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
			unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}))
	}
	if err != nil {
		return -1, advise("socket options", err)
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: addr.Addr().Unmap().As4(), Port: int(addr.Port())})
	if err == unix.EINPROGRESS {
		if err = await(fd, unix.POLLOUT); err == nil {
			var n int
			if n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
				err = unix.Errno(n)
			}
		}
	}
	if err != nil {
		return -1, advise(fmt.Sprintf("connect %s from %s", addr, from), err)
	}
	patience := unix.NsecToTimeval(Patience.Nanoseconds())
	err = errors.Join(unix.SetNonblock(fd, false),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience))
	if err != nil {
		return -1, advise("socket options", err)
	}
	return fd, nil
}

// advise adds to an error of the system what an operator can do about it.
func advise(what string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.EMFILE):
		hint = ": raise the limit of open files (ulimit -n), or use more client processes"
	case errors.Is(err, unix.ENFILE):
		hint = ": raise fs.file-max"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		hint = ": widen net.ipv4.ip_local_port_range"
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		hint = ": raise net.ipv4.tcp_mem"
	case errors.Is(err, unix.ETIMEDOUT):
		hint = ": the server does not accept; raise net.core.somaxconn and net.ipv4.tcp_max_syn_backlog"
	case errors.Is(err, unix.ENOSPC):
		hint = ": raise fs.epoll.max_user_watches"
	}
	return fmt.Errorf("%s: %w%s", what, err, hint)
}

// await waits until fd is ready for events (POLLIN, POLLOUT).
func await(fd int, events int16) error {
	end := time.Now().Add(Patience)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(max(time.Until(end).Milliseconds(), 0)))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		default:
			return nil
		}
	}
}

// errAgain is returned by reads that would have to wait. It is Temporary for crypto/tls, which then stays usable.
var errAgain net.Error = again{}

type again struct{}

func (again) Error() string   { return "would block" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// stream is the descriptor as crypto/tls wants it. wait says whether Read waits: in the kernel, by the one call that reads.
type stream struct {
	fd   int
	wait bool
}

func (s *stream) Read(b []byte) (int, error) {
	for {
		n, err := receive(s.fd, b, s.wait)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN && !s.wait:
			return 0, errAgain
		case err == unix.EAGAIN:
			return 0, fmt.Errorf("waiting for the server: %w", unix.ETIMEDOUT)
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// receive is recv(2), without the address that unix.Recvfrom would make.
func receive(fd int, b []byte, wait bool) (int, error) {
	flags := uintptr(unix.MSG_DONTWAIT)
	if wait {
		flags = 0
	}
	var first unsafe.Pointer
	if len(b) > 0 {
		first = unsafe.Pointer(&b[0])
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(first), uintptr(len(b)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (s *stream) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Write(s.fd, b[done:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return done, fmt.Errorf("sending: %w", unix.ETIMEDOUT)
		case err != nil:
			return done, err
		default:
			done += n
		}
	}
	return done, nil
}

func (s *stream) Close() error                   { return unix.Close(s.fd) }
func (*stream) LocalAddr() net.Addr              { return nil }
func (*stream) RemoteAddr() net.Addr             { return nil }
func (*stream) SetDeadline(time.Time) error      { return nil }
func (*stream) SetReadDeadline(time.Time) error  { return nil }
func (*stream) SetWriteDeadline(time.Time) error { return nil }
