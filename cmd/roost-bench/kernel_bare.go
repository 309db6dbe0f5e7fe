package main

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// bareConnections is how many connections bareConnection opens at once, and bareRounds how often.
const (
	bareConnections = 2000
	bareRounds      = 5
)

// bareConnection measures the kernel's memory for one end of an idle connection that is watched by epoll, in bytes: the median of short
// measurements, which what else happens on the machine disturbs less than the long one with all sessions.
func bareConnection() (float64, error) {
	var s series
	for range bareRounds {
		v, err := measureBare()
		if err != nil {
			return 0, err
		}
		s = append(s, v)
	}
	return s.median(), nil
}

func measureBare() (bytes float64, err error) {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	fds := []int{l}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	if err := errors.Join(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte(net.IPv4(127, 0, 0, 1).To4())}), unix.Listen(l, 128)); err != nil {
		return 0, err
	}
	addr, err := unix.Getsockname(l)
	if err != nil {
		return 0, err
	}
	var polls [2]int
	for i := range polls {
		if polls[i], err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return 0, err
		}
		fds = append(fds, polls[i])
	}
	before, err := readKernel()
	if err != nil {
		return 0, err
	}
	for range bareConnections {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		fds = append(fds, c)
		// A reset at the end leaves no TIME_WAIT behind.
		if err := errors.Join(unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}), unix.Connect(c, addr)); err != nil {
			return 0, fmt.Errorf("connect: %w", err)
		}
		s, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if err != nil {
			return 0, fmt.Errorf("accept: %w", err)
		}
		fds = append(fds, s)
		for i, fd := range []int{c, s} {
			if err := unix.EpollCtl(polls[i], unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
				return 0, fmt.Errorf("epoll: %w", err)
			}
		}
	}
	after, err := readKernel()
	if err != nil {
		return 0, err
	}
	return after.serverShare(before, bareConnections), nil
}
