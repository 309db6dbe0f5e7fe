package conn

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrAgain says that a socket has no input, or takes no output, just now.
var ErrAgain = errors.New("conn: not ready")

// ErrGone says that a connection has ended.
var ErrGone = errors.New("conn: not connected")

// Read reads what has arrived into p, which is not empty. It returns ErrAgain when there is
// nothing, io.EOF when the peer has finished sending, and else the system's error.
func Read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, ErrAgain
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes as much of p as the socket takes. It returns ErrAgain, with the number of bytes
// written, when the socket is full.
func Write(fd int, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(fd, p[done:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return done, ErrAgain
		case err != nil:
			return done, err
		}
		done += n
	}
	return done, nil
}

// WriteMore writes as much of a, and then of b, as the socket takes, as one. More is to be written soon: until then, or its timer for retransmission, which is
// 0.2 s or more, the kernel may keep what does not fill a packet. Errors are those of Write.
func WriteMore(fd int, a, b []byte) (int, error) {
	done := 0
	for done < len(a)+len(b) {
		bufs := [2][]byte{a[min(done, len(a)):], b[max(done, len(a))-len(a):]}
		n, err := unix.SendmsgBuffers(fd, bufs[:], nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return done, ErrAgain
		case err != nil:
			return done, err
		}
		done += n
	}
	return done, nil
}

// lingerBytes is how much unread input Close takes from the kernel.
const lingerBytes = 256 << 10

// Close closes fd. With linger it first takes what input has arrived (at most 256 KiB, into
// scratch): closing a socket with unread input resets the connection, and the reset would destroy
// output that the peer has not read yet (RFC 1122 §4.2.2.13).
//
// shared says that another process has a duplicate of fd, which would keep the connection open: it is shut down.
func Close(fd int, linger, shared bool, scratch []byte) {
	if linger && len(scratch) > 0 {
		_ = unix.Shutdown(fd, unix.SHUT_WR)
		for total := 0; total < lingerBytes; {
			n, err := Read(fd, scratch)
			if err != nil {
				break
			}
			total += n
		}
	}
	if shared {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR) // it fails when the connection is gone
	}
	unix.Close(fd)
}

// setOptions prepares a listening socket, whose clients inherit the options (Linux): small answers go out at
// once, and a peer that vanished without a word is noticed by keep-alive probes after some 10 minutes.
func setOptions(fd int) error {
	for _, o := range [...]struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 300},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 60},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}

// Check reports whether fd is the connection with peer. It returns ErrGone if that has ended, and another error if fd is something else.
func Check(fd int, peer netip.AddrPort) error {
	for _, o := range [...]struct{ option, want int }{
		{unix.SO_PROTOCOL, unix.IPPROTO_TCP}, {unix.SO_TYPE, unix.SOCK_STREAM}, {unix.SO_ACCEPTCONN, 0},
	} {
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, o.option); err != nil || v != o.want {
			return fmt.Errorf("conn: descriptor %d is not of a TCP connection", fd)
		}
	}
	got, err := name(unix.SYS_GETPEERNAME, fd)
	if err == unix.ENOTCONN {
		return ErrGone
	}
	if err != nil {
		return fmt.Errorf("conn: getpeername: %w", err)
	}
	if got != peer {
		return fmt.Errorf("conn: descriptor %d is of the connection with %s, not with %s", fd, got, peer)
	}
	return nil
}
