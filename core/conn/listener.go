package conn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNoFiles says that a connection was accepted and closed at once, because the process or the system is out of descriptors.
var ErrNoFiles = errors.New("conn: out of file descriptors")

// Listener is a listening descriptor. It may be used by several loops at once.
type Listener struct {
	fd   int
	addr netip.AddrPort

	mu      sync.RWMutex // guards reserve; held for reading while a connection is accepted
	reserve int          // an open descriptor that is given up to get rid of a connection when there is no other left; -1: none
}

// Adopt takes over ln: the result has the only descriptor, ln is closed.
func Adopt(ln net.Listener) (*Listener, error) {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("conn: a %T has no descriptor", ln)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("conn: listener: %w", err)
	}
	fd := -1
	var dupErr error
	if err := raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, fmt.Errorf("conn: listener: %w", err)
	}
	if dupErr != nil {
		return nil, fmt.Errorf("conn: listener: dup: %w", dupErr)
	}
	l := &Listener{fd: fd, reserve: -1}
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
		l.addr = tcp.AddrPort()
	}
	ln.Close()
	if err := errors.Join(unix.SetNonblock(fd, true), setOptions(fd)); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("conn: listener %s: %w", l.addr, err)
	}
	l.mu.Lock()
	l.keepReserve()
	l.mu.Unlock()
	return l, nil
}

// FD returns the descriptor, for Poller.AddListener.
func (l *Listener) FD() int { return l.fd }

// Addr returns the address that is listened at.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// Accept takes one connection, non-blocking. It returns ErrAgain when none waits,
// and ErrNoFiles when one was turned away for lack of descriptors.
// Errors of the connection itself, which died while it waited, are passed over.
func (l *Listener) Accept() (fd int, peer netip.AddrPort, err error) {
	for {
		l.mu.RLock() // else another loop could take the connection with the reserve that turnAway has given up for it
		fd, peer, err := accept(l.fd)
		l.mu.RUnlock()
		switch err {
		case nil:
			return fd, peer, nil
		case unix.EAGAIN:
			return -1, netip.AddrPort{}, ErrAgain
		case unix.EMFILE, unix.ENFILE:
			return -1, netip.AddrPort{}, l.turnAway()
		case unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EFAULT, unix.ENOMEM, unix.ENOBUFS, unix.EPERM:
			return -1, netip.AddrPort{}, fmt.Errorf("conn: accept: %w", err)
		}
		// EINTR, ECONNABORTED, and network errors that Linux passes on from the connection (accept(2)).
	}
}

// turnAway gives up the reserve descriptor, accepts one connection with it and closes that: left
// in the queue, it would wake the level-triggered poller for ever.
func (l *Listener) turnAway() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reserve >= 0 {
		unix.Close(l.reserve)
		l.reserve = -1
	}
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	l.keepReserve()
	if err == unix.EAGAIN {
		return ErrAgain // another loop took it
	}
	return ErrNoFiles
}

// keepReserve opens the reserve descriptor if it can. l.mu is held.
func (l *Listener) keepReserve() {
	if l.reserve >= 0 {
		return
	}
	if fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		l.reserve = fd
	}
}

// Close closes the descriptors. Nobody may be in Accept.
func (l *Listener) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	unix.Close(l.fd)
	if l.reserve >= 0 {
		unix.Close(l.reserve)
		l.reserve = -1
	}
}
